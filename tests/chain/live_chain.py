"""The live chain for tests: mongod, the venue as a process, the real Freqtrade, and signals put in by the test."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from monitoring.chain.findings import Finding
from monitoring.chain.reconciler import Counterparts, reconcile_all
from monitoring.chain.signal_chain import Scope
from monitoring.sources.venue_account import VenueAccount, VenueKeys
from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET, Bot, BotRequest, running_bot
from quantflow_nodes.programs import Venue, end_process, venue_clock
from schemas.clock import Clock
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.settings import Settings
from schemas.timeframes import Timeframe

SPEED = 20.0
START = "2022-01-20T12:00"
MINUTE = Timeframe.parse("1m")
KEY: dict[str, Any] = {"strategy_id": "chain", "pair": "BTC/USDT", "timeframe": "1m"}
CONSUMER = "chain-bot"
STAKE_QUOTE = 1_000.0
PATIENCE_S = 120.0


@dataclass
class VenueProcess:
    """A paper-exchange with faults and a journal, which can be killed and comes back at its port."""

    folder: Path
    depth_levels: int = 3
    weight_limit: int = 6000
    port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Venue:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        arguments = [
            "--bars", "synthetic", "--start", START, "--speed", f"{SPEED:g}", "--deposit", "USDT=100000", "--faults",
            "--depth-levels", str(self.depth_levels), "--weight-limit", str(self.weight_limit),
            "--journal", str(self.folder / "journal"), "--port", str(self.port), "--ready-file", str(ready),
        ]  # fmt: skip
        with (self.folder / "venue.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from paper_exchange.cli import main; main()", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not ready.exists():
            assert self.process.poll() is None, (self.folder / "venue.log").read_text()
            assert time.monotonic() < deadline, "the venue did not start"
            time.sleep(0.02)
        document = orjson.loads(ready.read_bytes())
        return Venue(document["url"], document)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process is not None:
            end_process(self.process)


@dataclass
class LiveChain:
    """What a test does with the chain, and what it sees of it."""

    db: Store
    venue: Venue
    venue_process: VenueProcess
    bot: Bot
    clock: Clock
    began: datetime

    def signal(self, action: str) -> datetime:
        """Export a signal of the bar that closes next, right after its close, and return that bar's open."""
        ts = MINUTE.floor(self.clock.now())
        self.wait(lambda: self.clock.now() >= ts + MINUTE.delta)
        now = self.clock.now()
        document = KEY | {"symbol": "BINANCE:BTCUSDT", "ts": ts, "action": action, "version": 1, "run_id": "test"}
        self.db[SIGNALS].insert_one(document | {"created_at": now, "updated_at": now})
        return ts

    def settled(self, ts: datetime) -> tuple[str, str | None]:
        """Wait until the bot has said for good what it did with a signal: skipped, or acted and filled."""
        self.wait(lambda: self._is_settled(ts))
        receipt = self.receipt(ts)
        return receipt["decision"], receipt.get("reason")

    def receipt(self, ts: datetime) -> dict[str, Any]:
        return dict(self.db[SIGNAL_RECEIPTS].find_one({"consumer": CONSUMER, "ts": ts}) or {})

    def fills(self, ts: datetime) -> list[dict[str, Any]]:
        return [dict(fill) for fill in self.db[FILLS].find({"consumer": CONSUMER, "ts": ts}).sort("filled_at", 1)]

    def open_positions(self) -> list[dict[str, Any]]:
        return [dict(one) for one in self.db[POSITIONS].find({"consumer": CONSUMER, "state": "open"})]

    def flat(self) -> None:
        """Leave no position behind."""
        while self.open_positions():
            self.settled(self.signal("exit_long"))

    def fault(self, **document: Any) -> None:
        answer = httpx.post(f"{self.venue.url}/control/faults", json=document)
        assert answer.status_code == 201, answer.text

    def clear_faults(self) -> list[dict[str, Any]]:
        """End all faults and return them, each with how often it struck."""
        faults: list[dict[str, Any]] = httpx.delete(f"{self.venue.url}/control/faults").json()
        return faults

    def findings(self) -> list[Finding]:
        """Whatever does not fit between signals, receipts, fills and the venue's own orders."""
        scope = Scope("chain", CONSUMER, MINUTE, self.began, self.clock.now())
        keys = VenueKeys("binance", SecretStr(PAPER_KEY), SecretStr(PAPER_SECRET), self.venue.url)
        counterparts = Counterparts(venue=VenueAccount(keys), pairs=(KEY["pair"],), balances=False)
        return list(reconcile_all(self.db, scope, counterparts, self.clock.now(), grace=timedelta(0)).findings)

    def amount(self, ts: datetime) -> Decimal:
        return sum((fill["amount"].to_decimal() for fill in self.fills(ts)), Decimal(0))

    def wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            self.bot.check()
            assert time.monotonic() < deadline, self.bot.log.read_text()[-3000:]
            time.sleep(0.02)

    def _is_settled(self, ts: datetime) -> bool:
        receipt = self.receipt(ts)
        if receipt.get("reason") == "pair_locked":  # the lock of an exit ends with its candle
            return False
        return bool(receipt) and (receipt["decision"] == "skipped" or bool(self.fills(ts)))


@contextmanager
def live_chain(db: Store, settings: Settings, folder: Path) -> Iterator[LiveChain]:
    """Run venue and bot at replay speed for the length of a `with` block."""
    process = VenueProcess(folder)
    try:
        venue = process.start()
        clock = venue_clock(venue)
        request = BotRequest(
            pairs=[KEY["pair"]],
            timeframe="1m",
            strategy_id="chain",
            consumer=CONSUMER,
            venue_url=venue.url,
            stake_quote=STAKE_QUOTE,
            folder=folder / "bot",
        )
        with running_bot(request, settings, clock) as bot:
            yield LiveChain(db, venue, process, bot, clock, MINUTE.floor(clock.now()))
    finally:
        process.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
