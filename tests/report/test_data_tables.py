"""Tables of numbers: the same content in every form, and nothing in them runs."""

import csv
import io
import tarfile

import pytest
import yaml

from anomalon.report.data_tables import DataTable, Quantity, files_of, to_csv, to_latex, to_markdown
from anomalon.report.hepdata import write_submission

TABLE = DataTable(
    "yields",
    "Yields",
    "Expected events at 140 fb⁻¹, 5 % of m_ll.",
    ("sample", "events", "cut [GeV]", "Z"),
    (
        ("W' | <script>", 1234, 12.5, Quantity(1.25, 0.5, 0.25)),
        ("=SUM(A1)", 0, None, Quantity(0.0123456789, 0.001, 0.001)),
        ("t & t_bar", 7, 1e-7, None),
    ),
)


def test_csv_keeps_all_digits_and_errors_in_columns_of_their_own():
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert [row["Z"] for row in rows] == ["1.25", "0.0123456789", ""]
    assert (rows[0]["Z down"], rows[0]["Z up"]) == ("0.5", "0.25")
    assert rows[2]["cut [GeV]"] == "1e-07"


def test_csv_text_is_never_a_formula_of_a_spreadsheet():
    assert list(csv.DictReader(io.StringIO(to_csv(TABLE))))[1]["sample"] == "'=SUM(A1)"


def test_markdown_has_a_line_per_row_and_disarms_its_separator():
    lines = to_markdown(TABLE).splitlines()
    assert len(lines) == 2 + len(TABLE.rows)
    assert "W' \\| <script>" in lines[2]
    assert lines[1] == "| --- | --: | --: | --: |"


def test_latex_disarms_special_characters_and_writes_uneven_errors():
    text = to_latex(TABLE)
    assert "t \\& t\\_bar" in text
    assert "140 fb$^{-1}$, 5 \\% of m\\_ll" in text
    assert "$1.25^{+0.25}_{-0.50}$" in text
    assert "0.0123 $\\pm$ 0.0010" in text


def test_every_form_has_a_file():
    assert [name for name, _ in files_of(TABLE)] == ["yields.csv", "yields.tex", "yields.md"]


def test_a_submission_to_hepdata_is_valid_and_holds_the_numbers(tmp_path, monkeypatch):
    pytest.importorskip("hepdata_lib", reason="needs the extra stats")
    monkeypatch.chdir(tmp_path)
    likelihood = tmp_path / "workspace.json"
    likelihood.write_text("{}", encoding="utf-8")
    made = write_submission([TABLE], tmp_path / "out", comment="A search", attached={"likelihood": likelihood})
    with tarfile.open(made) as archive:
        names = archive.getnames()
        table = yaml.safe_load(archive.extractfile("yields.yaml").read())
    assert {"submission.yaml", "workspace.json"} <= set(names)
    z = next(v for v in table["dependent_variables"] if v["header"]["name"] == "Z")
    assert z["values"][0] == {
        "value": 1.25, "errors": [{"asymerror": {"minus": -0.5, "plus": 0.25}, "label": "stat"}]
    }  # fmt: skip
    assert z["values"][2]["value"] == "-"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "workspace.json"]
