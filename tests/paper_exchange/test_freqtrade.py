"""The real Freqtrade downloads from the venue, unpatched."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from venue_tools import Venue, exchange_block

from paper_exchange.market.synthetic import synthetic_tape

pytestmark = [pytest.mark.venue, pytest.mark.freqtrade]


@pytest.fixture
def user_data(tmp_path: Path, venue: Venue) -> Path:
    """A user folder with a configuration that points at the venue only."""
    block = exchange_block(venue.url)
    block["urls"]["api"]["ws"] = {"spot": venue.url.replace("http", "ws") + "/ws"}
    price = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    config = {
        "dry_run": True,
        "stake_currency": "USDT",
        "stake_amount": 100,
        "max_open_trades": 1,
        "entry_pricing": price,
        "exit_pricing": price,
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": {
            "name": "binance",
            "key": "k",
            "secret": "s",
            "only_from_ccxt": True,
            "pair_whitelist": ["BTC/USDT", "ETH/USDT"],
            "ccxt_config": block,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def freqtrade(user_data: Path, command: str, *arguments: str) -> str:
    settings = ["--config", str(user_data / "config.json"), "--userdir", str(user_data)]
    run = [sys.executable, "-m", "freqtrade", command, *settings, *arguments]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, cwd=user_data, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_download_data_stores_every_closed_candle(user_data: Path) -> None:
    """1m and 1d of January: all but the newest, which Freqtrade takes for forming and drops at any venue."""
    freqtrade(
        user_data,
        "download-data",
        "--timeframes",
        "1m",
        "1d",
        "--pairs",
        "BTC/USDT",
        "--timerange",
        "20220101-20220201",
    )
    tape = synthetic_tape("BTCUSDT", 7)
    minutes = pd.read_feather(user_data / "data" / "binance" / "BTC_USDT-1m.feather")
    assert len(minutes) == len(tape) - 1
    assert minutes["date"].dt.as_unit("ms").astype("int64").tolist() == tape.open_ms[:-1].tolist()
    for name in ("open", "high", "low", "close"):
        assert minutes[name].tolist() == (getattr(tape, name)[:-1] / 100).tolist()
    assert minutes["volume"].tolist() == (tape.volume[:-1] / 1e5).tolist()
    days = pd.read_feather(user_data / "data" / "binance" / "BTC_USDT-1d.feather")
    assert len(days) == 30
    assert days["open"].tolist() == (tape.open[::1440][:30] / 100).tolist()
    assert days["high"].tolist() == (tape.high.reshape(31, 1440).max(axis=1)[:30] / 100).tolist()
    assert days["volume"].tolist() == (tape.volume.reshape(31, 1440).sum(axis=1)[:30] / 1e5).tolist()


def test_list_pairs_shows_the_venues_pairs(user_data: Path) -> None:
    """Both, and nothing from the real exchange."""
    listed = freqtrade(user_data, "list-pairs", "--print-json")
    assert json.loads(listed.strip().splitlines()[-1]) == ["BTC/USDT", "ETH/USDT"]
