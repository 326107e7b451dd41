"""Laws of the ledger: every event is accounted for, and JSON loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import LedgerError
from anomalon.ledger import Ledger, LedgerEntry

counts = st.integers(0, 10**6)
entries = st.builds(
    lambda name, written, cut, duplicated, skipped: LedgerEntry(
        name, written + cut + duplicated + sum(skipped.values()), written, cut, duplicated, skipped
    ),
    st.text(max_size=5), counts, counts, counts, st.dictionaries(st.text(max_size=5), counts, max_size=3),
)  # fmt: skip


@given(st.lists(entries, max_size=4))
def test_balanced_entries_pass_survive_json_and_add_up(items):
    ledger = Ledger(tuple(items)).check()
    assert Ledger.from_dict(json.loads(json.dumps(ledger.to_dict()))) == ledger
    totals = ledger.totals
    assert totals.read == totals.written + totals.cut + totals.duplicated + totals.skipped
    assert totals.read == sum(e.read for e in items)


@given(entries, st.integers(1, 5))
def test_a_lost_event_is_named_with_its_file(entry, lost):
    broken = LedgerEntry(**(entry.to_dict() | {"file": "lost.root", "read": entry.read + lost}))
    assert not broken.balances()
    with pytest.raises(LedgerError, match=r"lost\.root: \d+ events read but \d+ accounted"):
        Ledger((entry, broken)).check()


def test_a_negative_count_is_refused():
    with pytest.raises(LedgerError, match="negative"):
        Ledger((LedgerEntry("a", read=0, written=1, cut=-1),)).check()


def test_skipped_events_add_up_by_reason():
    ledger = Ledger((LedgerEntry("a", skipped={"NaN": 1}), LedgerEntry("b", skipped={"NaN": 2, "lumi": 3})))
    assert ledger.skipped_by_reason == {"NaN": 3, "lumi": 3}
    assert Ledger.join([ledger, ledger]).totals.skipped == 12


@pytest.mark.parametrize(
    ("entry", "message"), [({"fil": "a"}, "unknown key 'fil'; did you mean 'file'"), ({"read": 1}, "lacks 'file'")]
)
def test_a_ledger_of_another_form_is_refused(entry, message):
    with pytest.raises(LedgerError, match=message):
        Ledger.from_dict({"entries": [entry]})
