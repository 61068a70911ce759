"""Options that set the venue's clock."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from paper_exchange.clock import Clock, RunningClock, StandingClock, WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.market import Market

Speed = Annotated[float, typer.Option(help="0: the clock stands still; 1: it runs; N: N times as fast.")]
Start = Annotated[str, typer.Option(help="The venue's time at start: ISO, or 'now'. Standing: the bars' end.")]


def make_clock(markets: dict[str, Market], speed: float, start: str, on_wall_time: bool) -> Clock:
    """Return the clock that ``--speed`` and ``--start`` ask for.

    Standing, it stands at `start` or at the end of the bars; running, it runs from `start` or from the
    first bar and comes to stand at the end of the bars; on wall time it is the machine's.
    """
    first = min(market.tape.first_ms for market in markets.values())
    last = max(market.tape.end_ms for market in markets.values())
    if on_wall_time and speed in (0, 1):
        return WallClock() if speed == 1 else StandingClock(WallClock().now_ms())
    if on_wall_time:
        raise StartError(f"--start now needs --speed 1 (or 0), found {speed:g}.")
    at = parse_time("--start", start) if start else (last if speed == 0 else first)
    if speed == 0:
        return StandingClock(at)
    return RunningClock(at, speed, stop_ms=max(last, at))


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
