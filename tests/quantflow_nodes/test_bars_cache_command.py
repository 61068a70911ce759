"""`quantflow db cache` shows the copies of bars on this machine, and deletes them."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from research.readers import get_crypto_min_data
from schemas.collections import MINUTE_BARS, Store
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
START = datetime(2022, 1, 1, tzinfo=UTC)


def test_copies_are_shown_and_deleted(db: Store, settings: Settings, command_env: dict[str, str]) -> None:
    """Folder, size and symbols as JSON; afterwards nothing is left, and bars are read as before."""

    def cache(*options: str) -> Any:
        command = [Path(sys.executable).with_name("quantflow"), "db", "cache", "--json", *options]
        ended = subprocess.run(command, env=command_env, capture_output=True, text=True, timeout=120, check=True)
        return json.loads(ended.stdout)

    values = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    bars = [{"symbol": "BINANCE:BTCUSDT", "datetime": START + timedelta(days=day)} | values for day in range(90)]
    db[MINUTE_BARS].insert_many(bars)
    first = get_crypto_min_data("2022-01-01", "2022-12-31", "BINANCE:BTCUSDT", db=db)
    shown = cache()
    files = [path.stat().st_size for path in (settings.home / "bars").rglob("*.*")]
    assert shown["folder"] == str(settings.home / "bars")
    assert shown["size_mb"] == pytest.approx(sum(files) / 1e6)
    assert [(one["symbol"], one["bars"], one["months"]) for one in shown["symbols"]] == [
        ("BINANCE:BTCUSDT", 90, ["2022-01", "2022-02", "2022-03"])
    ]
    assert cache("--clear")["symbols"] == []
    assert not (settings.home / "bars").exists()
    assert get_crypto_min_data("2022-01-01", "2022-12-31", "BINANCE:BTCUSDT", db=db).equals(first)
