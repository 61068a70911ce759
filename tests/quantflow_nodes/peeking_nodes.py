"""Nodes that see the future in ways that are met in practice, and some that only look as if they did."""

from typing import ClassVar

import numpy as np
import pandas as pd

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.nodes.factor import FactorInputs, FactorOutputs
from quantflow_nodes.nodes.join_asof import JoinAsofInputs
from quantflow_nodes.ports import Bars, Factor


def outputs(bars: Bars, value: "pd.Series[float]") -> FactorOutputs:
    return FactorOutputs(factor=Factor(bars.data[["symbol", "datetime"]].assign(factor=value), bars.timeframe))


class Steep(Node[Params, FactorInputs, FactorOutputs]):
    """Sees nothing later; a high power of the close, too large for a number where prices move as they never do."""

    type_name = "steep"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        close = inputs.bars.data["close"].to_numpy()
        return outputs(inputs.bars, pd.Series((close / close[0]) ** 5_000))


class Shifted(Node[Params, FactorInputs, FactorOutputs]):
    """The return of the bar to come."""

    type_name = "shifted"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        close = inputs.bars.data["close"]
        return outputs(inputs.bars, close.shift(-1) / close - 1)


class HidingItsPeek(Node[Params, FactorInputs, FactorOutputs]):
    """The close to come, and where there is none the last one: nothing is NaN at the end."""

    type_name = "hiding_its_peek"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        return outputs(inputs.bars, inputs.bars.data["close"].shift(-1).ffill())


class Normalised(Node[Params, FactorInputs, FactorOutputs]):
    """The close in deviations from the mean of all bars, those to come included."""

    type_name = "normalised"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        close = inputs.bars.data["close"]
        return outputs(inputs.bars, (close - close.mean()) / close.std())


class Centred(Node[Params, FactorInputs, FactorOutputs]):
    """A mean of the bars around."""

    type_name = "centred"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        return outputs(inputs.bars, inputs.bars.data["close"].rolling(5, center=True).mean())


class LeakyJoin(Node[Params, JoinAsofInputs, FactorOutputs]):
    """Brings the value of a day onto its own minutes: the day has not closed."""

    type_name = "leaky_join"

    def run(self, params: Params, inputs: JoinAsofInputs, context: RunContext) -> FactorOutputs:
        left = inputs.onto.data[["symbol", "datetime"]]
        right = inputs.factor.data[["symbol", "datetime", "factor"]]
        joined = pd.merge_asof(left.sort_values("datetime"), right.sort_values("datetime"), on="datetime", by="symbol")
        data = joined.sort_values(["symbol", "datetime"], ignore_index=True)
        return FactorOutputs(factor=Factor(data, inputs.onto.timeframe))


class Dropping(Node[Params, FactorInputs, FactorOutputs]):
    """Leaves out the bars that the next one falls below: rows come and go."""

    type_name = "dropping"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        data = inputs.bars.data
        kept = data[data["close"].shift(-1).isna() | (data["close"].shift(-1) >= data["close"])]
        frame = Bars(kept.reset_index(drop=True), inputs.bars.timeframe)
        return outputs(frame, frame.data["close"])


class Drawn(Node[Params, FactorInputs, FactorOutputs]):
    """Gives other numbers each time."""

    type_name = "drawn"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        return outputs(inputs.bars, pd.Series(np.random.default_rng().random(len(inputs.bars.data))))


class Mean(Ports):
    """One number."""

    mean: float


class MeanOfAll(Node[Params, FactorInputs, Mean]):
    """One number from all bars."""

    type_name = "mean_of_all"

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> Mean:
        return Mean(mean=float(inputs.bars.data["close"].mean()))


class AwayInputs(Ports):
    """Bars and a number."""

    bars: Bars
    mean: float


class Away(Node[Params, AwayInputs, FactorOutputs]):
    """The close beside a number; innocent itself."""

    type_name = "away"

    def run(self, params: Params, inputs: AwayInputs, context: RunContext) -> FactorOutputs:
        return outputs(inputs.bars, inputs.bars.data["close"] / inputs.mean)


class Once(Node[Params, FactorInputs, FactorOutputs]):
    """Can not be run a second time, as a node that uses something up."""

    type_name = "once"
    runs: ClassVar[int] = 0

    def run(self, params: Params, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        Once.runs += 1
        if Once.runs > 1:
            raise OSError("it is used up")
        return outputs(inputs.bars, inputs.bars.data["close"])
