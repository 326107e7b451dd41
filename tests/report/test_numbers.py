from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.report import numbers
from anomalon.search.results import Estimate


@given(st.floats(0.5, 1, exclude_max=True))
def test_a_fraction_below_one_is_never_written_as_one(value: float) -> None:
    assert not numbers.fraction(value).startswith("1")
    assert len(numbers.fraction(value)) <= 7


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1234.5, 56.7, "1230 ± 60"),
        (0.00123, 0.00002, "0.001230 ± 0.000020"),
        (45123.4, 321.9, "45\u202f120 ± 320"),
        (-3.21, 0.98, "\u22123.2 ± 1.0"),
        (2.5e8, 1.2e7, "(2.50 ± 0.12)×10⁸"),  # noqa: RUF001
        (7.0, 0.0, "7.00"),
        (None, None, "–"),  # noqa: RUF001
    ],
)
def test_the_error_decides_the_digits(value: float | None, error: float | None, text: str) -> None:
    assert numbers.with_error(value, error) == text


@given(st.floats(0.001, 0.999), st.floats(1e-5, 0.1), st.floats(1e-5, 0.1))
def test_an_interval_is_written_with_the_value_it_belongs_to(value: float, up: float, down: float) -> None:
    text, upper, lower = numbers.interval_parts(Estimate(value=value, low=value - down, high=value + up))
    assert float(text.strip("<>")) == pytest.approx(value, abs=max(min(up, down), 1e-5))
    assert upper.startswith("+")
    assert lower.startswith(numbers.MINUS)


def test_an_estimate_without_an_interval_is_written_alone() -> None:
    assert numbers.interval(Estimate(value=0.99999)) == ">0.9999"
    assert numbers.interval(None) == numbers.NONE


def test_a_difference_keeps_its_sign_at_small_sizes() -> None:
    assert numbers.signed(Estimate(value=0.001, low=-0.0013, high=0.0033)) == "+0.0010 ± 0.0023"
