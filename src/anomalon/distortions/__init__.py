"""Distorted events: objects scaled, smeared, lost or taken for something else; Events in, Events out.

For sanity tests of a search, systematic uncertainties and controlled biases. Four-vectors come first and everything
that is computed from them follows:

- Missing transverse momentum answers: MET' = MET + (sum of pT before) - (sum of pT after), as transverse vectors.
- Collections stay sorted by decreasing pT; charge, b-tag, isolation and every other column travel with their object.
- Events in which nothing changes stay the same bit by bit; weights, factors, triggers and origins of all events do.
- What chance does to an object follows from the seed, the distortion's place in the list, the event's name (sample,
  run, luminosity block, event number) and the object's place in its collection: neither chunks nor workers nor the
  order of events change it.
- The provenance of the samples lists what was done.
"""

from anomalon.distortions.distort import Distortion, distort, required_fields
from anomalon.distortions.exaggeration import Exaggeration
from anomalon.distortions.momenta import Lose, Scale, Smear
from anomalon.distortions.presets import (
    PRESETS,
    Distortions,
    bjet_scale,
    jet_scale,
    leading_leptons,
    lepton_scale,
    parse_distortions,
    preset,
)
from anomalon.distortions.pseudo_events import PseudoEvents
from anomalon.distortions.soft import Soft
from anomalon.distortions.swap import Swap
from anomalon.distortions.variations import STANDARD, End, Variation, Variations, standard
from anomalon.distortions.which import Which

__all__ = [
    "PRESETS",
    "STANDARD",
    "Distortion",
    "Distortions",
    "End",
    "Exaggeration",
    "Lose",
    "PseudoEvents",
    "Scale",
    "Smear",
    "Soft",
    "Swap",
    "Variation",
    "Variations",
    "Which",
    "bjet_scale",
    "distort",
    "jet_scale",
    "leading_leptons",
    "lepton_scale",
    "parse_distortions",
    "preset",
    "required_fields",
    "standard",
]
