"""Bars from paper-exchange, the local venue, as the demo imports them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from import_samples import Ran, stored

from schemas.collections import Store

pytestmark = [pytest.mark.mongo, pytest.mark.venue]


@pytest.fixture
def paper_exchange(tmp_path: Path) -> Iterator[str]:
    """The address of a venue that plays three synthetic days of BTCUSDT and ETHUSDT, its clock at their end."""
    ready = tmp_path / "ready.json"
    start = "from paper_exchange.cli import main; main()"
    bars = ("--bars", "synthetic", "--days", "3", "--symbol", "BTCUSDT,ETHUSDT")
    process = subprocess.Popen(
        [sys.executable, "-c", start, *bars, "--port", "0", "--ready-file", str(ready)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        process.wait(30)


def test_minutes_and_days_of_the_local_venue_agree(run_cli: Callable[..., Ran], paper_exchange: str, db: Store) -> None:
    """All minutes of both symbols, once; the venue's daily bars are those that its minutes make."""
    both = ("--symbol", "BINANCE:BTCUSDT,BINANCE:ETHUSDT", "--exchange-url", paper_exchange, "--json")
    first, second = (json.loads(run_cli("--tf", "1m", *both).out)["symbols"] for _ in range(2))
    assert [(counts["inserted"], counts["rejected"], counts["gaps"]) for counts in first] == [(3 * 1440, 0, 0)] * 2
    assert [counts["fetched"] for counts in second] == [0, 0]
    days = json.loads(run_cli("--tf", "1d", *both).out)["symbols"]
    assert [counts["inserted"] for counts in days] == [3, 3]
    from_venue = stored(db, "crypto_market")
    db["crypto_market"].delete_many({})
    resampled = run_cli("--tf", "1d", "--symbol", "BINANCE:BTCUSDT,BINANCE:ETHUSDT", "--resample-from", "1m", "--json")
    assert resampled.code == 0
    from_minutes = stored(db, "crypto_market")
    assert [{**bar, "volume": 0} for bar in from_minutes] == [{**bar, "volume": 0} for bar in from_venue]
    # The venue adds in decimals, MongoDB in compensated binary: equal to the last digits of a float64.
    assert [bar["volume"] for bar in from_minutes] == pytest.approx([bar["volume"] for bar in from_venue], rel=1e-12)
