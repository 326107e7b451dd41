"""What is left out while reading is counted by reason, and the normalisation stays true."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import Events, Sample
from anomalon.selection.luminosity_mask import LuminosityMask
from anomalon.selection.triggers import TriggerList
from anomalon.sources import ReadSettings, ingest
from anomalon.sources.filters import check_units
from tests.sources.nano_files import as_data, nano_branches, write_nano


def branches(n: int = 30, seed: int = 0) -> dict:
    fired = np.arange(n) % 3 == 0
    return nano_branches(n, seed) | {"HLT_A": fired, "HLT_B": np.arange(n) % 5 == 0}


TRIGGERS = TriggerList.parse({"paths": {2018: ["HLT_A", "HLT_B", "HLT_Gone"]}})


def test_events_outside_the_mask_and_without_a_trigger_are_counted_by_reason(tmp_path):
    file = write_nano(tmp_path / "data.root", as_data(branches()))
    mask = LuminosityMask.parse({"1": [[0, 1]]})  # lumi blocks of ten events
    store = ingest([file], tmp_path / "s", filters=[mask, TRIGGERS])
    (entry,) = store.ledger.check().entries
    assert dict(entry.skipped) == {"not in the luminosity mask": 10, "no trigger of the list fired": 20 - 9}
    assert store.load().array.event.tolist() == [i for i in range(20) if i % 3 == 0 or i % 5 == 0]
    assert store.samples[0].provenance["triggers_missing"] == {str(file): {"2018": ["HLT_Gone"]}}


def test_the_trigger_list_does_not_touch_the_sum_of_weights(tmp_path):
    values = branches()
    file = write_nano(tmp_path / "mc.root", values)
    store = ingest([file], tmp_path / "s", ReadSettings(fields=("muons",)), filters=[TRIGGERS])
    assert store.samples[0].sum_gen_weights == pytest.approx(values["genWeight"].sum())
    assert 0 < store.n_events < 30
    assert {"triggers.HLT_A", "triggers.HLT_B"} < set(store.fields)


def test_a_file_without_any_of_the_paths_is_refused_before_anything_is_written(tmp_path):
    file = write_nano(tmp_path / "mc.root", nano_branches())
    with pytest.raises(MissingFieldError, match=r"mc\.root: none of the trigger paths HLT_A, HLT_B, HLT_Gone"):
        ingest([file], tmp_path / "s", filters=[TRIGGERS])
    assert [p.name for p in tmp_path.iterdir()] == ["mc.root"]


def test_trigger_branches_are_stored_only_when_asked_for(tmp_path):
    file = write_nano(tmp_path / "mc.root", branches())
    assert not any(f.startswith("triggers") for f in ingest([file], tmp_path / "a").fields)
    asked = ingest([file], tmp_path / "b", ReadSettings(fields=("met", "triggers")))
    assert [f for f in asked.fields if f.startswith("triggers")] == ["triggers.HLT_A", "triggers.HLT_B"]
    with pytest.raises(MissingFieldError, match="no trigger path HLT_C; did you mean"):
        ingest([file], tmp_path / "c", ReadSettings(fields=("triggers.HLT_C",)))


@pytest.mark.parametrize("is_data", [False, True])
def test_a_bad_file_lowers_the_luminosity_or_the_sum_of_weights(is_data, tmp_path):
    values = [as_data(b) if is_data else b for b in (nano_branches(20, 1), nano_branches(20, 2))]
    files = [write_nano(tmp_path / f"{i}.root", b) for i, b in enumerate(values)]
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    settings = ReadSettings(process="x", skip_bad=True, luminosity_fb=10.0 if is_data else None)
    (sample,) = ingest(files, tmp_path / "s", settings).samples
    if is_data:
        assert sample.luminosity_fb == 5.0
        assert sample.provenance["luminosity_fb_of_all_files"] == 10.0
    else:
        assert sample.sum_gen_weights == pytest.approx(values[0]["genWeight"].sum())


DM = "1;w;0.5;50000;0.1;j,100000,90000,0.1,0.2\n"


def test_damaged_lines_lower_the_sum_of_weights(tmp_path):
    (tmp_path / "x.csv").write_text(DM * 3 + "4;w;0.5;broken\n")
    store = ingest([tmp_path / "x.csv"], tmp_path / "s", ReadSettings(lenient=True, keep_duplicates=True))
    assert store.samples[0].sum_gen_weights == 1.5
    (entry,) = store.ledger.check().entries
    assert (entry.read, entry.written, sum(entry.skipped.values())) == (4, 3, 1)


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "MeV"), (0.001, "TeV")])
def test_momenta_off_by_a_thousand_are_refused(factor, unit):
    rows = [{"muons": [{"pt": 30.0 * factor, "eta": 0, "phi": 0}]}, {}]
    with pytest.raises(InputFileError, match=f"x: median pT of the leading muons .* probably in {unit}"):
        check_units(Events.from_dicts(rows), "x")


def test_particles_of_a_generator_may_be_soft_but_not_in_mev():
    generated = [Sample(name="lhe", process="idm", origin="generated")]
    check_units(Events.from_dicts([{"muons": [{"pt": 0.1, "eta": 0, "phi": 0}]}], generated), "x")
    with pytest.raises(InputFileError, match="probably in MeV"):
        check_units(Events.from_dicts([{"muons": [{"pt": 40_000.0, "eta": 0, "phi": 0}]}], generated), "x")


def test_plausible_and_empty_events_pass():
    check_units(Events.from_dicts([{"jets": [{"pt": 6000.0, "eta": 0, "phi": 0}]}, {}]), "x")
    check_units(Events.from_dicts([{}]), "x")
    check_units(Events.from_dicts([]), "x")


def test_negative_weights_are_exact_in_yields_and_errors():
    weights = np.where(np.arange(1000) % 10 < 3, -1.0, 1.0)
    rows = [{"gen_weight": float(w)} for w in weights]
    sample = Sample(name="s", process="s", cross_section_pb=2.0, sum_gen_weights=float(weights.sum()))
    got = Events.from_dicts(rows, [sample]).weights(5.0)
    assert got.sum() == pytest.approx(2.0 * 1000 * 5.0, rel=1e-12)
    assert (got**2).sum() == pytest.approx(1000 * (2.0 * 1000 * 5.0 / 400) ** 2, rel=1e-12)


def test_filters_of_an_empty_file_leave_nothing_out(tmp_path):
    empty = {name: values[:0] for name, values in as_data(branches()).items()}
    file = write_nano(tmp_path / "e.root", {k: ak.Array(v) if isinstance(v, ak.Array) else v for k, v in empty.items()})
    assert ingest([file], tmp_path / "s", filters=[TRIGGERS]).n_events == 0


def test_damaged_lines_lower_the_luminosity_of_data(tmp_path):
    (tmp_path / "map.yaml").write_text(
        'is_data: true\nrun: Run\nevent: Event\nmuons:\n  slots: 1\n  columns: {pt: "pt#", eta: "eta#", phi: "phi#"}\n'
    )
    good = [f"1,{i},20.5,0.1,0.2" for i in range(8)]
    text = "\n".join(["Run,Event,pt1,eta1,phi1", *good, "1,8,broken,0.1,0.2", "1,9"])
    (tmp_path / "x.csv").write_text(text + "\n")
    settings = ReadSettings(lenient=True, luminosity_fb=10.0, mapping=tmp_path / "map.yaml")
    store = ingest([tmp_path / "x.csv"], tmp_path / "s", settings)
    (entry,) = store.ledger.check().entries
    assert (entry.read, entry.written) == (10, 8)
    assert store.samples[0].luminosity_fb == pytest.approx(8.0)
    assert store.samples[0].provenance["luminosity_fb_of_all_events"] == 10.0
