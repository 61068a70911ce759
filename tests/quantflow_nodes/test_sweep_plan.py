"""Every set of a sweep is checked before anything runs; what publishes is left out of the graph."""

from pathlib import Path

import pytest
from market import graph_text

from quantflow_nodes.graph import Graph, parse_graph
from quantflow_nodes.sweep.grid import parse_grid
from quantflow_nodes.sweep.sweep_plan import plan_sweep
from schemas.errors import GraphError

SWEPT = "momentum.lookback_bars=30,60"


def walk(text: str = "", **replaced: str) -> Graph:
    """The graph of the walk with lines added or words replaced."""
    yaml = graph_text() + text
    for old, new in replaced.items():
        yaml = yaml.replace(old, new)
    return parse_graph(yaml, "g.yaml", Path())


def refusal(graph: Graph, *grid: str, **options: bool) -> str:
    with pytest.raises(GraphError) as refused:
        plan_sweep(graph, parse_grid(grid), **options)  # type: ignore[arg-type]
    return str(refused.value)


def test_only_what_leads_to_the_backtest_is_run() -> None:
    """No node that publishes is left in the graph, so nothing can be published."""
    plan = plan_sweep(walk(), parse_grid([SWEPT]))
    assert list(plan.graph.nodes) == ["bars", "momentum", "position", "backtest"]
    assert (plan.target, len(plan.grid.sets)) == ("backtest", 2)


def test_a_parameter_may_come_from_the_grid_alone() -> None:
    """The graph need not have a value for what is swept."""
    graph = walk(**{"lookback_bars: 60": "", "momentum, ": "momentum"})
    assert plan_sweep(graph, parse_grid([SWEPT])).graph.nodes["momentum"].params["lookback_bars"] == 30


def test_all_mistakes_of_all_sets_are_told_at_once() -> None:
    """Each sentence once, with how many sets it is about."""
    said = refusal(walk(), "momentum.lookback_bars=0,30,x", "backtest.fee_bps=-1,10", "position.enter_abov=1")
    assert "momentum: momentum needs lookback_bars as a whole number from 1 to 100000, found 0. (2 sets)" in said
    assert "the parameter fee_bps can not be -1" in said
    assert "(3 sets)" in said
    assert "Did you mean enter_above?" in said
    assert "(6 sets)" in said


def test_what_was_meant_as_whole_numbers_or_a_range_is_told() -> None:
    """The sentence of the node says what it needs; one more says how the text was read."""
    for text in ("1.5:3:0.5", "10.0,20.0"):
        assert "a whole number is written without a point" in refusal(walk(), f"momentum.lookback_bars={text}")
    assert "This was read as text." in refusal(walk(), "momentum.lookback_bars=a:b:c")
    said = refusal(walk(), "momentum.lookback_bars=0,30", "position.enter_above=-1.0")
    assert "read as" not in said


def test_a_node_that_is_not_there_is_named() -> None:
    """The sentence says which there are."""
    assert "there is no node mom. The graph has bars, momentum" in refusal(walk(), "mom.lookback_bars=1,2")


def test_sets_that_break_a_rule_are_told_and_can_be_left_out() -> None:
    """An exit above the entry: 3 of 9 sets; the flag leaves out those and no others."""
    texts = ["position.enter_above=0,1,2", "position.exit_below=0,1,2"]
    said = refusal(walk(), *texts)
    assert "exit_below 1.0 must not lie above enter_above 0.0. (1 set) --skip-invalid leaves them out." in said
    plan = plan_sweep(walk(), parse_grid(texts), skip_invalid=True)
    assert [plan.grid.values(one) for one in plan.grid.sets] == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert (plan.left_out_sets, len(plan.left_out)) == (3, 3)


def test_a_wrong_value_is_never_left_out() -> None:
    """A fee below zero breaks no rule between parameters: it is a mistake."""
    assert "fee_bps can not be -1" in refusal(walk(), "backtest.fee_bps=-1,10", skip_invalid=True)


def test_no_set_left_is_an_error() -> None:
    """All of them break the rule."""
    assert "no set is left" in refusal(walk(), "position.exit_below=1,2", skip_invalid=True)


def test_a_mistake_elsewhere_in_the_graph_stops_the_sweep() -> None:
    """The same checks as those of `quantflow check`, the nodes that are not swept included."""
    assert "Did you mean position?" in refusal(
        walk(**{"{position: position.position}": "{positoin: bars.bars}"}), SWEPT
    )


def test_what_changes_no_figure_is_refused() -> None:
    """The export does not lead to the backtest."""
    assert "export does not lead to backtest" in refusal(walk(), "export.strategy_id=a,b")


def test_one_backtest_judges() -> None:
    """With several, one is named; without one there is nothing to judge by."""
    second = "  hold: {type: backtest, inputs: {bars: bars.bars}}\n"
    assert "several backtests: " in refusal(walk(second), SWEPT)
    plan = plan_sweep(walk(second), parse_grid(["hold.fee_bps=0,10"]), "hold")
    assert list(plan.graph.nodes) == ["bars", "hold"]
    with pytest.raises(GraphError, match="momentum is no node with a backtest"):
        plan_sweep(walk(), parse_grid([SWEPT]), "momentum")
    lines = graph_text().splitlines()
    without = "\n".join(line for line in lines if "type: backtest" not in line)
    assert "it has no backtest node" in refusal(parse_graph(without, "g.yaml", Path()), SWEPT)
