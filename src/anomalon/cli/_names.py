"""Lists of names in one option."""

from __future__ import annotations

import re


def names_in(text: str | None) -> tuple[str, ...]:
    """Split at commas, but not at those inside brackets, and leave empty names out.

    >>> names_in("MET_pt, m(jet1,electron2),")
    ('MET_pt', 'm(jet1,electron2)')
    >>> names_in(None)
    ()
    """
    return tuple(name.strip() for name in re.split(r",(?![^(]*\))", text or "") if name.strip())
