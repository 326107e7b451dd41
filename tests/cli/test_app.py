"""Exit codes and messages of the command line."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import anomalon
from anomalon.cli import _app, _progress, main


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_help_teaches_and_version_is_the_package_version(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ("read", "info"))
    assert run(capsys, "--version")[:2] == (0, f"anomalon {anomalon.__version__}\n")
    assert "Example:" in run(capsys, "read", "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reed"], "No such command 'reed'"),
        (["info"], "Missing argument"),
        (["read", "a.root"], "Missing option '--output'"),
        (["info", "none.root", "--jsn"], "No such option: --jsn"),
        (["info", "none.root"], "none.root: no such file"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_and_exit_code_2(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("anomalon: error: ")
    assert message in err


def test_without_arguments_the_help_is_shown(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (2, "")
    assert "Usage" in out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "stores/dy"), 2, "No space left on device: 'stores/dy'"),
        (MemoryError(), 2, "out of memory"),
        (RuntimeError("two\nlines"), 1, "internal: RuntimeError: two lines; run again with --debug"),
    ],
)
def test_other_failures_are_one_line_too(capsys, monkeypatch, error, code, message):
    def fail(**_):
        raise error

    monkeypatch.setattr(_app, "app", fail)
    got, _, err = run(capsys, "info")
    assert (got, err.count("\n")) == (code, 1)
    assert message in err


def test_debug_shows_the_traceback_wherever_it_is_given(capsys):
    for arguments in (["--debug", "info", "none.root"], ["info", "none.root", "--debug"]):
        with pytest.raises(anomalon.errors.InputFileError, match="no such file"):
            main(arguments)


def test_the_command_starts_without_loading_the_libraries():
    code = "import sys, anomalon.cli; print([m for m in ('torch', 'awkward', 'uproot', 'sklearn') if m in sys.modules])"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "[]"


def test_the_module_of_the_console_script_exits_with_its_code():
    code = "from anomalon.cli import main; main()"
    got = subprocess.run([sys.executable, "-c", code, "info", "none"], capture_output=True, text=True, check=False)
    assert got.returncode == 2
    assert got.stderr == "anomalon: error: none: no such file\n"


def test_progress_in_a_log_is_a_line_every_few_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with _progress.progress("reading") as report:
        for now[0], done in ((1.0, 10), (6.0, 60), (7.0, 70), (12.0, 100)):
            report(done, 200)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "reading: 60 of 200 events (30 %), 10/s, 14 s left",
        "reading: 100 of 200 events (50 %), 8/s, 12 s left",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _progress.progress("reading") as report:
        report(1, 2)
        report(2, 2)
