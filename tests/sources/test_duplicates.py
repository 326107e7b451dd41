"""Remembering events, against Python's own set."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.events import Events
from anomalon.sources.duplicates import SeenEvents

ids = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(-(2**40), 2**63 - 1) | st.integers(0, 9))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(ids, max_size=12), max_size=8))
def test_an_event_is_new_once(parts):
    seen, known = SeenEvents(), set()
    for part in parts:
        events = Events.from_dicts([{"run": r, "lumi": lumi, "event": e} for r, lumi, e in part])
        expected = []
        for key in part:
            expected.append(key not in known)
            known.add(key)
        assert seen.add(events).tolist() == expected
