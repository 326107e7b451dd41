"""Expected and observed limit of a likelihood with 30 bins, beside plain pyhf, one thread each.

Three channels of ten bins, ten backgrounds, 15 systematics (half of them shapes) and the statistical errors of the
templates. Ours finds the observed limit and the five of the band, each at its own root, and 25 points of a scan.

The peer only confirms the answer: one ``pyhf.infer.hypotest`` at each of the six limits, as if it knew them; a search
with ``toms748_scan`` calls it more often. It has PyTorch's gradients and SciPy's minimiser, the fastest of NumPy
and PyTorch with SciPy and MINUIT (one ``hypotest`` took 6.1, 6.4, 2.0 and 37 CPU s).
The observations are the expected background, for there pyhf's expected limits, which use parameters fitted to the data,
have the same definition as ours. Its p-values at our limits have to be 5 % to 2 % of themselves, less than 1 % in mu.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
import pyhf
from threadpoolctl import threadpool_limits

from anomalon.likelihood.limits import Limits, limits
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.workspace import make_workspace

ROUNDS = 15
CHANNELS, BINS, BACKGROUNDS, SYSTEMATICS = 3, 10, 10, 15
TOLERANCE = 0.02
"""Of pyhf's p-values, relative."""


def run() -> list[dict[str, Any]]:
    """Ratio of limits per CPU second; pyhf runs once, between rounds of ours."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        workspace = make_workspace(channels(), "signal")
        found, first = cpu(lambda: limits(workspace))
        peer_s = cpu(lambda: confirm(workspace, found))[1]
        ours_s = float(np.median([first, *(cpu(lambda: limits(workspace))[1] for _ in range(ROUNDS))]))
    print(f"{ours_s:.2f} s ours, {peer_s:.0f} s pyhf {pyhf.__version__}, {os.cpu_count()} cores;", end=" ")
    return [
        {
            "name": "limit with bands, 30 bins, 15 systematics",
            "ours": 1 / ours_s,
            "peer": 1 / peer_s,
            "ratio": peer_s / ours_s,
            "unit": "limits/CPU s",
            "peer_name": "pyhf (PyTorch), answer known",
        }
    ]


def confirm(workspace: dict[str, Any], found: Limits) -> None:
    """The p-values of pyhf at six limits; its backend is given back as it was.

    Raises:
        ValueError: one is not 5 %.
    """
    before = pyhf.get_backend()
    try:
        pyhf.set_backend("pytorch", "scipy")
        source = pyhf.Workspace(workspace)
        model = source.model()
        data = pyhf.tensorlib.astensor(source.data(model))
        for i, mu in enumerate([found.observed, *found.expected.model_dump().values()]):
            seen, band = pyhf.infer.hypotest(mu, data, model, test_stat="qtilde", return_expected_set=True)
            value = float([seen, *band][i])
            if not abs(value / 0.05 - 1.0) < TOLERANCE:
                raise ValueError(f"pyhf has p = {value:.4g} at the limit mu < {mu:.4g}, expected 0.05")
    finally:
        pyhf.set_backend(*before)


def cpu(work: Any) -> tuple[Any, float]:
    """Result and CPU seconds."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def channels(seed: int = 1) -> list[Channel]:
    """Falling spectra with a bump in the tail; the observations are the expected background."""
    random, x = np.random.default_rng(seed), np.arange(BINS)
    result = []
    for c in range(CHANNELS):
        templates = []
        for b in range(BACKGROUNDS):
            values = 300 * np.exp(-0.35 * x) * random.uniform(0.2, 1.0) / BACKGROUNDS * (CHANNELS - c)
            tilts = 0.04 * random.normal(size=SYSTEMATICS // 2)[:, None] * np.linspace(-1, 1, BINS) + 0.02
            shapes = {f"shape {k}": (values * (1 - tilt), values * (1 + tilt)) for k, tilt in enumerate(tilts)}
            norms = {f"norm {k}": (0.95, 1.06) for k in range(SYSTEMATICS - len(tilts)) if (b + k) % 3 == 0}
            templates.append(Template(f"background {b}", "background", values, np.sqrt(0.3 * values), shapes, norms))
        signal = 3 * np.exp(-0.5 * ((x - 7) / 2) ** 2)
        shapes = {"shape 0": (0.95 * signal, 1.05 * signal)}
        templates.append(Template("signal", "signal", signal, np.sqrt(0.05 * signal), shapes, {"norm 0": (0.97, 1.03)}))
        observed = sum((t.values for t in templates[:-1]), start=np.zeros(BINS))
        result.append(Channel(f"R{c + 1}", "MET", 50.0 * np.arange(BINS + 1), tuple(templates), observed))
    return result
