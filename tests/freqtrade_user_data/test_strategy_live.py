"""What the strategy lays beside the last candle while a bot trades: when a signal is set, and when no more."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from bot_folder import signal
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import RunMode
from freqtrade.persistence import Trade, init_db

from schemas.collections import SIGNALS, Store
from schemas.settings import Settings

pytestmark = [pytest.mark.mongo, pytest.mark.freqtrade]

PAIR = "BTC/USDT"
BAR = timedelta(minutes=1)


def last_closed() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - BAR


def until(last: datetime) -> pd.DataFrame:
    """Five candles, the last of which opened at `last`."""
    dates = pd.date_range(last - 4 * BAR, last, freq="min", unit="ms")
    return pd.DataFrame({"date": dates, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0})


class Loop:
    """One bot's strategy, asked as Freqtrade asks it: once a loop, then for each pair."""

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy

    def flags(self, last: datetime) -> tuple[int, int, str | None]:
        """(enter_long, exit_long, tag) of the last candle; no other candle is ever marked."""
        self.strategy.bot_loop_start(current_time=datetime.now(UTC))
        laid = self.strategy.advise_indicators(until(last), {"pair": PAIR})
        laid = self.strategy.ft_advise_signals(laid, {"pair": PAIR})
        assert not laid[["enter_long", "exit_long"]].iloc[:-1].to_numpy().any()
        row = laid.iloc[-1]
        return int(row["enter_long"]), int(row["exit_long"]), row["enter_tag"]


@pytest.fixture
def loop(
    strategy_file: ModuleType, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Loop]:
    assert settings.mongo_uri is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXT_SIG_MONGO_URI", settings.mongo_uri.get_secret_value())
    monkeypatch.setenv("EXT_SIG_DB", settings.db)
    monkeypatch.setenv("EXT_SIG_RETRY_AFTER_S", "0")
    init_db("sqlite://")
    block = {"strategy_id": "btc_momentum", "cooldown_bars": 5}
    config: dict[str, Any] = {
        "runmode": RunMode.DRY_RUN, "dry_run": True, "timeframe": "1m", "external_signals": block,
        "user_data_dir": tmp_path, "exchange": {"name": "binance"},
    }  # fmt: skip
    strategy = strategy_file.ExternalSignalStrategy(config)
    strategy.timeframe = "1m"
    strategy.dp = DataProvider(config, None, SimpleNamespace(whitelist=[PAIR]))
    strategy.freqai = SimpleNamespace(shutdown=lambda: None)
    strategy.ft_bot_start()
    yield Loop(strategy)
    strategy.ft_bot_cleanup()
    Trade.session.remove()


def trade(open_for: timedelta, **values: Any) -> Trade:
    opened = datetime.now(UTC) - open_for
    return Trade(
        pair=PAIR,
        exchange="binance",
        open_rate=1.0,
        stake_amount=1.0,
        amount=1.0,
        fee_open=0.0,
        fee_close=0.0,
        open_date=opened,
        **{"is_open": True, **values},
    )


def test_a_signal_is_set_on_one_candle_for_as_long_as_it_is_the_last(loop: Loop, db: Store) -> None:
    """Set in each loop of its candle, since an order may fail; no more on the next, which chooses it too."""
    closed = last_closed()
    assert loop.flags(closed) == (0, 0, None)
    db[SIGNALS].insert_one(signal(PAIR, closed, action="enter_long"))
    tag = f"btc_momentum@{closed:%Y-%m-%dT%H:%MZ}#1"
    assert loop.flags(closed) == (1, 0, tag)
    assert loop.flags(closed) == (1, 0, tag)
    assert loop.flags(closed + BAR) == (0, 0, None)


def test_a_signal_whose_trade_exists_does_not_act_again(loop: Loop, db: Store) -> None:
    """Freqtrade's own trades tell a restarted bot what it did: entered and stopped out again, it stays out."""
    closed = last_closed()
    db[SIGNALS].insert_one(signal(PAIR, closed, action="enter_long"))
    tag = f"btc_momentum@{closed:%Y-%m-%dT%H:%MZ}#1"
    done = trade(
        timedelta(seconds=1), enter_tag=tag, is_open=False, exit_reason="stop_loss", close_date=datetime.now(UTC)
    )
    Trade.session.add(done)
    Trade.commit()
    assert loop.flags(closed) == (0, 0, None)


def test_the_cooldown_outlives_a_restart(loop: Loop, db: Store) -> None:
    """A signal closed the last trade two minutes ago; five bars must pass before the next entry."""
    closed = last_closed()
    left = f"btc_momentum@{closed - 3 * BAR:%Y-%m-%dT%H:%MZ}#1"
    ended = datetime.now(UTC) - 2 * BAR
    Trade.session.add(trade(10 * BAR, is_open=False, exit_reason=left, close_date=ended))
    Trade.commit()
    db[SIGNALS].insert_one(signal(PAIR, closed, action="enter_long"))
    assert loop.flags(closed) == (0, 0, None)


def test_an_exit_finds_the_trade_that_a_person_opened(loop: Loop, db: Store) -> None:
    """Positions are Freqtrade's: an exit signal closes what is open, whoever opened it."""
    closed = last_closed()
    Trade.session.add(trade(10 * BAR, enter_tag="force_entry"))
    Trade.commit()
    db[SIGNALS].insert_one(signal(PAIR, closed, action="exit_long"))
    assert loop.flags(closed)[1] == 1


def test_a_failed_read_leaves_no_flags_of_the_loop_before(
    loop: Loop, db: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """With the index gone reads fail: what was set in the loop before is not set any more, and nothing is raised."""
    closed = last_closed()
    db[SIGNALS].insert_one(signal(PAIR, closed, action="enter_long"))
    assert loop.flags(closed)[0] == 1
    db[SIGNALS].drop_indexes()
    with caplog.at_level(logging.WARNING):
        assert loop.flags(closed) == (0, 0, None)
    assert "No signals until MongoDB answers" in caplog.text
