"""The live chain from end to end on one machine, at replay speed: bars stream in, signals go out, Freqtrade trades."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from quantflow_nodes.chain_programs import Program, running_program
from quantflow_nodes.demo import DemoFailedError
from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET, Bot, BotRequest, running_bot
from quantflow_nodes.programs import (
    Venue,
    clean_environment,
    find_program,
    make_folder,
    run_program,
    running_venue,
    shared_file,
    venue_clock,
)
from schemas.clock import Clock
from schemas.collections import FILLS, MINUTE_BARS, SIGNAL_EXPORTS, SIGNALS, Store
from schemas.console import DISAGREES
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

GRAPH = "btc_momentum_1m.yaml"
STRATEGY_ID = "btc_momentum"
SYMBOL = Symbol.parse("BINANCE:BTCUSDT")
CONSUMER = "demo-bot"
LOOKBACK_BARS = 3  # the example's four hours would trade twice in the time that a demo has
STAKE_QUOTE = 1_000.0
_HISTORY = timedelta(hours=1)
_PATIENCE_S = 60.0
_POLL_S = 0.02
_MINUTE = Timeframe.parse("1m")
_TO_ACT = timedelta(seconds=50)  # how long after the last bar's close a signal of it has been acted on
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoLive:
    """One run of the demo of the live chain.

    Attributes
    ----------
    bars : Path or None
        A file of 1m bars that the venue replays; None lets a seeded generator make them.
    speed : float
        How many times as fast as the machine's the market's time runs.
    minutes : int
        How many bars are traded.
    folder : Path
        Where the programs' logs are left.
    say : callable
        Prints one line.
    """

    bars: Path | None
    speed: float
    minutes: int
    folder: Path
    say: Say

    def run(self) -> bool:
        """Run the chain; return whether nothing is missing and nothing double at its end.

        Raises
        ------
        QuantFlowError
            Where a program does not do what it must; everything that was started has ended then.
        """
        started = time.perf_counter()
        folder = make_folder(self.folder.absolute())
        with temporary_server() as (server, uri), running_venue(self._venue_arguments()) as venue:
            settings = Settings.load(mongo_uri=SecretStr(uri), db="quantflow_demo_live", home=server.home)
            self.say(f"1. The embedded MongoDB {server.running().version} runs.")
            self.say(f"2. {self._describe(venue)}")
            with connect(settings) as db, tempfile.TemporaryDirectory(prefix="quantflow-bot-") as bot_folder:
                try:
                    first, last = self._trade(db, settings, venue, folder, Path(bot_folder))
                finally:
                    _keep_log(Path(bot_folder), folder)
            agrees = self._report(_environment(settings, venue), folder, venue, first, last + _MINUTE.delta)
        self.say(
            f"All programs have stopped; their logs are in {self.folder}. {time.perf_counter() - started:.0f} s in all."
        )
        return agrees

    def _trade(
        self, db: Store, settings: Settings, venue: Venue, folder: Path, bot_folder: Path
    ) -> tuple[datetime, datetime]:
        """Run the chain until enough bars have been traded; return the opens of the first and the last of them."""
        clock, environment = venue_clock(venue), _environment(settings, venue)
        with ExitStack() as programs:
            follow = programs.enter_context(running_program(self._follow(venue), folder, environment))
            _wait("a bar in the store", lambda: db[MINUTE_BARS].find_one() is not None, follow)
            self.say("3. import-ohlcv --follow --tf 1m: candles come by websocket.")
            live = programs.enter_context(running_program(self._live(venue), folder, environment))
            bot = programs.enter_context(running_bot(self._bot(venue, bot_folder), settings, clock))
            _wait("an export", lambda: db[SIGNAL_EXPORTS].find_one() is not None, follow, live)
            self.say(f"4. quantflow live {GRAPH}: momentum of {LOOKBACK_BARS} bars, at each close.")
            self.say(
                "5. freqtrade trade --strategy ExternalSignalStrategy: live mode, with the keys of the paper venue."
            )
            first = _MINUTE.floor(clock.now())
            last = first + (self.minutes - 1) * _MINUTE.delta
            for line in _bars_as_they_close(db, first, last, clock, (follow, live, bot)):
                self.say(line)
        return first, last

    def _venue_arguments(self) -> list[str]:
        source = str(self.bars.absolute()) if self.bars else "synthetic"
        return ["--bars", source, "--speed", f"{self.speed:g}", "--deposit", f"{SYMBOL.quote}=100000"]

    def _follow(self, venue: Venue) -> list[str]:
        return [
            "import-ohlcv", "--follow", "--tf", "1m", "--symbol", str(SYMBOL), "--exchange-url", venue.url,
            "--since", _history_start(venue).isoformat(),
        ]  # fmt: skip

    def _live(self, venue: Venue) -> list[str]:
        changes = {"bars.start": _history_start(venue).isoformat(), "momentum.lookback_bars": LOOKBACK_BARS}
        given = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
        return ["quantflow", "live", str(shared_file(f"examples/{GRAPH}")), *given]

    def _bot(self, venue: Venue, folder: Path) -> BotRequest:
        return BotRequest(
            pairs=[SYMBOL.pair],
            timeframe=_MINUTE.name,
            strategy_id=STRATEGY_ID,
            consumer=CONSUMER,
            venue_url=venue.url,
            stake_quote=STAKE_QUOTE,
            folder=folder,
        )

    def _describe(self, venue: Venue) -> str:
        origin = f"the bars of {self.bars}" if self.bars else "SYNTHETIC bars from a seeded generator"
        return f"paper-exchange answers at {venue.url} and replays {origin} at {self.speed:g} times their speed."

    def _report(
        self, environment: dict[str, str], folder: Path, venue: Venue, since: datetime, until: datetime
    ) -> bool:
        scope = ["--strategy", STRATEGY_ID, "--since", since.isoformat(), "--until", until.isoformat()]
        monitor = find_program("signal-monitor", "embedded")
        per_machine = "" if self.speed == 1 else f" (divided by {self.speed:g} they are this machine's)"
        self.say(f"6. Each signal, in milliseconds of the market's time after its bar's close{per_machine}:")
        options: dict[str, Any] = {"cwd": folder, "env": environment}
        shown = run_program([monitor, "latency", *scope], **options)
        if shown.returncode != 0:
            raise DemoFailedError(f"signal-monitor latency ended with exit code {shown.returncode}.")
        self.say("7. Signals, receipts, fills, and the venue's own orders:")
        ended = run_program([monitor, "reconcile", *scope, "--exchange-url", venue.url], **options)
        if ended.returncode not in (0, DISAGREES):
            raise DemoFailedError(f"signal-monitor reconcile ended with exit code {ended.returncode}.")
        return ended.returncode == 0


def _keep_log(bot_folder: Path, folder: Path) -> None:
    """Keep what Freqtrade said, and nothing of what it traded: the next demo begins with a new bot."""
    log = bot_folder / "freqtrade.log"
    if log.is_file():
        shutil.copyfile(log, folder / log.name)


def _history_start(venue: Venue) -> datetime:
    """Return where the demo's bars begin: an hour back, or where the venue's begin."""
    ready: Any = venue.ready
    first, now = (datetime.fromtimestamp(ready[name] / 1000, UTC) for name in ("first", "time"))
    return max(first, _MINUTE.floor(now) - _HISTORY)


def _environment(settings: Settings, venue: Venue) -> dict[str, str]:
    uri = settings.mongo_uri.get_secret_value() if settings.mongo_uri else ""
    return clean_environment(
        {
            "QUANTFLOW_MONGO_URI": uri,
            "QUANTFLOW_DB": settings.db,
            "QUANTFLOW_HOME": str(settings.home),
            "QUANTFLOW_REPLAY_CLOCK": str(venue_clock(venue)),
            "QUANTFLOW_EXCHANGE_KEY": PAPER_KEY,
            "QUANTFLOW_EXCHANGE_SECRET": PAPER_SECRET,
        }
    )


def _wait(what: str, is_there: Callable[[], bool], *programs: Program) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_there():
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise DemoFailedError(f"{what[0].upper()}{what[1:]} was needed within {_PATIENCE_S:g} s, and none came.")
        time.sleep(_POLL_S)


def _bars_as_they_close(
    db: Store, first: datetime, last: datetime, clock: Clock, programs: tuple[Program | Bot, ...]
) -> Iterator[str]:
    """Give a line for each bar once its signal has had the time to be traded: the next bar's close, near enough."""
    ts = first
    while ts <= last:
        due = ts + _MINUTE.delta + _TO_ACT
        while clock.now() < due:
            for program in programs:
                program.check()
            time.sleep(_POLL_S)
        yield _bar_line(db, ts)
        ts += _MINUTE.delta


def _bar_line(db: Store, ts: datetime) -> str:
    bar = db[MINUTE_BARS].find_one({"symbol": str(SYMBOL), "datetime": ts})
    key = {"strategy_id": STRATEGY_ID, "pair": SYMBOL.pair, "timeframe": _MINUTE.name, "ts": ts}
    signal = db[SIGNALS].find_one(key)
    fills = db[FILLS].find({"consumer": CONSUMER, **key})
    done = ", ".join(f"{fill['side']} {fill['amount']} at {fill['price']}" for fill in fills)
    close = f"close {bar['close']:,.2f}" if bar else "no bar"
    traded = f"  {signal['action']}: {done or 'nothing filled'}" if signal else ""
    return f"   {ts:%Y-%m-%d %H:%M}  {close}{traded}"
