"""Which objects are to be calibrated, where nobody says: the diagnosis' first suspect, or all jets.

What differs first makes others differ, too: cuts on halved b-jets select events whose other jets are harder. So the
suspect is calibrated alone, and only what still differs afterwards is a cause of its own.
"""

from __future__ import annotations

from anomalon.events import Events
from anomalon.style.diagnosis import Difference, diagnose, suspects
from anomalon.style.objects import Freedom, ObjectType
from anomalon.style.response import ParametricResponse
from anomalon.style.response_model import ResponseSettings

_OTHER_JETS: dict[str, str] = {"bjets": "other-jets", "other-jets": "bjets"}


def attribute(
    source: Events, target: Events, selection: Freedom, *, seed: int = 0
) -> tuple[ObjectType | None, tuple[Difference, ...]]:
    """The object type whose pT differs, or None where none does; and the differences before any calibration.

    Args:
        source: events without the cuts.
        target: events behind them.
        selection: the cuts.
        seed: of diagnosis and response.

    Raises:
        EmptySelectionError: a sample has too few events or objects.
        FitError: the response of the suspect cannot be fitted.
    """
    differences = diagnose(selection.selected(source), target, seed=seed)
    found = suspects(differences)
    if not found:
        return None, differences
    first = found[0]
    if first not in _OTHER_JETS:
        return first, differences
    response = ParametricResponse(ResponseSettings(freedom=selection.on(first), seed=seed)).fit(source, target)
    left = suspects(diagnose(selection.selected(response.transform(source)), target, seed=seed))
    return ("jets" if _OTHER_JETS[first] in left else first), differences
