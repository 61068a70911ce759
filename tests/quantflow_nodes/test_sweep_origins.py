"""A sweep reuses a figure only where all that it came from is what it was: data of any source, and own code."""

import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from market import graph_text, write_walk
from swept import TableOutputs, swept

from quantflow_nodes.commands.sweep_text import outcome_object
from quantflow_nodes.graph import Graph, load_graph
from quantflow_nodes.node import Ports
from quantflow_nodes.ports import Factor
from quantflow_nodes.sweep.outputs_digest import NoDigestError, outputs_digest
from schemas.collections import Store
from schemas.settings import Settings
from schemas.timeframes import Timeframe

OWN = '''
"""A factor from a file beside the graph."""
from pathlib import Path
from typing import Any
import pandas as pd
from quantflow_nodes.node import Node, Params, Ports
from quantflow_nodes.nodes.read_bars import NoInputs
from quantflow_nodes.ports import Bars, Factor

class FileOutputs(Ports):
    scale: Any

class File(Node[Params, NoInputs, FileOutputs]):
    """What stands in scale.csv."""
    type_name = "file"
    def run(self, params, inputs, context):
        return FileOutputs(scale=GIVEN(pd.read_csv(Path(__file__).with_name("scale.csv"))))

class ScaledParams(Params):
    back_bars: int

class ScaledInputs(Ports):
    bars: Bars
    scale: Any

class ScaledOutputs(Ports):
    factor: Factor

class Scaled(Node[ScaledParams, ScaledInputs, ScaledOutputs]):
    """A difference of closes, with the scale taken off."""
    type_name = "scaled"
    def run(self, params, inputs, context):
        from own_formula import taken_off
        scale = next(iter(inputs.scale["scale"]))
        value = taken_off(inputs.bars.data["close"].diff(params.back_bars), scale)
        data = inputs.bars.data[["symbol", "datetime"]].assign(factor=value)
        return ScaledOutputs(factor=Factor(data, inputs.bars.timeframe))
'''
OWN_MODULES = ("own_origin", "own_formula")
FORMULA = "def taken_off(value, scale):\n    return value - scale\n"


def graph_beside(folder: Path, scale: float, code: str, formula: str = FORMULA) -> Graph:
    """The graph of the walk with own nodes, as a new process would load it."""
    (folder / "scale.csv").write_text(f"scale\n{scale}\n")
    (folder / "own_origin.py").write_text(code)
    (folder / "own_formula.py").write_text(formula)
    text = graph_text().replace("nodes:\n", "nodes:\n  file: {type: own_origin:File}\n")
    factor = "type: own_origin:Scaled, inputs: {bars: bars.bars, scale: file.scale}"
    old = "type: factor, params: {name: momentum, lookback_bars: 60}, inputs: {bars: bars.bars}"
    (folder / "walk.yaml").write_text(text.replace(old, factor))
    for own in OWN_MODULES:
        sys.modules.pop(own, None)
    importlib.invalidate_caches()
    return load_graph(folder / "walk.yaml")


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a graph and its own nodes, forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for own in OWN_MODULES:
        monkeypatch.setitem(sys.modules, own, None)
    return tmp_path


@pytest.mark.mongo
def test_other_data_of_an_own_source_or_other_code_is_another_sweep(
    beside: Path, settings: Settings, db: Store
) -> None:
    """The same again is reused; another number in the file, another node, another module that it imports are not."""
    write_walk(db, 600)
    grid, kept = ["momentum.back_bars=5,20"], OWN.replace("GIVEN", "")
    first = swept(settings, grid, graph_beside(beside, 1.0, kept))
    assert swept(settings, grid, graph_beside(beside, 1.0, kept)).reused == 2
    others = (
        (25.0, kept, FORMULA),
        (1.0, kept.replace("diff(params.back_bars)", "diff(3)"), FORMULA),
        (1.0, kept, FORMULA.replace("- scale", "+ 25")),
    )
    for scale, code, formula in others:
        other = swept(settings, grid, graph_beside(beside, scale, code, formula))
        assert (other.reused, other.computed) == (0, 2)
        assert other.sweep_id != first.sweep_id
        assert other.table["trades"].tolist() != first.table["trades"].tolist()


@pytest.mark.mongo
def test_what_can_not_be_compared_is_never_reused(beside: Path, settings: Settings, db: Store) -> None:
    """A source that gives an object of its own kind: every set is computed afresh, and that is said."""
    write_walk(db, 600)
    hidden = OWN.replace("GIVEN", "(lambda table: type('Hidden', (dict,), {})(scale=iter([1.0, 1.0, 1.0])))")
    for _ in range(2):
        outcome = swept(settings, ["momentum.back_bars=5"], graph_beside(beside, 1.0, hidden))
        assert (outcome.reused, outcome.computed) == (0, 1)
    assert outcome_object(outcome, [], 0.0)["not_comparable"] == ["file"]
    assert "what comes from file is what it was before: every set was computed afresh" in outcome.warnings()[0]


def test_a_digest_is_of_values() -> None:
    """Equal tables have one, whatever object they are; another number, type, index or name has another."""
    table = pd.DataFrame({"scale": [1.0, np.nan], "word": ["a", None]})
    others = [
        table.assign(scale=[2.0, np.nan]),
        table.assign(scale=[1, 2]),
        table.assign(word=["b", None]),
        table.rename(columns={"scale": "size"}),
        table.set_index(pd.to_datetime(["2022-01-01", "2022-01-02"], utc=True)),
    ]
    digests = {outputs_digest(TableOutputs(table=one)) for one in (table, table.copy(), *others)}
    assert len(digests) == 1 + len(others)


class Anything(Ports):
    """An output of any kind."""

    value: object


def test_a_frame_is_told_by_all_its_columns() -> None:
    """A second column counts too, and so does the length of a bar."""
    opens = pd.DatetimeIndex([datetime(2022, 1, 1, tzinfo=UTC)])
    data = pd.DataFrame({"symbol": ["A"], "datetime": opens, "factor": [1.0], "more": [1]})
    frames = [Factor(data, Timeframe.parse("1h")), Factor(data, Timeframe.parse("1d"))]
    frames.append(Factor(data.assign(more=2), frames[0].timeframe))
    assert len({outputs_digest(Anything(value=frame)) for frame in frames}) == 3
    for value in (object(), [object()], {"a": {1, 2}}, np.array([object()])):
        with pytest.raises(NoDigestError):
            outputs_digest(Anything(value=value))
