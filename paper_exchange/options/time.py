"""Options that set the venue's clock."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from paper_exchange.clock import Clock, RunningClock, StandingClock, WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.market import Market

Speed = Annotated[float, typer.Option(help="0: the clock stands still; 1: it runs; N: N times as fast.")]
Start = Annotated[str, typer.Option(help="The venue's time at start: ISO, or 'now'. Standing: the bars' end.")]
Origin = Annotated[
    int | None, typer.Option(min=0, help="The machine's time at --start, in ms since 1970; without it that is now.")
]
WallTime = Annotated[bool, typer.Option("--wall-time", help="Move the bars so that the minute of --start is now's.")]

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Timing:
    """What the options say about time, in agreement with each other.

    Parameters
    ----------
    speed, start, origin_ms
        As they were given; on wall time the speed is 1 unless the clock is to stand.
    on_wall_time
        Whether the venue's time is the machine's.
    move_ms
        By how much the bars are to be moved, whole minutes.
    """

    speed: float
    start: str
    origin_ms: int | None
    on_wall_time: bool
    move_ms: int = 0


def read_timing(speed: float, start: str, origin_ms: int | None, wall_time: bool, *, all_invented: bool) -> Timing:
    """Return what the options say about time.

    Parameters
    ----------
    all_invented
        Whether all bars come from a seed, which can make them for any time.

    Raises
    ------
    StartError
        Where the options contradict each other.
    """
    if not 0 <= speed < math.inf:
        raise StartError(f"--speed needs a number from 0 up, found {speed}.")
    if wall_time:
        if not start or start == "now":
            raise StartError("--wall-time needs the --start T whose minute is to be the present one, found none.")
        if speed not in (0, 1):
            raise StartError(f"--wall-time runs at the machine's speed; leave --speed out, found {speed:g}.")
        present_ms = WallClock().now_ms() if origin_ms is None else origin_ms
        move_ms = present_ms // _MINUTE_MS * _MINUTE_MS - parse_time("--start", start) // _MINUTE_MS * _MINUTE_MS
        return Timing(1, start, origin_ms, on_wall_time=True, move_ms=move_ms)
    on_wall_time = start == "now" or (speed == 1 and not start and origin_ms is None and all_invented)
    if origin_ms is not None and (speed == 0 or on_wall_time):
        raise StartError("--origin says when a running clock was at --start; it needs --speed, or --wall-time.")
    return Timing(speed, start, origin_ms, on_wall_time)


def make_clock(
    markets: dict[str, Market], speed: float, start: str, on_wall_time: bool, origin_ms: int | None = None
) -> Clock:
    """Return the clock that ``--speed`` and ``--start`` ask for.

    Standing, it stands at `start` or at the end of the bars; running, it runs from `start` or from the
    first bar and comes to stand at the end of the bars; on wall time it is the machine's. It is at `start`
    when the machine's time is `origin_ms`, or now.

    Raises
    ------
    StartError
        Where the clock would stand outside of all bars: there nothing can ever be bought or sold.
    """
    first = min(market.tape.first_ms for market in markets.values())
    last = max(market.tape.end_ms for market in markets.values())
    if on_wall_time and speed in (0, 1):
        return WallClock() if speed == 1 else _standing(WallClock().now_ms(), first, last)
    if on_wall_time:
        raise StartError(f"--start now needs --speed 1 (or 0), found {speed:g}.")
    at = parse_time("--start", start) if start else (last if speed == 0 else first)
    if speed == 0:
        return _standing(at, first, last)
    return RunningClock(at, speed, stop_ms=max(last, at), wall_ms=origin_ms)


def _standing(at_ms: int, first_ms: int, last_ms: int) -> StandingClock:
    if not first_ms <= at_ms <= last_ms:
        raise StartError(
            f"--start is where the clock stands; found {_minute(at_ms)}, and the bars go from {_minute(first_ms)} to "
            f"{_minute(last_ms)}. Name a time between them, or leave --start out to stand at their end."
        )
    return StandingClock(at_ms)


def _minute(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def parse_time(option: str, value: str) -> int:
    """Return an ISO time as ms since 1970; one without a zone is UTC."""
    try:
        parsed = datetime.fromisoformat(value)
        milliseconds = round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        milliseconds = -1
    if milliseconds < 0:
        raise StartError(f"{option} needs an ISO time such as 2022-01-15T12:00, from 1970 on, found {value!r}.")
    return milliseconds
