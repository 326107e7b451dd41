"""Train on a store in a process of its own and print the memory that it took, for bench_streaming.

The libraries are loaded, and a training on a few events is done, before the memory is looked at for the first time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from anomalon.features import RapidityMassMatrix
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.store import Store
from anomalon.streaming import EventBlocks

ROWS = 8_192
SETTINGS = {
    "kind": "autoencoder", "features": "rmm", "preprocessing": {"mode": "minmax"}, "hidden": [], "code": 16,
    "training": {"epochs": 1, "batch_size": 4096},
}  # fmt: skip


def main(path: str) -> None:
    """Train once on a part, then on everything."""
    store = Store(path)
    train(EventBlocks(store, RapidityMassMatrix(), rows=(0, 3 * ROWS), size=ROWS))
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    train(EventBlocks(store, RapidityMassMatrix(), size=ROWS))
    print(json.dumps({"peak_bytes": memory("VmHWM") - before}))


def train(blocks: EventBlocks) -> None:
    """One epoch."""
    Detector(DetectorSettings.parse(SETTINGS)).fit_blocks(blocks)


def memory(name: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(sys.argv[1])
