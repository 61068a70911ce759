"""A node as a user would write it, who says nothing about how far it looks back."""

import pandas as pd

from quantflow_nodes.node import Node, Params, RunContext
from quantflow_nodes.nodes.factor import FactorInputs, FactorOutputs
from quantflow_nodes.nodes.threshold_position import (
    ThresholdPositionInputs,
    ThresholdPositionOutputs,
    ThresholdPositionParams,
)
from quantflow_nodes.ports import Factor, Position


class Counted(Node[Params, FactorInputs, FactorOutputs]):
    """How many bars there have been."""

    type_name = "counted"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        data = inputs.bars.data
        value = pd.Series(range(1, len(data) + 1), dtype="float64")
        return FactorOutputs(factor=Factor(data[["symbol", "datetime"]].assign(factor=value), inputs.bars.timeframe))


class OutOfBounds(Node[ThresholdPositionParams, ThresholdPositionInputs, ThresholdPositionOutputs]):
    """A position of two."""

    type_name = "out_of_bounds"

    def run(
        self, params: ThresholdPositionParams, inputs: ThresholdPositionInputs, context: RunContext
    ) -> ThresholdPositionOutputs:
        frame = inputs.factor
        data = frame.data[["symbol", "datetime"]].assign(position=2.0)
        return ThresholdPositionOutputs(position=Position(data, frame.timeframe))
