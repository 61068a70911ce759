"""Builds markets by hand, asks the venue without a network, and starts it as a real process."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from paper_exchange.api.app import create_app
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.venue import open_venue
from paper_exchange.clock import Clock
from paper_exchange.market.instrument import Instrument
from paper_exchange.market.market import Market
from paper_exchange.market.tape import Tape

NEW_YEAR_MS = 1_640_995_200_000  # 2022-01-01 00:00 UTC, a Saturday
MINUTE_MS = 60_000
SHARED_BARS = Path(__file__).parents[3] / "shared" / "data" / "btc_perp_1m_20211231_20220201.csv.gz"

Ask = Callable[..., httpx.Response]


def market_of(tape: Tape, symbol: str = "BTCUSDT") -> Market:
    base, quote = symbol.removesuffix("USDT"), "USDT"
    instrument = Instrument(symbol, base, quote, tape.price_decimals, tape.quantity_decimals)
    return Market(instrument, tape, "a test's bars")


def tape_of(rows: list[tuple[int, int, int, int, int, int]]) -> Tape:
    """Bars written by hand: (minute, open, high, low, close, volume), prices in cents, volumes in 0.001."""
    columns = np.array(rows, dtype=np.int64).T
    return Tape(NEW_YEAR_MS + columns[0] * MINUTE_MS, *columns[1:], price_decimals=2, quantity_decimals=3)


def asker(markets: Mapping[str, Market], clock: Clock, weights: RequestWeights | None = None) -> Ask:
    """A function that asks the ASGI application for a path below /api/v3/ and returns the response."""
    transport = httpx.ASGITransport(create_app(open_venue(markets, clock, weights=weights or RequestWeights(limit=0))))

    def ask(path: str, **params: Any) -> httpx.Response:
        async def get() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://venue") as client:
                return await client.get(f"/api/v3/{path}", params=params or None)

        return asyncio.run(get())

    return ask


class Venue:
    """The venue as a process of its own, started as users start it."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.ready_file = folder / "ready.json"
        self.ready_file.unlink(missing_ok=True)  # of one that was killed
        self.said: tuple[str, str] | tuple[()] = ()
        command = [sys.executable, "-c", "from paper_exchange.cli import main; main()", "--port", str(port)]
        command += ["--ready-file", str(self.ready_file), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"The venue did not start: {self.process.communicate()}")
            time.sleep(0.02)
        self.ready: dict[str, Any] = json.loads(self.ready_file.read_text())
        self.url: str = self.ready["url"]

    def __enter__(self) -> "Venue":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, *tuple[str, ...]]:
        """End the process; its exit code and what it printed."""
        if not self.said:
            if self.process.poll() is None:
                self.process.send_signal(number)
            try:
                self.said = self.process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
                raise
        return self.process.returncode, *self.said


def exchange_block(url: str) -> dict[str, Any]:
    """The settings that keep ccxt and Freqtrade at the local venue."""
    api = {"public": f"{url}/api/v3", "private": f"{url}/api/v3", "v1": f"{url}/api/v1", "sapi": f"{url}/sapi/v1"}
    return {
        "enableRateLimit": False,
        "urls": {"api": api},
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
    }
