"""How processes are called in legends and tables, and how plain text is typeset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from anomalon.search.results import SampleSummary, SearchResults

LONGEST = 36
"""Letters of a name that a legend has room for."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: str) -> str:
    """Plain text with arrows, primes and exponents as they are printed.

    >>> typeset("WZ -> 3 leptons at 140 fb^-1")
    'WZ → 3 leptons at 140 fb⁻¹'
    """
    text = re.sub(r"(?<=\b[A-Z])'(?!\w)", "\N{PRIME}", text.replace("->", "→"))
    return re.sub(r"(?<=\w)\^(-?\d+)", lambda match: match[1].translate(_SUPERSCRIPTS), text)


def process_names(results: SearchResults) -> dict[str, str]:
    """Process -> its name in legends: a signal's title, what decays in a background; the process where these fail.

    They fail where a title is longer than a legend has room for, or belongs to several processes.
    """
    titles = {s.process: _short(s) for s in reversed(results.samples)}
    times = Counter(titles.values())
    return {p: t if len(t) <= LONGEST and times[t] == 1 else p for p, t in titles.items()}


def _short(sample: SampleSummary) -> str:
    title = typeset(sample.title or sample.process)
    return title.partition(" →")[0] if sample.role == "background" else title


def named(text: str, names: Mapping[str, str]) -> str:
    """The name of a process, or the text itself where there is none."""
    return names.get(text, text)
