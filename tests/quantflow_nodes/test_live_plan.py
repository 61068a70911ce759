"""What a live session runs of a graph, how much it needs, and what it refuses with which words."""

from datetime import UTC, datetime

import pytest
from live_market import BTC, FOLDER, export, factor, graph, position

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.live.bar_calendar import BarCalendar
from quantflow_nodes.live.bar_history import milliseconds
from quantflow_nodes.live.live_plan import LivePlan, plan_live, without_ends
from quantflow_nodes.plan import plan_graph
from schemas.errors import GraphError

DAYS = """
  days: {type: read_bars, params: {symbols: [BINANCE:BTCUSDT], timeframe: 1d, start: 2022-01-01, end: 2022-02-01}}
  slow: {type: factor, params: {name: momentum, lookback_bars: 3}, inputs: {bars: days.bars}}
  join: {type: join_asof, inputs: {onto: factor.factor, factor: slow.factor}}
"""
MOMENTUM = factor("{name: momentum, lookback_bars: 20}")


def live(text: str) -> LivePlan:
    return plan_live(plan_graph(parse_graph(text, "g", FOLDER)))


def refusal(text: str) -> str:
    with pytest.raises(GraphError) as error:
        live(text)
    return str(error.value)


def test_only_what_leads_to_an_export_is_run() -> None:
    """A backtest beside it is idle."""
    backtest = "  backtest: {type: backtest, inputs: {bars: bars.bars, position: position.position}}\n"
    plan = live(graph(MOMENTUM + position() + backtest + export()))
    assert [node.name for node in plan.steps] == ["factor", "position"]
    assert (plan.idle, plan.strategies) == (["backtest"], ["s"])
    assert plan.sources["bars"].symbols == (BTC,)


def test_live_has_no_end_so_it_may_start_after_the_end_of_a_run() -> None:
    """The example ends in February 2022; live begins wherever it is told to."""
    text = graph(MOMENTUM + position() + export())
    later = parse_graph(text, "g", FOLDER, ["bars.start=2026-01-01"])
    assert plan_live(plan_graph(without_ends(later))).sources["bars"].start == datetime(2026, 1, 1, tzinfo=UTC)


def test_windows_add_up_along_the_longest_way() -> None:
    """20 of momentum, 64 of the position, 16 of the export; all where a node on the way needs all."""
    plan = live(graph(MOMENTUM + position() + export()))
    assert plan.rows_needed(plan.lookbacks) == {"bars": 100}
    rsi = live(graph(factor("{name: rsi}") + position() + export()))
    assert rsi.rows_needed(rsi.lookbacks) == {"bars": None}
    scores = "strategy_id: s, value: score, emit: every_bar"
    joined = live(graph(MOMENTUM + DAYS + export(scores, "factor: join.factor")))
    assert joined.rows_needed(joined.lookbacks) == {"bars": 21, "days": 4}
    assert [timeframe.name for timeframe in joined.timeframes] == ["1m", "1d"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (graph(MOMENTUM + position()), "it has no export_signals node, so there is nothing to publish"),
        (
            graph("  own: {type: 'live_nodes:OwnReader'}\n" + position(source="own.factor") + export()),
            "own: live_nodes:OwnReader has no input and is no read_bars, so nobody can tell when its factor has a new",
        ),
        (
            graph(
                "  mean: {type: 'peeking_nodes:MeanOfAll', inputs: {bars: bars.bars}}\n"
                "  factor: {type: 'peeking_nodes:Away', inputs: {bars: bars.bars, mean: mean.mean}}\n"
                + position()
                + export()
            ),
            "factor: the input mean takes float from mean, which is computed from bars as a whole",
        ),
        (
            graph("  factor: {type: 'live_nodes:Odd', inputs: {bars: bars.bars}}\n" + position() + export()),
            "factor: live_nodes:Odd must look back a whole number of bars or None, found -1",
        ),
    ],
)
def test_what_can_not_be_live_is_refused(text: str, said: str) -> None:
    """With the node's name and what to do."""
    assert said in refusal(text)


def calendar(patience_s: int = 15) -> BarCalendar:
    symbols = '["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"]'
    return BarCalendar(live(graph(MOMENTUM + position() + export(), symbols)), patience_s * 1000)


def at(minute: int, second: int = 0) -> int:
    return milliseconds(datetime(2022, 1, 3, 0, minute, second, tzinfo=UTC))


def arrive(given: BarCalendar, symbol: str, minute: int) -> None:
    given.arrived("crypto_market_1m", f"BINANCE:{symbol}", at(minute), datetime(2022, 1, 3, tzinfo=UTC))


def test_a_close_is_due_with_all_its_bars() -> None:
    """Not before, while there is patience."""
    given = calendar()
    arrive(given, "BTCUSDT", 5)
    assert given.due(at(4), at(5, 10)) is None
    assert given.missing(at(5)) == {("crypto_market_1m", "BINANCE:ETHUSDT")}
    arrive(given, "ETHUSDT", 5)
    assert given.due(at(4), at(5, 10)) == at(5)
    assert given.due(at(5), at(5, 10)) is None


def test_patience_ends() -> None:
    """15 s after the close it is due with what there is; a close without any bar never is."""
    given = calendar()
    arrive(given, "BTCUSDT", 5)
    assert given.next_due(at(4)) == at(5, 15)
    assert given.due(at(4), at(5, 15)) == at(5)
    assert given.due(at(5), at(9)) is None


def test_an_older_close_does_not_wait_for_its_bars_behind_a_newer_one() -> None:
    """The newest that is due takes those before it along; a bar of the future waits for its close."""
    given = calendar()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        arrive(given, symbol, 7)
    arrive(given, "BTCUSDT", 6)
    arrive(given, "BTCUSDT", 8)
    assert given.due(at(4), at(7, 1)) == at(7)


def test_a_days_bar_is_expected_at_midnight_only() -> None:
    """Bars of two timeframes close together once a day."""
    scores = export("strategy_id: s, value: score, emit: every_bar", "factor: join.factor")
    given = BarCalendar(live(graph(MOMENTUM + DAYS + scores)), 0)
    assert len(given.expected(at(0))) == 2
    assert given.expected(at(1)) == {("crypto_market_1m", BTC)}
