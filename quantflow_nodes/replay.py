"""Brings an older stretch back: bars and signals as they were known, traded again, beside what happened then."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from quantflow_nodes.freqtrade_bot import Bot, BotRequest, running_bot
from quantflow_nodes.known_signals import Writing, known_writings, write
from quantflow_nodes.programs import make_folder, running_venue, venue_clock
from research.readers import get_market_data
from schemas.clock import Clock
from schemas.collections import FILLS, Store
from schemas.embedded import temporary_server
from schemas.errors import InputError
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

CONSUMER = "replay"
_LEAD_S = 25.0  # real seconds before the stretch begins, in which Freqtrade starts
_AFTER_BARS = 3  # bars after the stretch, in which its last signals are traded
_HISTORY = timedelta(hours=2)
_POLL_S = 0.005
Observer = Callable[[datetime], None]
Key = tuple[str, datetime, str]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which stretch is brought back: whose signals, traded by which bot then, of bars from `start` to `end`.

    Attributes
    ----------
    speed : float
        How many times as fast as then.
    stake_quote : float or None
        What an entry is worth; None takes that of the first entry then.
    folder : Path
        Where Freqtrade's folder lies meanwhile.
    signal_settings : mapping
        `EXT_SIG_*` variables by which the bot traded then.
    """

    strategy_id: str
    consumer: str
    timeframe: Timeframe
    start: datetime
    end: datetime
    speed: float
    stake_quote: float | None
    folder: Path
    signal_settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Execution:
    """All that was filled on one side for one signal: the mean price, the amount, and when after the bar's close."""

    price: Decimal
    amount: Decimal
    delay_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One signal's execution then and in the replay; None where there was none."""

    pair: str
    ts: datetime
    side: str
    then: Execution | None
    replayed: Execution | None

    @property
    def agrees(self) -> bool:
        """Whether both happened."""
        return self.then is not None and self.replayed is not None

    @property
    def difference_bps(self) -> float | None:
        """How far the replay's price lies above the one then, in basis points of it."""
        if self.then is None or self.replayed is None:
            return None
        return float((self.replayed.price / self.then.price - 1) * 10_000)


@dataclass(frozen=True, slots=True)
class _Past:
    """What the store tells of the stretch."""

    writings: list[Writing]
    fills: list[Mapping[str, Any]]
    symbols: list[Symbol]


def replay(request: ReplayRequest, settings: Settings, observe: Observer = lambda _now: None) -> list[Comparison]:
    """Trade a stretch again and return, signal by signal, what was filled then and now.

    The bars come from the store and are replayed by a paper-exchange; the signals appear in a database of the replay's
    own when they were written then, rewritten and retracted ones included; Freqtrade runs in live mode by the replay's
    clock. Nothing is written to the store that is read.

    Parameters
    ----------
    request : ReplayRequest
    settings : Settings
        Where the stretch lies.
    observe : callable, optional
        Called with the replay's time, now and then.

    Raises
    ------
    InputError
        Where the store has no signals or bars of that stretch.
    FreqtradeError, VenueError
        Where a program does not start or ends before its time.
    """
    with connect(settings) as db:
        past = _read(db, request)
        bars = _write_bars(db, request, past.symbols)
    begin = request.start - timedelta(seconds=_LEAD_S * request.speed)
    arguments = [*bars, "--start", begin.isoformat(), "--speed", f"{request.speed:g}", "--deposit", _wallet(past)]
    with temporary_server() as (server, uri), running_venue(arguments) as venue:
        clock = venue_clock(venue)
        own = Settings.load(mongo_uri=SecretStr(uri), db="quantflow_replay", home=server.home)
        bot = BotRequest(
            pairs=[symbol.pair for symbol in past.symbols],
            timeframe=request.timeframe.name,
            strategy_id=request.strategy_id,
            consumer=CONSUMER,
            venue_url=venue.url,
            stake_quote=request.stake_quote or _first_stake(past, request.consumer),
            folder=make_folder(request.folder / "freqtrade"),
            signal_settings=request.signal_settings,
        )
        with connect(own) as replayed, running_bot(bot, own, clock) as running:
            if clock.now() > request.start:
                raise InputError(
                    f"Freqtrade needed more than {_LEAD_S:g} s to start, and the stretch had begun by then. Choose a "
                    "lower --speed, or run it when the machine is less busy."
                )
            _play(replayed, request, past.writings, clock, running, observe)
            fills = list(replayed[FILLS].find(_scope(request) | {"consumer": CONSUMER}))
    return compare(past.fills, fills, request.timeframe)


def compare(
    then: Iterable[Mapping[str, Any]], replayed: Iterable[Mapping[str, Any]], timeframe: Timeframe
) -> list[Comparison]:
    """Return the executions of both sides beside each other, by time of the signal's bar."""
    before, now = _executions(then, timeframe), _executions(replayed, timeframe)
    keys = sorted(before.keys() | now.keys(), key=lambda key: (key[1], key[0], key[2]))
    return [Comparison(*key, then=before.get(key), replayed=now.get(key)) for key in keys]


def _read(db: Store, request: ReplayRequest) -> _Past:
    since = request.start - _HISTORY
    writings = known_writings(db, request.strategy_id, request.timeframe.name, since, request.end)
    if not writings:
        raise InputError(
            f"There are no signals of {request.strategy_id} {request.timeframe} from {since:%Y-%m-%d %H:%M} to "
            f"{request.end:%Y-%m-%d %H:%M} UTC. `quantflow runs` lists what was exported."
        )
    fills = list(db[FILLS].find(_scope(request) | {"consumer": request.consumer}))
    names = {str(writing.content["symbol"]) for writing in writings if writing.content is not None}
    return _Past(writings, fills, [Symbol.parse(name) for name in sorted(names)])


def _scope(request: ReplayRequest) -> dict[str, Any]:
    return {
        "strategy_id": request.strategy_id,
        "timeframe": request.timeframe.name,
        "ts": {"$gte": request.start, "$lt": request.end},
    }


def _write_bars(db: Store, request: ReplayRequest, symbols: list[Symbol]) -> list[str]:
    """Write the stored bars for the venue, and return its arguments that name them."""
    first = request.start - timedelta(seconds=_LEAD_S * request.speed) - _HISTORY
    last = request.end + (_AFTER_BARS + 1) * request.timeframe.delta
    arguments = []
    for symbol in symbols:
        bars = get_market_data(first, last, [symbol], timeframe="1m", db=db)
        if not len(bars) or bars["datetime"].iloc[-1] < request.end - request.timeframe.delta:
            raise InputError(
                f"A replay needs the bars of {symbol} 1m up to {request.end:%Y-%m-%d %H:%M} UTC. Import them: "
                f"import-ohlcv --tf 1m --symbol {symbol} --since {first:%Y-%m-%dT%H:%M}"
            )
        path = request.folder / f"{symbol.venue_name}.csv"
        bars.drop(columns="symbol").rename(columns={"datetime": "date"}).to_csv(path, index=False)
        arguments += ["--bars", f"{symbol.base}/{symbol.quote}={path}"]
    return arguments


def _first_stake(past: _Past, consumer: str) -> float:
    entries = sorted((fill for fill in past.fills if fill["side"] == "buy"), key=lambda fill: fill["filled_at"])
    if not entries:
        raise InputError(
            f"The bot {consumer} bought nothing in that stretch, so what an entry is worth is not known. Name another "
            "bot with --consumer, or give --stake."
        )
    return float(entries[0]["cost"].to_decimal())


def _wallet(past: _Past) -> str:
    return f"{past.symbols[0].quote}=1000000"


def _play(
    db: Store, request: ReplayRequest, writings: list[Writing], clock: Clock, bot: Bot, observe: Observer
) -> None:
    """Write each signal when it was written then, until the last one has had its time."""
    waiting = iter(writings)
    following = next(waiting, None)
    end = request.end + _AFTER_BARS * request.timeframe.delta
    while (now := clock.now()) < end:
        while following is not None and following.at <= now:
            write(db, following)
            following = next(waiting, None)
        bot.check()
        observe(now)
        time.sleep(_POLL_S)


def _executions(fills: Iterable[Mapping[str, Any]], timeframe: Timeframe) -> dict[Key, Execution]:
    grouped: dict[Key, list[Mapping[str, Any]]] = {}
    for fill in fills:
        grouped.setdefault((fill["pair"], fill["ts"], fill["side"]), []).append(fill)
    return {key: _execution(key[1] + timeframe.delta, own) for key, own in grouped.items()}


def _execution(close: datetime, fills: list[Mapping[str, Any]]) -> Execution:
    amount = sum((fill["amount"].to_decimal() for fill in fills), Decimal(0))
    cost = sum((fill["amount"].to_decimal() * fill["price"].to_decimal() for fill in fills), Decimal(0))
    first = min(fill["ordered_at"] for fill in fills)
    return Execution(cost / amount, amount, (first - close).total_seconds() * 1000)
