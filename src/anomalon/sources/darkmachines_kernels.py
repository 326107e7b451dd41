"""Compiled loops over the bytes of a Dark Machines file: numbers out of text, and objects into collections.

Every number is the one that Python's ``float`` reads, bit by bit: up to 15 digits (more, where they stay below 2^53)
and powers of ten up to 10^22 are exact in double precision, and a single division or multiplication rounds correctly
(W. D. Clinger, PLDI 1990); what lies beyond is handed back as text. Indices are unsigned, because NumPy's negative
ones cost a test per byte.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

SYMBOLS = ("j", "b", "e-", "e+", "m-", "m+", "g")
"""Symbols of the objects; the place of each is its code."""
MOST_OBJECTS = 20
MOST_PROCESSES = 1000
REASONS = (
    "",
    "missing field",
    "empty field (a doubled separator)",
    "text in a number",
    "unknown object",
    "more than 20 objects",
    "too many fields",
    "more than 1000 processes",
    "energy out of range",
    "angle out of range",
    "weight out of range",
)
MISSING, EMPTY, TEXT, UNKNOWN, CROWDED, LONG, CROWD, ENERGY, ANGLE, WEIGHT = range(1, 11)
_SHORTEST_EVENT = len("1;p;1;1;1\n")
_SHORTEST_OBJECT = len(";j,1,1,1,1")

LOOKAHEAD = 32
"""Bytes after a text that are looked at, though not used."""

_U = np.uint64
_0, _1, _2, _10, _19, _48 = (_U(n) for n in (0, 1, 2, 10, 19, 48))
_LONGEST_IDENTITY = _U(18)
_EXACT = _U(1 << 53)
_MOST_EXPONENT = 22
_POWERS = np.array([10.0**n for n in range(_MOST_EXPONENT + 1)])
_TAB, _NEWLINE, _RETURN, _SPACE = _U(9), _U(10), _U(13), _U(32)
_PLUS, _COMMA, _MINUS, _DOT, _SEMICOLON = _U(43), _U(44), _U(45), _U(46), _U(59)
_B, _E, _G, _J, _M, _UPPER_E = (_U(ord(c)) for c in "begjmE")


@njit(cache=True, nogil=True, forceinline=True)
def _byte(text: Any, i: Any) -> Any:
    return _U(text[i])


@njit(cache=True, nogil=True)
def _newline(text: Any, i: Any) -> Any:
    """Place of the first newline from ``i`` on; most bytes are passed in blocks, which the compiler makes vectors."""
    found = False
    while True:
        for k in range(LOOKAHEAD):
            found |= text[i + _U(k)] == np.uint8(10)
        if found:
            break
        i += _U(LOOKAHEAD)
    while _byte(text, i) != _NEWLINE:
        i += _1
    return i


@njit(cache=True, nogil=True, forceinline=True)
def _skip_spaces(text: Any, i: Any) -> Any:
    while _byte(text, i) == _SPACE or _byte(text, i) == _TAB:
        i += _1
    return i


@njit(cache=True, nogil=True)
def _exponent(text: Any, i: Any) -> Any:
    """Exponent after an ``e`` at ``i`` and where it ends; ends at ``i`` where no digit follows."""
    start, negative = i, False
    i += _1
    if _byte(text, i) == _PLUS or _byte(text, i) == _MINUS:
        negative = _byte(text, i) == _MINUS
        i += _1
    value, first = np.int64(0), i
    digit = _byte(text, i) - _48
    while digit < _10:
        value = min(np.int64(10) * value + np.int64(digit), np.int64(100_000))
        i += _1
        digit = _byte(text, i) - _48
    return (-value if negative else value), (start if i == first else i)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _number(text: Any, i: Any) -> Any:
    """Value of a number at ``i``, where it ends (at ``i``: no number), and whether the value is exactly rounded."""
    start, negative = i, False
    if _byte(text, i) == _MINUS:
        negative = True
        i += _1
    elif _byte(text, i) == _PLUS:
        i += _1
    first, whole = i, _0
    digit = _byte(text, i) - _48
    while digit < _10:
        whole = whole * _10 + digit
        i += _1
        digit = _byte(text, i) - _48
    n_digits, exponent = i - first, np.int64(0)
    if _byte(text, i) == _DOT:
        i += _1
        point = i
        digit = _byte(text, i) - _48
        while digit < _10:
            whole = whole * _10 + digit
            i += _1
            digit = _byte(text, i) - _48
        n_digits += i - point
        exponent = -np.int64(i - point)
    if n_digits == _0:
        return 0.0, start, True
    if _byte(text, i) == _E or _byte(text, i) == _UPPER_E:
        power, i = _exponent(text, i)
        exponent += power
    exact = n_digits <= _19 and whole <= _EXACT and -_MOST_EXPONENT <= exponent <= _MOST_EXPONENT
    value = np.float64(whole)
    if exact:
        value = value / _POWERS[-exponent] if exponent < 0 else value * _POWERS[exponent]
    return (-value if negative else value), i, exact


@njit(cache=True, nogil=True, forceinline=True)
def _symbol(text: Any, i: Any) -> Any:
    """Code of the object whose symbol stands at ``i``, or -1, and where the symbol ends."""
    c = _byte(text, i)
    if c == _J:
        return 0, i + _1
    if c == _B:
        return 1, i + _1
    if c == _G:
        return 6, i + _1
    sign = _byte(text, i + _1)
    if c in (_E, _M) and sign in (_MINUS, _PLUS):
        return (2 if c == _E else 4) + (1 if sign == _PLUS else 0), i + _2
    return -1, i


@njit(cache=True, nogil=True, forceinline=True)
def _at_end(text: Any, i: Any) -> Any:
    """Whether a line ends at ``i``, with or without a carriage return."""
    c = _byte(text, i)
    return c == _NEWLINE or (c == _RETURN and _byte(text, i + _1) == _NEWLINE)


@njit(cache=True, nogil=True)
def _wrong(text: Any, i: Any, begin: Any) -> Any:
    """Why no field that began at ``begin`` ends at ``i``."""
    if _at_end(text, i):
        return MISSING
    c = _byte(text, i)
    if i == begin and c in (_SEMICOLON, _COMMA):
        return EMPTY
    return MISSING if c == _SEMICOLON else (LONG if c == _COMMA else TEXT)


@njit(cache=True, nogil=True, forceinline=True)
def _numbers(text: Any, i: Any, target: Any, separator: Any, slow: Any) -> Any:
    """Read the numbers of one row; ``i`` is at the character before the first.

    Returns:
        where reading stopped, why (0: all is well) and where the last field begins.
    """
    table, row, width = target
    begin, reason = i, 0
    for k in range(table.shape[1] if width == 0 else width):
        begin = _skip_spaces(text, i + _1)
        value, i, exact = _number(text, begin)
        table[row, k] = value
        if not exact:
            n = slow[0, 0] + 1
            slow[0, 0] = n
            slow[n, 0], slow[n, 1], slow[n, 2], slow[n, 3] = table.shape[1], row * table.shape[1] + k, begin, i
        nothing = i == begin
        i = _skip_spaces(text, i)
        last = k == table.shape[1] - 1
        good = (_byte(text, i) == _SEMICOLON or _at_end(text, i)) if last else _byte(text, i) == separator
        if nothing or not good:
            reason = _wrong(text, i, begin)
            break
    return i, reason, begin


@njit(cache=True, nogil=True, forceinline=True)
def _identity(text: Any, begin: Any) -> Any:
    """Event number at ``begin``, where its field ends, and why it is none (0: all is well)."""
    i, value = begin, np.int64(0)
    digit = _byte(text, i) - _48
    while digit < _10 and i - begin < _LONGEST_IDENTITY:
        value = value * 10 + np.int64(digit)
        i += _1
        digit = _byte(text, i) - _48
    nothing = i == begin
    i = _skip_spaces(text, i)
    good = not nothing and _byte(text, i) == _SEMICOLON
    return value, i, 0 if good else _wrong(text, i, begin)


@njit(cache=True, nogil=True, forceinline=True)
def _process(text: Any, i: Any, known: Any, n_known: Any) -> Any:
    """Code of the process after the semicolon at ``i``, where its field ends, and why there is none."""
    start = _skip_spaces(text, i + _1)
    i = start
    while _byte(text, i) != _SEMICOLON and _byte(text, i) != _NEWLINE:
        i += _1
    stop = i
    while stop > start and _byte(text, stop - _1) == _SPACE:
        stop -= _1
    if _byte(text, i) == _NEWLINE:
        return 0, i, MISSING
    if stop == start:
        return 0, i, EMPTY
    for code in range(n_known):
        if _same(text, start, stop, known[code]):
            return code, i, 0
    if n_known == MOST_PROCESSES:
        return 0, i, CROWD
    known[n_known, 0], known[n_known, 1] = start, stop
    return n_known, i, 0


@njit(cache=True, nogil=True)
def _same(text: Any, start: Any, stop: Any, other: Any) -> Any:
    at = _U(other[0])
    if _U(other[1]) - at != stop - start:
        return False
    for k in range(stop - start):  # noqa: SIM110 a generator does not compile
        if text[at + _U(k)] != text[start + _U(k)]:
            return False
    return True


@njit(cache=True, nogil=True, forceinline=True)
def _objects(text: Any, i: Any, raw: Any, first: Any) -> Any:
    """Objects of a line from the semicolon at ``i`` on.

    Returns:
        where reading stopped, why (0: all is well), where the last field begins, and the number of all objects so far.
    """
    n, begin, reason = first, i, 0
    while _byte(text, i) == _SEMICOLON:
        begin = _skip_spaces(text, i + _1)
        i = begin
        if _at_end(text, i):
            break
        kind, i = _symbol(text, begin)
        i = _skip_spaces(text, i)
        if kind < 0 or _byte(text, i) != _COMMA:
            reason = EMPTY if _byte(text, begin) == _SEMICOLON else (UNKNOWN if kind < 0 else _wrong(text, i, begin))
            break
        if n - first == MOST_OBJECTS:
            reason = CROWDED
            break
        raw.codes[n] = kind
        i, reason, begin = _numbers(text, i, (raw.objects, n, 4), _COMMA, raw.slow)
        if reason:
            break
        n += 1
    return i, reason, begin, n


@njit(cache=True, nogil=True, forceinline=True)
def _line(text: Any, i: Any, raw: Any, at: Any, header_only: Any) -> Any:
    """One line into row ``at = (event, object, process)`` of ``raw``.

    Returns:
        where reading stopped, why (0: all is well), where the last field begins, and the objects and processes so far.
    """
    event, n_objects, n_known = at
    begin = i
    raw.ids[event], i, reason = _identity(text, begin)
    if reason:
        return i, reason, begin, n_objects, n_known
    begin = i + _1
    code, i, reason = _process(text, i, raw.known, n_known)
    if reason:
        return i, reason, begin, n_objects, n_known
    raw.process[event] = code
    i, reason, begin = _numbers(text, i, (raw.header, event, 1 if header_only else 3), _SEMICOLON, raw.slow)
    if reason == 0 and not header_only:
        i, reason, begin, n_objects = _objects(text, i, raw, n_objects)
    return i, reason, begin, n_objects, n_known + (code == n_known)


@njit(cache=True, nogil=True)
def parse(text: Any, size: Any, raw: Any, header_only: Any) -> Any:
    """Read all lines of ``text[:size]``, which ends with a newline, into the arrays of ``raw``; see :class:`Raw`.

    Returns:
        numbers of lines, events, objects, damaged lines and processes.
    """
    i, stop = _0, _U(size)
    n_lines = n_events = n_objects = n_bad = n_known = 0
    raw.slow[0, 0] = 0
    while i < stop:
        n_lines += 1
        i = _skip_spaces(text, i)
        if not _at_end(text, i):
            n_slow = raw.slow[0, 0]
            i, reason, begin, n_here, n_known = _line(text, i, raw, (n_events, n_objects, n_known), header_only)
            if reason:
                raw.slow[0, 0] = n_slow
                raw.bad[n_bad, 0], raw.bad[n_bad, 1], raw.bad[n_bad, 2] = n_lines, reason, begin
                n_bad += 1
            else:
                raw.lines[n_events], raw.ends[n_events] = n_lines, n_here
                n_events, n_objects = n_events + 1, n_here
        i = _newline(text, i) + _1
    return n_lines, n_events, n_objects, n_bad, n_known


class Raw(NamedTuple):
    """Arrays that :func:`parse` fills, as large as a text of ``capacity`` bytes can need; used again for every block.

    Attributes:
        ids: event numbers, int64, shape (event,).
        process: index into ``known``, int32, shape (event,).
        lines: number of the line within the block, from 1, int64, shape (event,).
        header: weight, MET in MeV and its azimuth, float64, shape (event, 3).
        ends: number of objects up to and with each event, int64, shape (event,).
        codes: place in ``SYMBOLS``, int8, shape (object,).
        objects: E, pT in MeV, eta, phi, float64, shape (object, 4).
        slow: numbers left to Python: width of the table, place in it, start and stop in the text; [0, 0] counts them.
        bad: damaged lines: number of the line, reason and start of the field, int64, shape (line, 3).
        known: start and stop of each process name in the text, int64, shape (process, 2).
    """

    ids: npt.NDArray[np.int64]
    process: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int64]
    header: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int8]
    objects: npt.NDArray[np.float64]
    slow: npt.NDArray[np.int64]
    bad: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]

    @classmethod
    def of_size(cls, capacity: int) -> Raw:
        """Arrays for a text of ``capacity`` bytes; memory that is not written to is not taken."""
        events, objects, lines = (capacity // n + 2 for n in (_SHORTEST_EVENT, _SHORTEST_OBJECT, 2))
        return cls(
            np.empty(events, np.int64),
            np.empty(events, np.int32),
            np.empty(events, np.int64),
            np.empty((events, 3)),
            np.empty(events, np.int64),
            np.empty(objects, np.int8),
            np.empty((objects, 4)),
            np.empty((capacity // 3 + 2, 4), np.int64),
            np.empty((lines, 3), np.int64),
            np.empty((MOST_PROCESSES + 1, 2), np.int64),
        )
