"""Nodes that can not be live."""

from own_nodes import Nothing

from quantflow_nodes.node import Node, Params, RunContext
from quantflow_nodes.nodes.factor import FactorInputs, FactorOutputs
from quantflow_nodes.ports import Factor


class OwnReader(Node[Params, Nothing, FactorOutputs]):
    """Reads a file of its own."""

    type_name = "own_reader"

    def run(self, params: Params, inputs: Nothing, context: RunContext) -> FactorOutputs:
        raise AssertionError("a session with this node is refused before anything runs")


class Odd(Node[Params, FactorInputs, FactorOutputs]):
    """Looks forward."""

    type_name = "odd"

    def lookback_bars(self, params: Params) -> int:
        return -1

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        return FactorOutputs(factor=Factor(inputs.bars.data.assign(factor=0.0), inputs.bars.timeframe))
