"""The detectors by name: one table of choices.

==================  ======================  ======================  ==========================================
choice              cms                     atlas                   darkmachines
==================  ======================  ======================  ==========================================
efficiencies        Delphes CMS card        Delphes ATLAS card      Delphes ATLAS card
muons up to         2.4                     2.5                     2.7
leptons from        10 GeV                  10 GeV                  15 GeV
photons             10 GeV, 2.5             10 GeV, 2.5             20 GeV, 2.37
jets (R = 0.4)      20 GeV, 4.7             20 GeV, 4.5             20 GeV, 2.8
b-tag               CMS card                ATLAS card              ATLAS card
missing momentum    everything              everything              without muons
events stored       all                     all                     one hard object (``DARK_MACHINES_STORED``)
==================  ======================  ======================  ==========================================

``fatjets`` is ``cms`` with anti-kt R = 1.0 jets of 100 GeV within 2.5, for searches in dijets of fat jets.
The Dark Machines files themselves have R = 0.6 jets and another jet energy resolution: they differ from ours.
Ref: Dark Machines challenge, arXiv:2105.14027, section 2.2.1.
"""

from __future__ import annotations

from anomalon.errors import UnknownNameError, suggest
from anomalon.simulation.response import DetectorSettings, JetResponse, LeptonResponse, MetResponse, StoredIf


def get_detector(detector: str | DetectorSettings) -> DetectorSettings:
    """Look a preset up; settings pass through.

    Raises:
        UnknownNameError: there is no such preset.

    >>> get_detector("cms").jets.radius
    0.4
    """
    if isinstance(detector, DetectorSettings):
        return detector
    if detector not in PRESETS:
        raise UnknownNameError(f"no detector '{detector}'; {suggest(detector, PRESETS)}")
    return PRESETS[detector]


# Identification (0.95, 0.85) times track (0.95, 0.83 below 100 GeV; 0.99, 0.90 above), the same in both cards.
_ELECTRONS = ((1.5, 0.9025, 0.9405), (2.5, 0.7055, 0.765))
_PHOTONS = ((1.5, 0.95, 0.95), (2.5, 0.85, 0.85))
_MUON_RESOLUTION = ((0.5, 0.01, 1.0e-4), (1.5, 0.015, 1.5e-4), (2.7, 0.025, 3.5e-4))
_CMS_ECAL = (
    (1.5, 1.0, 0.64, 0.0, 0.008, 0.11, 0.40),
    (2.5, 2.16, 5.6, 2.0, 0.008, 0.11, 0.40),
)
_ATLAS_ECAL = ((3.2, 1.0, 0.0, 0.0, 0.0017, 0.101, 0.0),)
# Identification (0.95, 0.85) times track (0.99, 0.98).
_ATLAS_MUONS = ((1.5, 0.9405, 0.9405), (2.5, 0.833, 0.833))

_CMS = DetectorSettings(
    name="cms",
    electrons=LeptonResponse(efficiency=_ELECTRONS, resolution=_CMS_ECAL),
    # Identification 0.95 times track (0.99, 0.98).
    muons=LeptonResponse(efficiency=((1.5, 0.9405, 0.9405), (2.4, 0.931, 0.931)), resolution=_MUON_RESOLUTION),
    photons=LeptonResponse(efficiency=_PHOTONS, resolution=_CMS_ECAL),
)

_ATLAS_JETS = JetResponse(
    eta_max=4.5,
    btag_b=(0.80, 0.003, 30.0, 0.086),
    btag_c=(0.20, 0.02, 0.0034),
    btag_light=(0.002, 7.3e-6),
)

_ATLAS = DetectorSettings(
    name="atlas",
    electrons=LeptonResponse(efficiency=_ELECTRONS, resolution=_ATLAS_ECAL),
    muons=LeptonResponse(efficiency=_ATLAS_MUONS, resolution=_MUON_RESOLUTION),
    photons=LeptonResponse(efficiency=_PHOTONS, resolution=_ATLAS_ECAL),
    jets=_ATLAS_JETS,
    met=MetResponse(eta_max=4.9, muon_eta_max=2.7),
)

DARK_MACHINES_STORED = (
    StoredIf(collection="jets", pt_min=60, eta_max=2.8),
    StoredIf(collection="electrons", pt_min=25, eta_max=2.47, gap=(1.37, 1.52)),
    StoredIf(collection="muons", pt_min=25, eta_max=2.7),
    StoredIf(collection="photons", pt_min=25, eta_max=2.37),
)
"""The challenge's rule: an event is stored where any of these holds."""

_DARK_MACHINES = DetectorSettings(
    name="darkmachines",
    electrons=LeptonResponse(pt_min=15, efficiency=_ELECTRONS, resolution=_ATLAS_ECAL),
    muons=LeptonResponse(pt_min=15, efficiency=(*_ATLAS_MUONS, (2.7, 0.833, 0.833)), resolution=_MUON_RESOLUTION),
    photons=LeptonResponse(pt_min=20, efficiency=((1.5, 0.95, 0.95), (2.37, 0.85, 0.85)), resolution=_ATLAS_ECAL),
    jets=_ATLAS_JETS.model_copy(update={"eta_max": 2.8}),
    met=MetResponse(eta_max=4.9, muon_eta_max=2.7, muons=False),
    stored_if=DARK_MACHINES_STORED,
)

_FAT_JETS = _CMS.model_copy(
    update={
        "name": "fatjets",
        "jets": JetResponse(radius=1.0, pt_min=100, eta_max=2.5, separation=1.0),
    }
)

PRESETS: dict[str, DetectorSettings] = {d.name: d for d in (_CMS, _ATLAS, _DARK_MACHINES, _FAT_JETS)}
"""Detectors by name."""
