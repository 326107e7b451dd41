"""Small likelihoods for tests: a counting experiment, and a channel of falling background with systematics."""

import numpy as np

from anomalon.likelihood.model import Likelihood, read_likelihood
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.workspace import make_workspace


def counting(b, sigma_b, s, observed=None, *, norms=None, signal_norms=None):
    """One bin; sigma_b is its statistical error."""
    background = Template("b", "background", np.array([float(b)]), np.array([float(sigma_b)]), norms=norms or {})
    signal = Template("s", "signal", np.array([float(s)]), np.zeros(1), norms=signal_norms or {})
    counts = None if observed is None else np.array([float(observed)])
    return Channel("A", "MET", np.array([0.0, 1.0]), (background, signal), counts)


def counting_workspace(*arguments, **keywords):
    return make_workspace([counting(*arguments, **keywords)], "s")


def falling(observed=None, *, seed=1, channels=2, bins=5, processes=3, scale=100.0, signal=3.0):
    """Falling backgrounds with norms, shapes and statistical errors, and a signal in the upper bins."""
    random, x = np.random.default_rng(seed), np.arange(bins)
    result = []
    for c in range(channels):
        templates = []
        for p in range(processes):
            values = scale * np.exp(-0.4 * x) * random.uniform(0.3, 1.0)
            tilt = 0.06 * random.normal() * np.linspace(-1, 1, bins)
            shapes = {
                "scale": (values * (0.97 - tilt), values * (1.02 + tilt)),
                "tilt": (values * (1 + 2 * tilt), values),
            }
            norms = {"luminosity": (0.98, 1.02), f"cross section {p}": (0.92, 1.1)}
            templates.append(Template(f"b{p}", "background", values, np.sqrt(0.2 * values), shapes, norms))
        values = signal * np.exp(-0.5 * ((x - bins + 2) / 1.5) ** 2)
        shape = {"scale": (0.95 * values, 1.04 * values)}
        templates.append(Template("s", "signal", values, 0.1 * np.sqrt(values), shape, {"luminosity": (0.98, 1.02)}))
        counts = None if observed is None else np.asarray(observed[c], dtype=np.float64)
        result.append(Channel(f"R{c}", "MET", 50.0 * np.arange(bins + 1), tuple(templates), counts))
    return result


def falling_likelihood(observed=None, **keywords) -> Likelihood:
    return read_likelihood(make_workspace(falling(observed, **keywords), "s"))
