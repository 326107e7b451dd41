"""One table over all the real files: each reads, or is refused with the right message; a new file needs a line here."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomalon.errors import AnomalonError
from anomalon.sources import ReadSettings, ingest
from tests.conftest import ROOT

NEEDS_MAPPING = r"a flat file needs a mapping: --mapping FILE; its columns are "
DISPLAY = r"iSpy event display, not read: .* read the NanoAOD or AOD"

READ = {
    "atlas/PHYSLITE_example.root": (100, ""),
    "atlas/data_A.4lep.root": (39, ""),
    "atlas/data_B.4lep.root": (156, ""),
    "cms/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root": (1000, "muons_2012"),
    "cms/cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root": (10, ""),
    "cms/flat_ww.root": (4580, "cms_tutorial"),
    "cms/flat_zz.root": (2421, "cms_tutorial"),
    "cms/nanoAOD_2015_CMS_Open_Data_ttbar.root": (200, ""),
    "cms/nano_dimuon.root": (40, ""),
    "cms/nano_dy.root": (40, ""),
    "cms/nano_tt_v12.root": (200, ""),
    "csv/2e2mu_2012.csv": (104, "four_leptons"),
    "csv/4mu_2012.csv": (95, "four_leptons"),
    "csv/Zmumu_Run2011A.csv": (10583, "zmumu"),
    "delphes/delphes.root": (25, ""),
    "generator/example.hepmc3": (100, ""),
    "generator/pylhe-testfile-madgraph-2.0.0-wbj.lhe": (59, ""),
    "generator/pylhe-testfile-madgraph-2.2.1-Z-mlm.lhe.gz": (10000, ""),
    "generator/pylhe-testfile-pr180.lhe": (10, ""),
    "generator/pylhe-testfile-pythia-6.413-ttbar.lhe": (100, ""),
    "generator/pylhe-testfile-pythia-8.3.14-weakbosons.lhe": (100, ""),
}
"""File -> events, and the mapping of examples/mappings that it needs."""

REFUSED = {
    "cms/missing_luminosityBlock.root": r"missing branch: lumi needs luminosityBlock; the file has ",
    "cms/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root": (
        r"missing branch: event needs event, lumi needs luminosityBlock, run needs run"
    ),
    "display/DoubleMuParked_Run2012C_0.ig": DISPLAY,
    "display/EventData.ig": DISPLAY,
    "display/Hto4l_120-130GeV.ig": DISPLAY,
    **{name: NEEDS_MAPPING for name, (_, mapping) in READ.items() if mapping and "rntuple" not in name},
}
"""File -> what it is told, read without a mapping."""


def test_every_file_is_in_a_table(shared: Path) -> None:
    folder = shared / "data"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*READ, *REFUSED, "README.md"}


@pytest.mark.parametrize("name", READ)
def test_it_reads_and_every_event_is_accounted_for(shared: Path, tmp_path: Path, name: str) -> None:
    if name.startswith("generator"):
        pytest.importorskip("pyhepmc" if name.endswith("hepmc3") else "pylhe")
    if name.endswith("hepmc3"):
        pytest.importorskip("fastjet")
    n, mapping = READ[name]
    settings = ReadSettings(mapping=ROOT / "examples" / "mappings" / f"{mapping}.yaml" if mapping else None)
    store = ingest([shared / "data" / name], tmp_path / "store", settings)
    assert store.ledger is not None
    (entry,) = store.ledger.check().entries
    assert (entry.read, entry.written) == (n, n)
    assert len(store.load()) == n


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_right_message_and_leaves_nothing(shared: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(AnomalonError, match=REFUSED[name]) as refused:
        ingest([shared / "data" / name], tmp_path / "store")
    assert str(shared / "data" / name) in str(refused.value)
    assert not list(tmp_path.iterdir())
