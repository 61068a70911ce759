"""A graph file is read as written, and what is wrong with its form is said in a sentence."""

from pathlib import Path

import pytest

from quantflow_nodes.graph import load_graph, parse_graph
from schemas.errors import GraphError

TWO_NODES = """
name: two
nodes:
  bars: {type: read_bars, params: {symbols: ["BINANCE:BTCUSDT"], start: "2022-01-01", end: 2022-02-01}}
  fast: {type: factor, params: {name: momentum, lookback_bars: 240}, inputs: {bars: bars.bars}}
"""


def parse(text: str, changes: list[str] | None = None):
    return parse_graph(text, "g.yaml", Path(), changes)


def test_nodes_keep_types_params_and_wiring() -> None:
    """What stands in the file stands in the graph."""
    graph = parse(TWO_NODES)
    assert graph.name == "two"
    assert graph.nodes["fast"].type == "factor"
    assert graph.nodes["fast"].params == {"name": "momentum", "lookback_bars": 240}
    assert graph.nodes["fast"].inputs == {"bars": "bars.bars"}


def test_bare_dates_stay_text() -> None:
    """YAML would make a date of 2022-02-01, without a zone; the parameter's type decides what it is."""
    assert parse(TWO_NODES).nodes["bars"].params["end"] == "2022-02-01"


def test_set_replaces_one_parameter() -> None:
    """--set reads its value as YAML and leaves the rest."""
    graph = parse(TWO_NODES, ["fast.lookback_bars=60", "bars.symbols=['BINANCE:ETHUSDT']"])
    assert graph.nodes["fast"].params == {"name": "momentum", "lookback_bars": 60}
    assert graph.nodes["bars"].params["symbols"] == ["BINANCE:ETHUSDT"]


def test_digest_depends_on_content_not_on_layout() -> None:
    """Two spellings of one graph are one graph; another parameter makes another."""
    reordered = TWO_NODES.replace("{name: momentum, lookback_bars: 240}", "{lookback_bars: 240, name: momentum}")
    assert parse(reordered).digest == parse(TWO_NODES).digest
    assert parse(TWO_NODES, ["fast.lookback_bars=60"]).digest != parse(TWO_NODES).digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nnodes: {x: {type: t}, x: {type: u}}", "x stands twice, the second time in line 2"),
        ("name: a\nnodes: {x: {type: t}", "no valid YAML at line 2"),
        ("- 1\n- 2", "must be a mapping with `name` and `nodes`, found a list"),
        ("name: a", "nodes: Field required"),
        ("nodes: {x: {type: t}}", "name: Field required"),
        ("name: a\nnodes: {}", "nodes: Dictionary should have at least 1 item"),
        ("name: a\nnodes: {x: {type: t, parms: {}}}", "nodes.x.parms: Extra inputs are not permitted"),
        ("name: a\nnodes: {x.y: {type: t}}", "'x.y' of g.yaml must be letters, digits, _ and -, without a dot"),
        ("name: a b\nnodes: {x: {type: t}}", "name: String should match pattern"),
        ("", "must be a mapping with `name` and `nodes`, found nothing"),
        ("name: a\nnodes: {? [x] : 1}", "the key in line 2 is no word or number"),
        ("name: a\nnodes: {'x\\n': {type: t}}", "must be letters, digits, _ and -"),
    ],
)
def test_wrong_form_is_said_in_a_sentence(text: str, said: str) -> None:
    """Each mistake of form names the place."""
    with pytest.raises(GraphError) as error:
        parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("fast.lookback_bars", "--set takes node.param=value"),
        ("lookback_bars=3", "--set takes node.param=value"),
        ("slow.lookback_bars=3", "there is no node slow. The graph has bars, fast"),
        ("fast.lookback_bars=[1", "no valid YAML"),
        ("fast.lookback_bars={[a]: 1}", "is no word or number"),
    ],
)
def test_wrong_set_is_said_in_a_sentence(change: str, said: str) -> None:
    """--set names what it needed and what it found."""
    with pytest.raises(GraphError) as error:
        parse(TWO_NODES, [change])
    assert said in str(error.value)


def test_set_needs_params_that_are_a_mapping() -> None:
    """A list of parameters has no names."""
    with pytest.raises(GraphError, match="the params of x must be a mapping, found list"):
        parse("name: a\nnodes: {x: {type: t, params: [1]}}", ["x.a=1"])


def test_missing_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A path without a file is the user's mistake."""
    with pytest.raises(GraphError, match=r"g\.yaml can not be read: No such file"):
        load_graph(tmp_path / "g.yaml")


def test_binary_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A file that is no text is refused as such."""
    (tmp_path / "g.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(GraphError, match="it is no UTF-8 text"):
        load_graph(tmp_path / "g.yaml")
