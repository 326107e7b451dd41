"""The catalogue of processes."""

from __future__ import annotations

import pytest

from anomalon.errors import ConfigError, UnknownNameError
from anomalon.simulation import PROCESSES, Process, get_process


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_fills_its_settings_and_reads_its_own_label(name: str) -> None:
    process = get_process(name)
    assert not any("{" in command for command in process.commands())
    assert "{" not in process.slha_text()
    assert get_process(process.label) == process
    assert process.source


def test_parameters_in_the_name_and_as_keywords_mean_the_same() -> None:
    assert get_process("c1n2(m_c1n2=800, m_lsp=50)") == get_process("c1n2", m_c1n2=800, m_lsp=50)


def test_masses_reach_the_spectrum_file() -> None:
    text = get_process("c1n2", m_c1n2=812.5, m_lsp=61).slha_text()
    assert "1000024 8.125000e+02" in text
    assert "1000023 8.125000e+02" in text
    assert "1000022 6.100000e+01" in text


def test_a_resonance_is_generated_from_half_its_mass_upwards() -> None:
    assert {"34:m0=3000", "PhaseSpace:mHatMin=1500"} <= set(get_process("wprime-wz", mass=3000).commands())


def test_taus_open_the_third_channel_and_change_the_missing_branching_ratios() -> None:
    assert "23:onIfAny=11 13" in get_process("wz").commands()
    assert "23:onIfAny=11 13 15" in get_process("wz", taus=1).commands()
    assert get_process("c1n2", taus=1).cross_section_factor == pytest.approx(0.3241 * 0.1010)


def test_label_shows_only_what_differs_from_the_default() -> None:
    assert get_process("c1n2", m_c1n2=450, m_lsp=200).label == "c1n2(m_lsp=200)"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("drell-yam", UnknownNameError, "no process 'drell-yam'; did you mean 'drell-yan'?"),
        ("c1n2(m_slp=3)", UnknownNameError, "process 'c1n2' has no parameter 'm_slp'; did you mean 'm_lsp'?"),
        ("single-top-t(mass=3)", UnknownNameError, "process 'single-top-t' has no parameter 'mass'; it has none"),
        ("c1n2(m_lsp=400)", ConfigError, "m_c1n2 - m_lsp = 50 GeV, must be larger than 91.1876 GeV"),
        ("wprime-wz(mass=100)", ConfigError, "mass = 100 is out of range; allowed: 400 to 8000 GeV"),
        ("wprime-wz(mass=nan)", ConfigError, "mass = nan is out of range"),
        ("wz(taus=0.5)", ConfigError, "taus = 0.5 is a switch; allowed: 0 or 1"),
        ("wz(taus=yes)", ConfigError, "a parameter is not a number"),
        ("wz(taus=1", ConfigError, "cannot be read; write it as name"),
    ],
)
def test_mistakes_are_answered_in_one_line(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        get_process(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_placeholder_without_parameter_is_named() -> None:
    process = Process(name="own", title="own", settings=("34:m0={mas}",), source="a test")
    with pytest.raises(ConfigError, match=r"\{mas\} is no parameter"):
        process.commands()
