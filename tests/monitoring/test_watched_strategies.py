"""What the watch file leaves out is found in the store: strategies, bots, pairs and bars."""

from datetime import timedelta
from typing import Any

import pytest
from chain_documents import BOT, NOON, PAIR, STRATEGY, export, opens, receipt, signal
from structlog.testing import capture_logs

from monitoring.sources.series_health import Series
from monitoring.sources.watched_strategies import find_watched
from monitoring.watch_file import WatchedStrategy
from schemas.collections import SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, WORKFLOW_RUNS, Store

pytestmark = pytest.mark.mongo
DAY = timedelta(days=1)


def graph(run_id: str, *bars: dict[str, Any]) -> dict[str, Any]:
    nodes = {f"bars{number}": {"type": "read_bars", "params": params} for number, params in enumerate(bars)}
    return {"run_id": run_id, "name": run_id, "state": "running", "started_at": NOON, "graph": {"nodes": nodes}}


def test_a_strategy_is_found_with_all_that_belongs_to_it(db: Store) -> None:
    """The pairs of its exports, the bars that its graph reads, the bot that wrote receipts."""
    bars = [{"symbols": ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"]}, {"symbols": ["BINANCE:BTCUSDT"], "timeframe": "1d"}]
    db[WORKFLOW_RUNS].insert_one(graph("r", *bars))
    db[SIGNAL_EXPORTS].insert_one(export(0, 900, 400, pairs=["ETH/USDT", PAIR]))
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 1_500))
    (found,) = find_watched(db, (), opens(5))
    assert found.watched == WatchedStrategy(
        strategy_id=STRATEGY,
        timeframe="1m",
        consumer=BOT,
        pairs=(PAIR, "ETH/USDT"),
        symbols=("BINANCE:BTCUSDT", "BINANCE:ETHUSDT"),
    )
    assert found.series == (
        Series("BINANCE:BTCUSDT", "1d"),
        Series("BINANCE:BTCUSDT", "1m"),
        Series("BINANCE:ETHUSDT", "1m"),
    )


def test_strategies_without_an_export_of_late_are_left_alone(db: Store) -> None:
    """Unless the file names them; a strategy of 1d may be silent for three of its bars."""
    db[SIGNAL_EXPORTS].insert_many([export(0, 900), export(0, 900, timeframe="1d"), export(0, 900, strategy_id="t")])
    found = find_watched(db, (), opens(0) + DAY)
    assert [(one.watched.strategy_id, one.watched.timeframe) for one in found] == [
        ("s", "1d"),
        ("s", "1m"),
        ("t", "1m"),
    ]
    found = find_watched(db, (), opens(0) + 2 * DAY)
    assert [(one.watched.strategy_id, one.watched.timeframe) for one in found] == [("s", "1d")]
    (named,) = find_watched(db, (WatchedStrategy(strategy_id="t"),), opens(0) + 2 * DAY)
    assert named.watched.pairs == (PAIR,)


def test_what_the_file_says_is_kept(db: Store) -> None:
    """Its pairs, symbols and bot win over what is found."""
    db[SIGNAL_EXPORTS].insert_one(export(0, 900))
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 1_500))
    named = WatchedStrategy(
        strategy_id=STRATEGY, consumer="mine", pairs=("SOL/USDT",), symbols=("BINANCE:SOLUSDT",), every_bar=True
    )
    (found,) = find_watched(db, (named,), opens(5))
    assert (found.watched, found.series) == (named, (Series("BINANCE:SOLUSDT", "1m"),))


def test_each_bot_that_reads_it_is_watched_by_itself(db: Store) -> None:
    """A bot that was renamed a day ago is not missed, as long as there is another one."""
    db[SIGNAL_EXPORTS].insert_one(export(0, 900))
    old = receipt(-1_500, 1_500, consumer="old-name")
    db[SIGNAL_RECEIPTS].insert_many([old, receipt(0, 1_500), receipt(0, 1_700, consumer="second")])
    assert [one.watched.consumer for one in find_watched(db, (), opens(5))] == [BOT, "second"]
    db[SIGNAL_RECEIPTS].delete_many({"ts": NOON})
    assert [one.watched.consumer for one in find_watched(db, (), opens(5))] == ["old-name"]
    db[SIGNAL_RECEIPTS].delete_many({})
    assert [one.watched.consumer for one in find_watched(db, (), opens(5))] == [None]


def test_bars_of_a_graph_that_is_not_stored_are_those_of_the_signals(db: Store) -> None:
    """Another program exported it: its symbols are known from its signals, and 5m are made of 1m."""
    db[SIGNAL_EXPORTS].insert_one(export(0, 900, timeframe="5m"))
    db[SIGNALS].insert_one(signal(0, 80, timeframe="5m"))
    (found,) = find_watched(db, (), opens(5))
    assert found.series == (Series("BINANCE:BTCUSDT", "1m"),)


def test_nothing_stored_is_nothing_watched(db: Store) -> None:
    """An empty database, or one in which another program wrote what is no strategy."""
    assert find_watched(db, (), NOON) == ()
    db[SIGNAL_EXPORTS].insert_one(export(0, 900, timeframe="soon"))
    assert find_watched(db, (), opens(5)) == ()


def test_odd_exports_and_receipts_hide_no_strategy(db: Store) -> None:
    """The newest export names no pairs, and a receipt has no time: what can be read is watched."""
    db[SIGNAL_EXPORTS].insert_many([export(0, 900), export(1, 900, pairs=None), export(2, 900, exported_at="noon")])
    db[SIGNAL_RECEIPTS].insert_many([receipt(0, 1_500), receipt(1, 1_500) | {"seen_at": "noon"}])
    (found,) = find_watched(db, (), opens(5))
    assert (found.watched.pairs, found.watched.consumer) == ((PAIR,), BOT)


def test_an_address_is_not_used_for_several_bots(db: Store) -> None:
    """Whose it is nobody knows: both are watched by the store alone, and it is said once to name the consumer."""
    db[SIGNAL_EXPORTS].insert_one(export(0, 900))
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 1_500))
    named = WatchedStrategy(strategy_id=STRATEGY, freqtrade="http://127.0.0.1:8080", exchange="binance")
    (only,) = find_watched(db, (named,), opens(5))
    assert (only.watched.freqtrade, only.watched.exchange) == (named.freqtrade, "binance")
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 1_700, consumer="dry"))
    with capture_logs() as logs:
        for _ in range(2):
            found = [one.watched for one in find_watched(db, (named,), opens(5))]
            assert [(one.consumer, one.freqtrade, one.exchange) for one in found] == [
                (BOT, None, None),
                ("dry", None, None),
            ]
    assert [(one["event"], one["found"]) for one in logs] == [("consumer_not_named", "bot, dry")]
    (mine,) = find_watched(db, (named.model_copy(update={"consumer": BOT}),), opens(5))
    assert mine.watched.exchange == "binance"
