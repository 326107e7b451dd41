"""Selections: named cuts and channels, events in, masks and a cutflow out."""

from anomalon.selection.cutflow import Cutflow, Selected, Selection, apply
from anomalon.selection.trilepton import TrileptonSelection, Triplets, find_triplets

__all__ = ["Cutflow", "Selected", "Selection", "TrileptonSelection", "Triplets", "apply", "find_triplets"]
