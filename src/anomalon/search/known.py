"""Figures that others have published, to be shown beside ours and never mixed with them."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "Dark Machines challenge, arXiv:2105.14027"
CAVEAT = (
    "Published by others on the challenge's own simulation, with its detector, its jets (R = 0.6), its signals and its "
    "split: not comparable number by number with a benchmark on other events."
)
N_MODELS = 1040


@dataclass(frozen=True)
class Published:
    """Median total improvement of the best model of a family, over the challenge's signals."""

    model: str
    median_improvement: float


CHALLENGE = (
    Published("flow likelihood", 15.0),
    Published("deep SVDD combined with a flow", 10.0),
    Published("DeepSets variational autoencoder", 3.75),
    Published("ALAD", 2.85),
    Published("DAGMM", 2.31),
    Published("convolutional variational autoencoder", 2.28),
    Published("variational autoencoder", 2.2),
    Published("deep SVDD", 1.7),
    Published("kernel density estimate", 1.43),
    Published("simple autoencoder", 0.98),
    Published(f"median of all {N_MODELS:,} models", 0.71),
)
"""Best first; the last is no model but the median of all that were submitted."""
