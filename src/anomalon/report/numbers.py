# ruff: noqa: RUF001, RUF002 - minus, dash and multiplication sign are what a page wants
"""Numbers as a person writes them: as many digits as the error allows, and never ``0.9999999``."""

from __future__ import annotations

import math

from anomalon.search.results import Estimate

NONE = "–"
"""What stands where there is no number."""
THIN = "\u202f"
MINUS = "\u2212"


def integer(value: float | None) -> str:
    """An integer with thin spaces between thousands.

    >>> integer(1234567).replace(THIN, " "), integer(None)
    ('1 234 567', '–')
    """
    return NONE if value is None else f"{round(value):,}".replace(",", THIN).replace("-", MINUS)


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, in powers of ten where it is very large or very small.

    >>> [significant(x) for x in (0.0, 0.012345, 1300.2, 2.5e-7)]
    ['0', '0.0123', '1300', '2.50×10⁻⁷']
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= exponent <= 6:
        return _fixed(value, digits - 1 - exponent)
    return f"{_fixed(value / 10.0**exponent, digits - 1)}×10{_superscript(exponent)}"


def decimals_of(error: float) -> int:
    """Decimals that an error justifies, by the rule of the Particle Data Group: two digits up to 354, else one.

    >>> [decimals_of(x) for x in (0.0123, 0.5, 0.96, 12.0, 480.0)]
    [3, 1, 1, 0, -2]
    """
    exponent = math.floor(math.log10(error))
    leading = round(error / 10.0 ** (exponent - 2))
    return (1 if leading < 355 else 0) - exponent


def with_error(value: float | None, error: float | None) -> str:
    """A value with its symmetric error.

    >>> with_error(123.456, 4.56), with_error(0.98765, 0.00123), with_error(5.0, None)
    ('123 ± 5', '0.9877 ± 0.0012', '5.00')
    """
    if value is None or error is None or not math.isfinite(error) or error <= 0:
        return significant(value)
    decimals = decimals_of(error)
    if decimals < -3 or decimals > 6:
        exponent = math.floor(math.log10(max(abs(value), error)))
        scaled = with_error(value / 10.0**exponent, error / 10.0**exponent)
        return f"({scaled})×10{_superscript(exponent)}"
    return f"{_fixed(value, decimals)} ± {_fixed(error, decimals)}"


def fraction(value: float | None, decimals: int = 4) -> str:
    """A number between 0 and 1 without a stated error; it says ``>0.9999`` rather than round up to one.

    >>> [fraction(x) for x in (0.5, 0.99999, 1.0, 0.00001)]
    ['0.5000', '>0.9999', '1.0000', '<0.0001']
    """
    if value is None or not math.isfinite(value):
        return NONE
    step = 10.0**-decimals
    if 1 - step / 2 <= value < 1:
        return f">{1 - step:.{decimals}f}"
    return f"<{step:.{decimals}f}" if 0 < value < step / 2 else _fixed(value, decimals)


def percent(value: float | None) -> str:
    """A fraction in per cent with three significant digits.

    >>> percent(0.05), percent(0.99996), percent(1.0), percent(None)
    ('5.00 %', '>99.99 %', '100 %', '–')
    """
    if value is not None and 0.9995 <= value < 1:
        return f"{'>' if value > 0.9999 else ''}{min(_floor(100 * value, 2), 99.99):.2f}{THIN}%".replace(THIN, " ")
    return NONE if value is None or not math.isfinite(value) else f"{significant(100 * value)} %"


def interval_parts(estimate: Estimate | None, *, bounded: bool = True) -> tuple[str, str, str]:
    """Value, upper and lower error as text; the errors are empty where there is no interval.

    Args:
        estimate: any number with its interval.
        bounded: whether a value between 0 and 1 is a fraction, which is never rounded up to 1.

    >>> interval_parts(Estimate(value=0.9877, low=0.9865, high=0.9887))
    ('0.9877', '+0.0010', '−0.0012')
    """
    if estimate is None:
        return NONE, "", ""
    value, low, high = estimate.value, estimate.low, estimate.high
    if low is None or high is None or high <= low:
        return fraction(value) if bounded and 0 <= value <= 1 else significant(value), "", ""
    up, down = max(high - value, 0.0), max(value - low, 0.0)
    decimals = min(max(decimals_of(_narrower(up, down)), 0), 6)
    return (
        fraction(value, max(decimals, 1)) if bounded and 0 <= value <= 1 else _fixed(value, decimals),
        f"+{_fixed(up, decimals)}",
        f"{MINUS}{_fixed(down, decimals)}",
    )


def interval(estimate: Estimate | None) -> str:
    """An estimate in one line.

    >>> interval(Estimate(value=0.9877, low=0.9865, high=0.9889)), interval(Estimate(value=0.9, low=0.7, high=0.95))
    ('0.9877 ± 0.0012', '0.90 +0.05 −0.20')
    """
    return _joined(*interval_parts(estimate))


def signed(estimate: Estimate | None) -> str:
    """A difference in one line, with its sign.

    >>> signed(Estimate(value=-0.0071, low=-0.0083, high=-0.0059))
    '−0.0071 ± 0.0012'
    """
    value, up, down = interval_parts(estimate, bounded=False)
    return _joined(f"+{value}" if estimate is not None and estimate.value > 0 else value, up, down)


def below(value: float, smallest: float | None) -> str:
    """A fraction, or an upper end where nothing was counted: one over the number of events.

    >>> below(0.0, 1 / 17736), below(0.00123, None), below(0.0, None)
    ('<6×10⁻⁵', '0.0012', '0')
    """
    if value > 0 or not smallest:
        return significant(value, 2)
    scale = 10.0 ** math.floor(math.log10(smallest))
    return f"<{significant(math.ceil(smallest / scale - 1e-9) * scale, 1)}"


def power_of_ten(value: float) -> str:
    """A working point such as 1e-2.

    >>> power_of_ten(0.01), power_of_ten(0.1), power_of_ten(0.02)
    ('10⁻²', '10⁻¹', '0.0200')
    """
    exponent = round(math.log10(value))
    return f"10{_superscript(exponent)}" if math.isclose(value, 10.0**exponent) else significant(value)


def seconds(value: float) -> str:
    """A duration.

    >>> seconds(3.21), seconds(75.0), seconds(0.004)
    ('3.2 s', '1 min 15 s', '<0.1 s')
    """
    if value < 0.05:
        return "<0.1 s"
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"


def _joined(value: str, up: str, down: str) -> str:
    if not up:
        return value
    return f"{value} ± {up[1:]}" if up[1:] == down[1:] else f"{value} {up} {down}"


def _narrower(up: float, down: float) -> float:
    return min(x for x in (up, down) if x > 0) if max(up, down) > 0 else 1.0


def _floor(value: float, decimals: int) -> float:
    return float(math.floor(value * 10**decimals) / 10**decimals)


def _fixed(value: float, decimals: int) -> str:
    rounded = round(value, decimals) or 0.0  # no minus before a zero
    text = f"{rounded:.{max(decimals, 0)}f}".replace("-", MINUS)
    whole, dot, rest = text.partition(".")
    digits = whole.removeprefix(MINUS)
    grouped = f"{int(digits):,}".replace(",", THIN) if len(digits) > 4 else digits
    return f"{MINUS if whole.startswith(MINUS) else ''}{grouped}{dot}{rest}"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
