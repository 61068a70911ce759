"""A graph is checked whole before anything runs; each mistake is a sentence with the node and what would fit."""

from pathlib import Path

import pytest

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.plan import Plan, plan_graph
from schemas.errors import GraphError

FOLDER = Path(__file__).parent
BARS = "bars: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT'], start: 2022-01-01, end: 2022-01-02}}"
MOMENTUM = "momentum: {type: factor, params: {name: momentum, lookback_bars: 2}, inputs: {bars: bars.bars}}"
POSITION = (
    "position: {type: threshold_position, params: {enter_above: 0, exit_below: 0}, inputs: {factor: momentum.factor}}"
)


def plan(*nodes: str) -> Plan:
    text = "name: test\nnodes:\n" + "".join(f"  {node}\n" for node in nodes)
    return plan_graph(parse_graph(text, "g.yaml", FOLDER))


def refusal(*nodes: str) -> str:
    with pytest.raises(GraphError) as error:
        plan(*nodes)
    return str(error.value)


def test_sources_stand_before_what_they_feed() -> None:
    """The plan's order is a running order, whatever the order in the file."""
    assert list(plan(POSITION, MOMENTUM, BARS).nodes) == ["bars", "momentum", "position"]


def test_shipped_example_can_run() -> None:
    """The graph of the README passes the check."""
    path = FOLDER.parents[1] / "examples" / "btc_momentum_1m.yaml"
    assert next(iter(plan_graph(parse_graph(path.read_text(), str(path), path.parent)).nodes)) == "bars"


def test_unknown_type_names_what_would_fit() -> None:
    """A misspelt type gets the nearest one and the list."""
    said = refusal("x: {type: tresholdposition}")
    assert "x: the type tresholdposition is not known. Did you mean threshold_position? There are " in said


def test_missing_parameter_names_it() -> None:
    """A parameter without default must be given."""
    said = refusal(BARS, MOMENTUM, POSITION.replace("enter_above: 0, ", ""))
    assert "position: the parameter enter_above is missing. threshold_position takes enter_above, exit_below." in said


def test_misspelt_parameter_names_the_right_one() -> None:
    """A parameter that the node does not have is no silent no-op."""
    said = refusal(BARS, MOMENTUM, POSITION.replace("exit_below", "exit_bellow"))
    assert "position: the parameter exit_bellow is not known. Did you mean exit_below?" in said


def test_misspelt_parameter_of_a_factor_names_the_right_one() -> None:
    """The factor's own parameters are checked too."""
    said = refusal(BARS, MOMENTUM.replace("lookback_bars", "lokback_bars"))
    assert "momentum: " in said
    assert "lokback_bars" in said
    assert "lookback_bars" in said


def test_unknown_factor_names_a_near_one() -> None:
    """The factor's name is checked before anything runs."""
    said = refusal(BARS, MOMENTUM.replace("name: momentum", "name: momentun"))
    assert "momentun" in said
    assert "momentum" in said.replace("momentun", "")


def test_parameter_of_another_type_says_what_was_found() -> None:
    """A word where a number is needed is refused with the word."""
    said = refusal(BARS, MOMENTUM, POSITION.replace("enter_above: 0", "enter_above: high"))
    assert "position: the parameter enter_above can not be 'high'" in said


def test_parameters_that_contradict_each_other_are_refused() -> None:
    """A rule over several parameters has its sentence."""
    said = refusal(BARS, MOMENTUM, POSITION.replace("exit_below: 0", "exit_below: 1"))
    assert "position: exit_below 1.0 must not lie above enter_above 0.0." in said


def test_missing_input_names_an_output_that_fits() -> None:
    """What is offered is of the type that is needed."""
    said = refusal(BARS, MOMENTUM, POSITION.replace(", inputs: {factor: momentum.factor}", ""))
    assert "position: the input factor is missing; it takes Factor, such as momentum.factor." in said


def test_unknown_input_names_the_right_one() -> None:
    """An input that the node does not have."""
    said = refusal(BARS, MOMENTUM.replace("inputs: {bars:", "inputs: {bar:"))
    assert "momentum: the input bar is not known. Did you mean bars? factor takes bars." in said


def test_input_from_a_missing_node_names_a_near_one() -> None:
    """A source that does not exist."""
    said = refusal(BARS, MOMENTUM.replace("bars.bars", "barz.bars"))
    assert "momentum: the input bars names the node barz, which does not exist. Did you mean bars?" in said


def test_input_from_a_missing_output_lists_the_outputs() -> None:
    """A node that exists, an output that does not."""
    said = refusal(BARS, MOMENTUM.replace("bars.bars", "bars.prices"))
    assert "momentum: the input bars names bars.prices, but bars has no output prices. It has bars." in said


def test_input_without_an_output_is_refused() -> None:
    """A source is node.output."""
    said = refusal(BARS, MOMENTUM.replace("bars.bars", "bars"))
    assert "momentum: the input bars must name an output as node.output, found 'bars'." in said


def test_input_of_another_type_names_both_types() -> None:
    """Bars are no factor."""
    said = refusal(BARS, POSITION.replace("momentum.factor", "bars.bars"))
    assert "position: the input factor takes Factor, but bars.bars gives Bars." in said


def test_cycle_is_named_along_its_edges() -> None:
    """Nodes that wait for each other can not run."""
    said = refusal(
        "a: {type: 'own_nodes:Add', inputs: {left: b.number}}", "b: {type: 'own_nodes:Add', inputs: {left: a.number}}"
    )
    assert "wait for each other" in said
    assert "a → b → a" in said or "b → a → b" in said


def test_node_that_waits_for_itself_is_a_cycle() -> None:
    """The shortest cycle."""
    assert "a → a wait for each other" in refusal("a: {type: 'own_nodes:Add', inputs: {left: a.number}}")


def test_every_mistake_is_told_at_once() -> None:
    """A person mends a graph in one go."""
    said = refusal("x: {type: nothing}", MOMENTUM, POSITION.replace("exit_below", "exit_bellow"))
    assert len(said.splitlines()) >= 4


def test_own_node_is_found_beside_the_graph() -> None:
    """A module path names a class in the graph's own folder."""
    assert plan("a: {type: 'own_nodes:One', params: {value: 4}}").nodes["a"].params.value == 4


@pytest.mark.parametrize(
    ("type_name", "said"),
    [
        ("own_nodes:Missing", "can not be imported: AttributeError"),
        ("no_such_module:Node", "can not be imported: ModuleNotFoundError"),
        ("own_nodes:NotANode", "is no Node"),
        ("own_nodes:WithoutRun", "has no `run`"),
    ],
)
def test_own_node_that_can_not_be_used_says_why(type_name: str, said: str) -> None:
    """A module path that leads nowhere is the user's mistake."""
    assert said in refusal(f"a: {{type: '{type_name}'}}")


def test_a_generic_output_has_the_type_of_its_input() -> None:
    """map_symbols gives a Position for a Position, which no Factor input takes."""
    passed = "p: {type: 'own_nodes:PassOn', inputs: {frame: momentum.factor}}"
    assert plan(BARS, MOMENTUM, passed, POSITION.replace("momentum.factor", "p.frame"))
    said = refusal(BARS, passed.replace("momentum.factor", "bars.bars"), POSITION.replace("momentum.factor", "p.frame"))
    assert "position: the input factor takes Factor, but p.frame gives Bars." in said
