"""What a live session exports bar by bar is, signal by signal, what one run over the whole history gives."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from live_market import (
    BTC,
    ETH,
    TWO,
    Bar,
    export,
    factor,
    graph,
    live,
    position,
    run_over_history,
    signals_of,
    store,
    walk,
    without,
)
from market import START

from schemas.collections import DAY_BARS, SIGNAL_REVISIONS, Store
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
MINUTES, WARM = 220, 61
SCORES = export("strategy_id: s, value: score, emit: every_bar", "factor: factor.factor")
RANK = "  rank: {type: cross_sectional_rank, inputs: {factor: factor.factor}}\n"
GRAPHS = {
    "momentum": graph(factor("{name: momentum, lookback_bars: 20}") + position() + export()),
    "rare crossings": graph(factor("{name: zscore, lookback_bars: 20}") + position(1.9, -1.9) + export()),
    "recursion": graph(factor("{name: rsi, lookback_bars: 14}") + position(58, 42) + export()),
    "scores of a recursion": graph(factor("{name: ema, lookback_bars: 30}") + SCORES),
    "a long summed window": graph(factor("{name: zscore, lookback_bars: 60}") + SCORES),
    "scores": graph(factor("{name: volatility, lookback_bars: 30}") + SCORES),
    "ranks": graph(
        factor("{name: momentum, lookback_bars: 15}") + RANK + position(0.75, 0.25, "rank.factor") + export(), TWO
    ),
    "weights": graph(
        factor("{name: momentum, lookback_bars: 10}") + position() + export("strategy_id: s, value: weight"), TWO
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_bar_by_bar_equals_one_run(name: str, settings: Settings, db: Store) -> None:
    """From the first bars that suffice on, each close by itself."""
    text = GRAPHS[name]
    closes = walk(db, MINUTES, BTC, *([ETH] if ETH in text else []))
    store(db, [bar for bars in closes[:WARM] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[WARM:])
    assert signals_of(db) == run_over_history(settings, text, closes)
    assert len(signals_of(db)) > 3


def test_gaps_reach_further_back(settings: Settings, db: Store) -> None:
    """A look-back counts bars that exist: with holes in one symbol, and one in both, live counts the same ones."""
    text = graph(
        factor("{name: momentum, lookback_bars: 15}") + RANK + position(0.75, 0.25, "rank.factor") + export(), TWO
    )
    closes = without(walk(db, MINUTES, BTC, ETH), ETH, [*range(70, 95), *range(130, 133)])
    closes = without(closes, BTC, [*range(90, 99), 140])
    store(db, [bar for bars in closes[:WARM] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[WARM:])
    assert signals_of(db) == run_over_history(settings, text, closes)


def test_a_symbol_that_is_listed_later_joins(settings: Settings, db: Store) -> None:
    """Its first bars are its whole history, while the other one's window has long been cut."""
    text = graph(factor("{name: momentum, lookback_bars: 15}") + position(0.001, -0.001) + export(), TWO)
    closes = without(walk(db, MINUTES, BTC, ETH), ETH, range(1, 100))
    store(db, [bar for bars in closes[:99] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[99:150])
    with live(settings, db, text) as drive:
        drive.closes(closes[150:])
    assert signals_of(db) == run_over_history(settings, text, closes)


JOINED = """
  days: {type: read_bars, params: {symbols: ["BINANCE:BTCUSDT"], timeframe: 1d, start: 2022-01-01, end: 2022-02-01}}
  level: {type: factor, params: {name: returns, lookback_bars: 1}, inputs: {bars: days.bars}}
  fast: {type: factor, params: {name: momentum, lookback_bars: 15}, inputs: {bars: bars.bars}}
  factor: {type: join_asof, inputs: {onto: fast.factor, factor: level.factor}}
"""


def days(closes: Sequence[float]) -> list[Bar]:
    """Days from 2021-12-30 on."""
    first = START - timedelta(days=2)
    return [
        {"date": f"{first + timedelta(days=number):%Y%m%d}", "symbol": BTC, "open": close, "high": close, "low": close,
         "close": close, "volume": 1.0}
        for number, close in enumerate(closes)
    ]  # fmt: skip


def test_a_day_joins_its_minutes_when_it_has_closed(settings: Settings, db: Store) -> None:
    """Over midnight; the day's bar comes some minutes late, and what was exported without it is revised."""
    text = graph(JOINED.replace("start: 2022-01-01, end: 2022-02-01", "start: 2021-12-30, end: 2022-02-01") + SCORES)
    slow = days([1.0, 2.0, 3.0])
    closes = walk(db, 1_500)[1_380:]
    store(db, slow[:2], DAY_BARS)
    store(db, [bar for bars in closes[:20] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[20:70])
        assert db[SIGNAL_REVISIONS].count_documents({}) == 0
        drive.late(slow[2:], DAY_BARS)
        drive.closes(closes[70:])
    assert signals_of(db) == run_over_history(settings, text, closes, slow)
    assert db[SIGNAL_REVISIONS].count_documents({}) == 11  # the minutes that closed from 00:00 to 00:10
    assert {signal["score"] for signal in signals_of(db)} == {1.0, 0.5}


def test_a_node_of_ones_own_is_given_all_bars(settings: Settings, db: Store) -> None:
    """It declares nothing, so it may depend on everything: here on how many bars there have been."""
    counting = "  factor: {type: 'counting_nodes:Counted', inputs: {bars: bars.bars}}\n"
    text = graph(counting + SCORES)
    closes = walk(db, 700)
    store(db, [bar for bars in closes[:620] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[620:640])
    with live(settings, db, text) as drive:
        drive.closes(closes[640:660])
    assert [signal["score"] for signal in signals_of(db)] == [float(number) for number in range(1, 661)]


@pytest.mark.parametrize("name", ["rare crossings", "recursion", "ranks", "a long summed window"])
def test_sessions_one_after_the_other_equal_one_run(name: str, settings: Settings, db: Store) -> None:
    """Each begins with a window of what was before, found by itself, and makes up for what came in between."""
    text = GRAPHS[name]
    closes = walk(db, 900, BTC, *([ETH] if ETH in text else []))
    store(db, [bar for bars in closes[:600] for bar in bars])
    for first in range(600, 900, 50):
        with live(settings, db, text) as drive:
            drive.closes(closes[first : first + 5])
        store(db, [bar for bars in closes[first + 5 : first + 50] for bar in bars])
    with live(settings, db, text):
        pass
    assert signals_of(db) == run_over_history(settings, text, closes)


def test_the_windows_are_short_where_they_may_be(settings: Settings, db: Store) -> None:
    """After a restart a momentum of 20 bars is not computed from the start of the history again."""
    text = GRAPHS["momentum"]
    closes = walk(db, 3_000)
    store(db, [bar for bars in closes[:2_990] for bar in bars])
    with live(settings, db, text):
        pass
    with live(settings, db, text) as drive:
        drive.closes(closes[2_990:])
        kept = drive.session.graph.kept_rows()
    assert kept["bars"] < 300
    assert signals_of(db) == run_over_history(settings, text, closes)
