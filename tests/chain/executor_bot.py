"""A bot for the executor's chain tests: the real Freqtrade in live mode, which can be killed and comes back."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from live_chain import PATIENCE_S

from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET
from quantflow_nodes.freqtrade_folder import copy_strategy, local_exchange
from quantflow_nodes.programs import Venue, clean_environment, running_venue, shared_file, venue_clock
from schemas.clock import Clock
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.settings import Settings
from schemas.timeframes import Timeframe

PAIR, STRATEGY_ID, CONSUMER = "BTC/USDT", "chain", "executor"
MINUTE = Timeframe.parse("1m")

# What a user may write around the strategy, and what tests need of it: limit orders far from the market, a stop on
# demand, a kill at the worst moment, and the time that each loop spends in our callbacks.
SUBCLASS = """
import os, signal, time
from pathlib import Path
from ExternalSignalStrategy import ExternalSignalStrategy
from freqtrade.exchange import Exchange

FOLDER = Path(__file__).parents[1]
ordered = Exchange.create_order

def create_order(self, *args, **kwargs):
    if (FOLDER / "kill_before_order").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    order = ordered(self, *args, **kwargs)
    if (FOLDER / "kill_after_order").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return order

Exchange.create_order = create_order

def timed(name):
    def call(self, *args, **kwargs):
        began = time.monotonic()
        try:
            return getattr(super(TestStrategy, self), name)(*args, **kwargs)
        finally:
            TestStrategy.held_s += time.monotonic() - began
    return call

class TestStrategy(ExternalSignalStrategy):
    held_s = 0.0
    use_custom_stoploss = True

    def bot_loop_start(self, **kwargs):
        with (FOLDER / "held").open("a") as file:
            file.write(f"{TestStrategy.held_s}\\n")
        TestStrategy.held_s = 0.0
        began = time.monotonic()
        super().bot_loop_start(**kwargs)
        TestStrategy.held_s += time.monotonic() - began

    populate_indicators = timed("populate_indicators")
    confirm_trade_entry = timed("confirm_trade_entry")
    confirm_trade_exit = timed("confirm_trade_exit")
    order_filled = timed("order_filled")

    def custom_entry_price(self, *, proposed_rate, **kwargs):
        return proposed_rate * 0.985 if (FOLDER / "far").exists() else proposed_rate

    def custom_exit_price(self, *, proposed_rate, **kwargs):
        return proposed_rate * 1.015 if (FOLDER / "far").exists() else proposed_rate

    def custom_stoploss(self, *args, **kwargs):
        return -0.000001 if (FOLDER / "stop").exists() else None
"""


@dataclass
class ExecutorBot:
    """One user folder of Freqtrade, at one venue, and one store."""

    db: Store
    settings: Settings
    venue: Venue
    clock: Clock
    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    signal_settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for its first loop."""
        self.folder.mkdir(parents=True, exist_ok=True)
        strategies = copy_strategy(self.folder)
        (strategies / "TestStrategy.py").write_text(SUBCLASS)
        base = json.loads(shared_file("freqtrade_user_data/config.example.json").read_bytes())
        own = {
            "dry_run": False, "bot_name": CONSUMER, "stake_amount": 1_000.0, "exchange": self._exchange(),
            "external_signals": {"strategy_id": STRATEGY_ID}, "cancel_open_orders_on_exit": False,
        }  # fmt: skip
        (self.folder / "config.json").write_text(json.dumps(base | own | self.config))
        seen = self.log().count("state='RUNNING'")
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(strategies),
                cwd=self.folder, env=self._environment(), stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        self.wait(lambda: self.log().count("state='RUNNING'") > seen, "a running bot", 60)

    def end(self, by: int = signal.SIGTERM) -> None:
        """End it: politely, or by SIGKILL."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(by)
            self.process.wait(30)
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process = None

    def died(self) -> None:
        """Wait for the death that was asked for by a flag."""
        assert self.process is not None
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL
        self.end()

    def flag(self, name: str, *, on: bool = True) -> None:
        path = self.folder / name
        path.touch() if on else path.unlink()

    def closed_bar(self) -> datetime:
        """The bar that closes next; returned right after its close."""
        ts = MINUTE.floor(self.clock.now())
        self.wait(lambda: self.clock.now() >= ts + MINUTE.delta, "the bar's close", 90)
        return ts

    def signal(self, ts: datetime | None = None, pair: str = PAIR, **content: Any) -> datetime:
        """Write a signal as an export does, by default of a bar that has just closed."""
        ts = ts or self.closed_bar()
        now = self.clock.now()
        document = {
            "strategy_id": STRATEGY_ID, "symbol": "BINANCE:" + pair.replace("/", ""), "pair": pair, "timeframe": "1m",
            "ts": ts, "version": 1, "run_id": "test", "created_at": now, "updated_at": now, **content,
        }  # fmt: skip
        self.db[SIGNALS].insert_one(document)
        return ts

    def receipt(self, ts: datetime, pair: str = PAIR) -> dict[str, Any]:
        return dict(self.db[SIGNAL_RECEIPTS].find_one({"consumer": CONSUMER, "pair": pair, "ts": ts}) or {})

    def outcome(self, ts: datetime, pair: str = PAIR) -> tuple[str, str | None]:
        """Wait for a receipt, and return what it says."""
        self.wait(lambda: bool(self.receipt(ts, pair)), f"a receipt of {ts}")
        receipt = self.receipt(ts, pair)
        return receipt["decision"], receipt.get("reason")

    def becomes(self, ts: datetime, decision: str, reason: str | None = None, pair: str = PAIR) -> None:
        """Wait until a receipt says so."""

        def says_so() -> bool:
            receipt = self.receipt(ts, pair)
            return (receipt.get("decision"), receipt.get("reason")) == (decision, reason)

        self.wait(says_so, f"{decision} {reason} of {ts}, found {self.receipt(ts, pair)}")

    def fills(self, **more: Any) -> list[dict[str, Any]]:
        return [dict(fill) for fill in self.db[FILLS].find({"consumer": CONSUMER, **more}).sort("filled_at", 1)]

    def positions(self, **more: Any) -> list[dict[str, Any]]:
        return [dict(one) for one in self.db[POSITIONS].find({"consumer": CONSUMER, **more}).sort("opened_at", 1)]

    def orders(self, pair: str = PAIR) -> list[dict[str, Any]]:
        """All that the venue knows of, whoever ordered it."""
        import ccxt  # takes a second

        client = ccxt.binance({"apiKey": PAPER_KEY, "secret": PAPER_SECRET, **self._exchange()["ccxt_config"]})
        return [dict(order) for order in client.fetch_orders(pair)]

    def trades(self) -> list[tuple[Any, ...]]:
        """Freqtrade's own."""
        with closing(sqlite3.connect(self.folder / "trades.sqlite")) as database:
            return database.execute("SELECT pair, is_open, enter_tag, exit_reason FROM trades ORDER BY id").fetchall()

    def enter(self) -> datetime:
        ts = self.signal(action="enter_long")
        self.becomes(ts, "entered")
        self.wait(lambda: bool(self.positions(ts=ts)), "a position")
        return ts

    def leave(self) -> datetime:
        ts = self.signal(action="exit_long")
        self.wait(lambda: bool(self.positions(exit_ts=ts, state="closed")), "a closed position")
        return ts

    def log(self) -> str:
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def held_s(self) -> list[float]:
        """How long each loop so far was held by us, in real seconds."""
        return [float(line) for line in (self.folder / "held").read_text().split()]

    def wait(self, is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            ended = self.process is not None and self.process.poll() is not None
            assert not ended, f"the bot ended while {what} was waited for: {self.log()[-2_000:]}"
            assert time.monotonic() < deadline, f"{what} was not seen: {self.log()[-2_000:]}"
            time.sleep(0.05)

    def pass_bars(self, count: int) -> None:
        """Wait until so many further bars have closed."""
        until = MINUTE.floor(self.clock.now()) + count * MINUTE.delta + timedelta(seconds=2)
        self.wait(lambda: self.clock.now() >= until, "time to pass", 90)

    @property
    def _log_file(self) -> Path:
        return self.folder / "bot.log"

    def _exchange(self) -> dict[str, Any]:
        return local_exchange(self.venue.url, self.config.get("pairs", [PAIR]))

    def _command(self, strategies: Path) -> list[str]:
        return [
            sys.executable, "-m", "quantflow_nodes.replay_time", "freqtrade", "trade", "--strategy", "TestStrategy",
            "--strategy-path", str(strategies), "--userdir", str(self.folder), "--no-color",
            "--config", str(self.folder / "config.json"), "--db-url", f"sqlite:///{self.folder / 'trades.sqlite'}",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        assert self.settings.mongo_uri is not None
        own = {f"EXT_SIG_{name.upper()}": value for name, value in self.signal_settings.items()}
        return clean_environment(
            {
                "EXT_SIG_MONGO_URI": self.settings.mongo_uri.get_secret_value(),
                "EXT_SIG_DB": self.settings.db,
                "FREQTRADE__EXCHANGE__KEY": PAPER_KEY,
                "FREQTRADE__EXCHANGE__SECRET": PAPER_SECRET,
                "QUANTFLOW_REPLAY_CLOCK": str(self.clock),
                "PYTHONPATH": os.pathsep.join(sys.path[1:]),
                **own,
            }
        )


@contextmanager
def executor_bot(
    db: Store,
    settings: Settings,
    folder: Path,
    *,
    speed: float,
    symbols: str = "BTCUSDT",
    accounts: tuple[str, ...] = ("--deposit", "USDT=100000"),
    **more: Any,
) -> Iterator[ExecutorBot]:
    """Run a venue for the length of a `with` block, and give a bot that is not started yet."""
    arguments = [
        "--bars", "synthetic", "--symbol", symbols, "--start", "2022-01-20T12:00", "--speed", f"{speed:g}",
        *accounts, "--faults",
    ]  # fmt: skip
    with running_venue(arguments) as venue:
        bot = ExecutorBot(db, settings, venue, venue_clock(venue), folder, **more)
        try:
            yield bot
        finally:
            bot.end()
