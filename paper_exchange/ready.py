"""Says that the venue is ready: a document for programs, a line for people."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from paper_exchange.api.venue import Venue
from paper_exchange.clock import Clock, RunningClock, StandingClock, WallClock
from paper_exchange.market.market import Market


def ready_document(venue: Venue, host: str, port: int) -> dict[str, object]:
    """Return what other programs need to know of a venue that is ready; secrets are not among it."""
    markets, clock = venue.markets, venue.clock
    shown = f"[{host}]" if ":" in host else host
    return {
        "url": f"http://{shown}:{port}",
        "host": host,
        "port": port,
        "pid": os.getpid(),
        "symbols": list(markets),
        "bars": {name: len(market.tape) for name, market in markets.items()},
        "first": min(market.tape.first_ms for market in markets.values()),
        "last": max(market.tape.end_ms for market in markets.values()) - 60_000,
        "sources": {name: market.source for name, market in markets.items()},
        "accounts": [account.name for account in venue.accounts],
        **_time_line(clock),
        "clock": _clock_words(clock),
    }


def ready_line(markets: Mapping[str, Market], ready: dict[str, object], clock: Clock) -> str:
    """Return the one line that people read."""
    parts = []
    for name, market in markets.items():
        tape = market.tape
        span = f"{_minute(tape.first_ms)} to {_minute(tape.end_ms - 60_000)} UTC"
        parts.append(f"{name} {len(tape):,} bars {span} ({market.source})")
    now = _minute(clock.now_ms())
    return f"paper-exchange ready at {ready['url']}: {'; '.join(parts)}; clock {_clock_words(clock)} at {now} UTC"


def _time_line(clock: Clock) -> dict[str, object]:
    """Return what tells the venue's time without asking: `time` at `wall_time`, then `speed` ms for each, up to `stop`.

    A clock that runs is told by where its line begins, so that there is nothing to round.
    """
    mapping = clock.mapping
    if isinstance(clock, RunningClock):
        shown, wall_ms = mapping.venue_ms, mapping.wall_ms
    else:
        shown = clock.now_ms()
        wall_ms = shown if mapping.speed else WallClock().now_ms()
    return {"time": shown, "wall_time": wall_ms, "speed": mapping.speed, "stop": mapping.stop_ms}


def _clock_words(clock: Clock) -> str:
    if isinstance(clock, RunningClock):
        return f"runs at speed {clock.speed:g}"
    return "stands still" if isinstance(clock, StandingClock) else "runs on wall time"


def _minute(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
