"""join_asof: a slower factor on faster bars, as it was known at each bar's close."""

import pandas as pd
from pydantic import Field

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Factor, SymbolFrame


class JoinAsofParams(Params):
    """How old a value may be."""

    max_age_bars: int | None = Field(
        None, ge=0, description="A value older than this many of its own bars is not known. Without: no limit."
    )


class JoinAsofInputs(Ports):
    """The frame whose bars are wanted, and the factor to bring onto them."""

    onto: SymbolFrame
    factor: Factor


class JoinAsofOutputs(Ports):
    """The factor at the bars of `onto`; NaN where none was known yet."""

    factor: Factor


class JoinAsof(Node[JoinAsofParams, JoinAsofInputs, JoinAsofOutputs]):
    """The newest value of a factor whose bar had closed when each bar of `onto` closed: a day's factor on 1m bars.

    A value of the bar that opened at t is available at t + its timeframe, and is used by the bars that close then or
    later: never earlier.
    """

    type_name = "join_asof"
    lookback = "1"

    def lookback_bars(self, params: JoinAsofParams) -> int:  # noqa: ARG002
        """One: the newest row of the factor that had closed before the first bar wanted."""
        return 1

    def run(self, params: JoinAsofParams, inputs: JoinAsofInputs, context: RunContext) -> JoinAsofOutputs:  # noqa: ARG002
        onto, factor = inputs.onto, inputs.factor
        left = onto.data[["symbol", "datetime"]].assign(close=onto.data["datetime"] + onto.timeframe.delta)
        right = factor.data[["symbol", "factor"]].assign(close=factor.data["datetime"] + factor.timeframe.delta)
        age = None if params.max_age_bars is None else params.max_age_bars * pd.Timedelta(factor.timeframe.delta)
        joined = pd.merge_asof(
            left.assign(close=left["close"].dt.as_unit("ms")).sort_values("close", kind="stable"),
            right.assign(close=right["close"].dt.as_unit("ms")).sort_values("close", kind="stable"),
            on="close",
            by="symbol",
            tolerance=age,
        ).sort_values(["symbol", "datetime"], ignore_index=True)
        return JoinAsofOutputs(factor=Factor(joined[["symbol", "datetime", "factor"]], onto.timeframe))
