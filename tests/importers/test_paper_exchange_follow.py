"""Following paper-exchange, the local venue, as it runs: on time, through its faults, and after its death."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from following import Process, wait_until
from import_samples import stored

from schemas.clock import Clock
from schemas.collections import Store

pytestmark = [pytest.mark.chain, pytest.mark.mongo, pytest.mark.venue]

FOLLOW = (
    "--follow",
    "--tf",
    "1m",
    "--symbol",
    "BINANCE:BTCUSDT,BINANCE:ETHUSDT",
    "--since",
    "2022-01-20T11:00",
    "--json",
)
SPEED = 30


class RunningVenue:
    """paper-exchange as a process, its time running fast from noon of a day of January 2022."""

    def __init__(self, folder: Path) -> None:
        self._ready = folder / "ready.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.clock = Clock()
        self._start(datetime(2022, 1, 20, 12, tzinfo=UTC), 0)

    def _start(self, time: datetime, port: int) -> None:
        self._ready.unlink(missing_ok=True)
        bars = ("--bars", "synthetic", "--symbol", "BTCUSDT,ETHUSDT", "--faults")
        clock = ("--start", time.isoformat(), "--speed", str(SPEED))
        command = [sys.executable, "-c", "from paper_exchange.cli import main; main()", *bars, *clock]
        self._process = subprocess.Popen(
            [*command, "--port", str(port), "--ready-file", str(self._ready)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._ready.exists, 60)
        found = json.loads(self._ready.read_text())
        self.url = found["url"]
        self.clock = Clock(_time(found["time"]), _time(found["wall_time"]), SPEED)

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """Start at the same address, with the time that it would show by now."""
        self._start(self.clock.now(), int(self.url.rpartition(":")[2]))

    def fault(self, **fault: object) -> None:
        """Switch a fault on."""
        httpx.post(f"{self.url}/control/faults", json=fault).raise_for_status()

    def bars(self, symbol: str, first: datetime, last: datetime) -> list[list[Any]]:
        """Return the venue's own klines."""
        span = {"startTime": int(first.timestamp() * 1000), "endTime": int(last.timestamp() * 1000), "limit": 1000}
        found = httpx.get(f"{self.url}/api/v3/klines", params={"symbol": symbol, "interval": "1m", **span}, timeout=30)
        return list(found.raise_for_status().json())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningVenue]:
    """The venue, killed at the end."""
    venue = RunningVenue(tmp_path)
    yield venue
    venue.kill()


@pytest.fixture
def follow(running: RunningVenue, start: Callable[..., Process]) -> Callable[[], Process]:
    """Start to follow both symbols, in the venue's time; the import has ended on return."""

    def begin() -> Process:
        process = start(*FOLLOW, "--exchange-url", running.url, QUANTFLOW_REPLAY_CLOCK=str(running.clock))
        assert json.loads(process.line())["event"] == "imported"
        return process

    return begin


def count(db: Store) -> int:
    return db["crypto_market_1m"].count_documents({})


def wait_for_more(db: Store, bars: int) -> None:
    """Wait until so many more bars are stored of both symbols together."""
    before = count(db)
    wait_until(lambda: count(db) >= before + bars, 120)


def ended(process: Process) -> dict[str, Any]:
    """End it as `kill` does, and return the sums."""
    process.terminate()
    ran = process.ended()
    assert ran.code == 143, ran.err
    return dict(json.loads(ran.out.splitlines()[-1]))


def assert_same_bars(db: Store, venue: RunningVenue) -> None:
    """What is stored is what the venue has, without a hole."""
    for name in ("BTCUSDT", "ETHUSDT"):
        own = [document for document in stored(db) if document["symbol"] == f"BINANCE:{name}"]
        rows = venue.bars(name, own[0]["datetime"], own[-1]["datetime"])
        assert [int(document["datetime"].timestamp() * 1000) for document in own] == [row[0] for row in rows]
        fields = ("open", "high", "low", "close", "volume")
        assert [[document[field] for field in fields] for document in own] == [
            [float(value) for value in row[1:6]] for row in rows
        ]


def test_bars_are_stored_within_a_second_of_their_close(
    db: Store, running: RunningVenue, follow: Callable[[], Process]
) -> None:
    """The delay is that of MongoDB's clock behind the bar's close; the clock runs fast, so it is told enlarged."""
    process = follow()
    wait_for_more(db, 12)
    found = ended(process)
    assert found["delay_ms"]["p50"] / SPEED < 1000
    assert min(counts["streamed"] for counts in found["symbols"]) >= 3
    assert_same_bars(db, running)


def test_faults_of_the_venue_lose_nothing(db: Store, running: RunningVenue, follow: Callable[[], Process]) -> None:
    """Sockets cut and refused, limits, errors of the server, late candles, all at once: every bar is there, once."""
    process = follow()
    wait_for_more(db, 4)
    running.fault(kind="drop", refuse_s=3)
    running.fault(kind="rate_limit", status=429, retry_after_s=2, count=2, paths=["/api/*"])
    running.fault(kind="error", status=502, count=3, paths=["/api/v3/klines"], methods=["GET"])
    wait_for_more(db, 12)
    running.fault(kind="late_candle", ms=1500, seconds=4)
    wait_for_more(db, 8)
    found = ended(process)
    assert found["reconnects"] >= 1
    assert_same_bars(db, running)


def test_a_venue_that_was_killed_is_found_again(
    db: Store, running: RunningVenue, follow: Callable[[], Process]
) -> None:
    """kill -9 of the venue; when it is back, the bars of the time between come over REST."""
    process = follow()
    wait_for_more(db, 4)
    running.kill()
    running.start_again()
    wait_for_more(db, 12)
    found = ended(process)
    assert found["reconnects"] >= 1
    assert_same_bars(db, running)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
