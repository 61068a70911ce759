"""Kline intervals: where each one opens and closes, on the venue's own grid."""

import re

import numpy as np

from paper_exchange.errors import ApiError, mandatory, not_valid
from paper_exchange.units import Ints

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_MONDAY = 4 * _DAY  # 1970-01-05: the venue's weeks open on Monday, while the epoch was a Thursday

# '1s' is the venue's too, and is refused like any unknown interval: the bars hold no seconds.
LENGTH_MS = {
    "1m": _MINUTE,
    "3m": 3 * _MINUTE,
    "5m": 5 * _MINUTE,
    "15m": 15 * _MINUTE,
    "30m": 30 * _MINUTE,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
}
MONTH = "1M"

_OFFSET = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?")


def check_interval(name: str | None) -> str:
    """Return `name` where it is an interval of the venue's (case matters: 1m is a minute, 1M a month)."""
    if name is None:
        raise mandatory("interval")
    if name != MONTH and name not in LENGTH_MS:
        raise ApiError(-1120, "Invalid interval.")
    return name


def offset_ms(time_zone: str | None) -> int:
    """Return a ``timeZone`` parameter such as ``8``, ``-1:00`` or ``05:45`` in ms; -12:00 to +14:00."""
    if time_zone is None:
        return 0
    match = _OFFSET.fullmatch(time_zone)
    if match is None:
        raise not_valid("timeZone")
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    signed = -minutes if match[1] == "-" else minutes
    if not -12 * 60 <= signed <= 14 * 60:
        raise not_valid("timeZone")
    return signed * _MINUTE


def grid_offset(interval: str, offset: int) -> int:
    """Return the part of `offset` that moves the interval's grid: an hour's shift leaves minutes alone."""
    length = LENGTH_MS.get(interval)
    return offset if length is None or length > _DAY else offset % length


def opens(times_ms: Ints, interval: str, offset: int = 0) -> Ints:
    """Return the open of the interval that holds each time; `offset` is the zone's, in ms east of UTC."""
    local = times_ms + offset
    if interval == MONTH:
        months = local.astype("datetime64[ms]").astype("datetime64[M]")
        return months.astype("datetime64[ms]").astype(np.int64) - offset
    length = LENGTH_MS[interval]
    anchor = _MONDAY if interval == "1w" else 0
    return (local - anchor) // length * length + anchor - offset


def next_opens(opens_ms: Ints, interval: str, offset: int = 0) -> Ints:
    """Return the open of the interval after each one; the close time the venue writes is 1 ms before it."""
    if interval == MONTH:
        months = (opens_ms + offset).astype("datetime64[ms]").astype("datetime64[M]") + 1
        return months.astype("datetime64[ms]").astype(np.int64) - offset
    return opens_ms + LENGTH_MS[interval]
