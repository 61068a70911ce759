"""What a user reads when the strategy can not run: one sentence, an exit code, no traceback, no password."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from bot_folder import SHIPPED, BotFolder, candles, minute, signals

from schemas.collections import SIGNALS, Store

pytestmark = [pytest.mark.mongo, pytest.mark.freqtrade, pytest.mark.venue]


def test_a_backtest_that_can_not_read_ends_with_a_sentence(folder: BotFolder) -> None:
    """Not with zero trades: exit code 2, the sentence logged, nothing stored."""
    folder.write_candles("BTC/USDT", candles(range(100, 130)))
    done = folder.run("backtesting", mongo_uri="mongodb://trader:hunter2@127.0.0.1:9/")
    assert done.returncode == 2, done.stderr
    assert "MongoDB at mongodb://***@127.0.0.1:9/ did not answer" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not list((folder.path / "backtest_results").glob("*.zip"))


def test_a_changed_signal_is_never_answered_from_an_earlier_result(folder: BotFolder, db: Store) -> None:
    """Freqtrade reuses a result of the same config and code; the signals changed, so it must not."""
    folder.write_candles("BTC/USDT", candles(range(100, 200)))
    db[SIGNALS].insert_many(signals("BTC/USDT", {2: {"action": "enter_long"}, 9: {"action": "exit_long"}}))
    span = ("--timerange", f"{minute(0).timestamp():.0f}-{minute(90).timestamp():.0f}", "--cache", "day")
    assert list(folder.backtest(*span)["close_rate"]) == [110]
    db[SIGNALS].update_one({"ts": minute(9)}, {"$set": {"ts": minute(19)}})
    assert list(folder.backtest(*span)["close_rate"]) == [120]


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs freqtrade[hyperopt]")
def test_hyperopt_runs_in_processes_of_its_own(folder: BotFolder, db: Store) -> None:
    """The strategy is pickled into two workers with its signals: both epochs see the trades."""
    folder.write_candles("BTC/USDT", candles([100 + number % 17 for number in range(3_000)]))
    sides = {number: {"action": "enter_long" if number % 100 else "exit_long"} for number in range(0, 3_000, 50)}
    db[SIGNALS].insert_many(signals("BTC/USDT", sides))
    loss = ("--hyperopt-loss", "OnlyProfitHyperOptLoss", "--random-state", "1", "--min-trades", "1")
    done = folder.run("hyperopt", "--spaces", "roi", "--epochs", "2", "-j", "2", "--disable-param-export", *loss)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = next((folder.path / "hyperopt_results").glob("*.fthypt")).read_text().splitlines()
    epochs = [json.loads(line)["results_metrics"]["total_trades"] for line in lines]
    assert epochs == [30, 30]


def test_the_strategy_needs_nothing_but_freqtrade_and_the_schemas(folder: BotFolder, db: Store) -> None:
    """Loaded as Freqtrade loads it, every other package of ours refused; with its signals it can be pickled.

    There is no list of pairs here, as in a plot: the pair's signals are read when it is first asked for.
    """
    db[SIGNALS].insert_many(signals("BTC/USDT", {2: {"action": "enter_long"}, 4: {"action": "exit_long"}}))
    folder.write_candles("BTC/USDT", candles(range(100, 110)))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(SHIPPED / "strategies"), str(folder.path)],
        env=folder.environment(strategy_id="btc_momentum"),
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1m {} -0.99 False", "[2] [4]", "[2] [4]"]


ALONE = """
import pickle
import sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("research", "importers", "quantflow_nodes", "paper_exchange", "monitoring"):
            raise ImportError(f"the strategy must not import {name}")

sys.meta_path.insert(0, Refuse())
import pandas as pd
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import RunMode
from freqtrade.resolvers import StrategyResolver
import cloudpickle

config = {"strategy": "ExternalSignalStrategy", "strategy_path": sys.argv[1], "timeframe": "1m",
          "user_data_dir": Path(sys.argv[2]), "stake_currency": "USDT", "runmode": RunMode.PLOT}
strategy = StrategyResolver.load_strategy(config)
print(strategy.timeframe, strategy.minimal_roi, strategy.stoploss, strategy.process_only_new_candles)
strategy.dp = DataProvider(config, None)
strategy.ft_bot_start()
candles = pd.read_feather(Path(sys.argv[2]) / "data" / "binance" / "BTC_USDT-1m.feather")

def flags(frame):
    pair = {"pair": "BTC/USDT"}
    laid = strategy.ft_advise_signals(strategy.advise_indicators(frame.copy(), pair), pair)
    return [laid.index[laid[name] == 1].tolist() for name in ("enter_long", "exit_long")]

print(*flags(candles))
print(*pickle.loads(cloudpickle.dumps(flags))(candles))
"""
