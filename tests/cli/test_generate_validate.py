from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anomalon.cli import main
from anomalon.generation.flatten import flatten
from anomalon.pipeline.validation import below_shell
from anomalon.store import StoreWriter
from anomalon.writers import WriterSettings
from anomalon.writers.darkmachines import DarkMachinesWriter
from tests.generation.toys import GENERATED, REAL, top_pairs

QUICK = ("--splits", 2, "--precision", 0.03, "--judges", "none", "--detector", "none")  # 186 events


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def compare(real: Path, generated: Path, *more: object) -> int | str | None:
    return run("generate", "validate", "--real", real, "--generated", generated, *more)


def write(path: Path, events) -> Path:
    with StoreWriter(path) as writer:
        writer.append(events)
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    return {
        "real": write(folder / "real", top_pairs(2000, seed=1, sample=REAL)),
        "generated": write(folder / "generated", top_pairs(1000, seed=2, sample=GENERATED)),
    }


def test_a_card_is_written_and_a_table_printed(stores, tmp_path, capsys):
    output = tmp_path / "card"
    code = run(
        "generate", "validate", "--real", stores["real"], "--generated", stores["generated"], "-o", output, *QUICK
    )
    shown = capsys.readouterr().out
    assert code == 0
    assert "generated: 1,000 events of weight one from 1,000 rows, toy top pairs, origin generated" in shown
    assert "at the floor" in shown
    assert {path.name for path in output.iterdir()} == {"card.html", "card.pdf", "card.png", "validation.json"}
    assert str(stores["real"]) in (output / "validation.json").read_text()


def test_json_is_all_numbers(stores, capsys):
    assert compare(stores["real"], stores["generated"], "--json", *QUICK) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["settings"]["events"] == 1000
    assert {"ws", "w1_m_W_peak", "coverage"} <= {metric["name"] for metric in values["metrics"]}


def test_real_events_called_generated_are_named(stores, capsys):
    code = compare(stores["real"], stores["real"], *QUICK)
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "warning: the generated events are flagged as simulation" in shown
    assert "warning: 100% of the generated events are real events, bit by bit" in shown


def test_too_few_events_end_with_the_number_needed(stores, capsys):
    code = compare(stores["generated"], stores["generated"])
    assert code == 2
    assert "3334 real and 1667 generated events are needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--judges", "forest"), "judges"),
        (("--detector", "cmss"), "no detector 'cmss'; did you mean 'cms'"),
        (("--slots", "many"), "no slots 'many'"),
        (("--view", "both"), "view"),
    ],
)
def test_wrong_options_are_refused(stores, capsys, more, message):
    assert compare(stores["real"], stores["generated"], *more) == 2
    assert message in capsys.readouterr().err


def test_a_card_is_replaced_only_when_asked_to_and_nothing_else_ever(stores, tmp_path, capsys):
    both = (stores["real"], stores["generated"])
    card, other = tmp_path / "card", tmp_path / "other"
    other.mkdir()
    (other / "notes").touch()
    card.mkdir()
    (card / "validation.json").write_text("{}")
    assert compare(*both, "-o", card, *QUICK) == 2
    assert compare(*both, "-o", card, *QUICK, "--overwrite") == 0
    assert compare(*both, "-o", other, *QUICK, "--overwrite") == 2
    assert "not a validation" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card", "other"]
    assert (card / "card.png").is_file()


def test_energies_below_the_momentum_are_seen_in_text_files(stores, tmp_path, capsys):
    csv = tmp_path / "made.csv"
    with DarkMachinesWriter(csv, WriterSettings()) as writer:
        writer.append(top_pairs(1000, seed=2, sample=GENERATED))
    assert not below_shell(str(csv)).any()
    lines = csv.read_text().splitlines()
    head, first, *rest = lines[3].split(";")[:5], *lines[3].split(";")[5:]
    symbol, energy, *direction = first.split(",")
    lines[3] = ";".join([*head, ",".join([symbol, f"{float(energy) / 2:.6g}", *direction]), *rest])
    csv.write_text("\n".join(lines) + "\n")
    assert np.flatnonzero(below_shell(str(csv))).tolist() == [3]
    assert compare(stores["real"], csv, "--json", *QUICK) == 0
    values = json.loads(capsys.readouterr().out)
    rates = {rate["name"]: rate for rate in values["rates"]}
    assert rates["below_shell"]["generated_events"] == 1
    assert any("1 generated events have E < p in the file" in text for text in values["warnings"])


def test_text_and_store_hold_the_same_events(tmp_path):
    from anomalon.pipeline.validation import read_events  # noqa: PLC0415

    events = top_pairs(300, seed=2)
    with DarkMachinesWriter(tmp_path / "a.csv", WriterSettings()) as writer:
        writer.append(events)
    one, other = flatten(events), flatten(read_events(str(tmp_path / "a.csv")))
    assert np.array_equal(one.counts, other.counts)
    assert np.allclose(one.objects[..., :3], other.objects[..., :3], rtol=1e-4, atol=1e-4)
