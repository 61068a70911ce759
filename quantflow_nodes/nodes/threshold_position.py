"""threshold_position: from a factor to a position of 0 or 1, with hysteresis."""

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Factor, Position

_FIRST_LOOK_BARS = 64


class ThresholdPositionParams(Params):
    """The two thresholds; `exit_below` may not lie above `enter_above`."""

    enter_above: float = Field(description="A factor above this wants a position of 1.")
    exit_below: float = Field(description="A factor below this wants 0; between the two the position stays.")

    @model_validator(mode="after")
    def _in_order(self) -> "ThresholdPositionParams":
        if self.exit_below > self.enter_above:
            raise ValueError(f"exit_below {self.exit_below} must not lie above enter_above {self.enter_above}")
        return self


class ThresholdPositionInputs(Ports):
    """A factor."""

    factor: Factor


class ThresholdPositionOutputs(Ports):
    """1 or 0; NaN before the first crossing and where the factor is not known."""

    position: Position


class ThresholdPosition(Node[ThresholdPositionParams, ThresholdPositionInputs, ThresholdPositionOutputs]):
    """In the market while a factor is high: 1 above enter_above, 0 below exit_below, between them as it was."""

    type_name = "threshold_position"
    lookback = "one crossing"

    def lookback_bars(self, params: ThresholdPositionParams) -> int:  # noqa: ARG002
        """Where to begin to look for the last crossing; `unsettled` says whether it was found."""
        return _FIRST_LOOK_BARS

    def unsettled(self, params: ThresholdPositionParams, inputs: ThresholdPositionInputs) -> Factor:
        """Rows that have a factor, and no crossing before them or at them."""
        data = inputs.factor.data
        return inputs.factor.with_rows(data[np.isnan(_kept(params, inputs.factor)) & data["factor"].notna()])

    def run(
        self,
        params: ThresholdPositionParams,
        inputs: ThresholdPositionInputs,
        context: RunContext,  # noqa: ARG002
    ) -> ThresholdPositionOutputs:
        data = inputs.factor.data
        kept = np.where(data["factor"].notna(), _kept(params, inputs.factor), np.nan)
        position = data[["symbol", "datetime"]].assign(position=kept)
        return ThresholdPositionOutputs(position=Position(position, inputs.factor.timeframe))


def _kept(params: ThresholdPositionParams, factor: Factor) -> npt.NDArray[np.float64]:
    """Return what the last crossing of each symbol decided, bar by bar; NaN before the first."""
    value = factor.data["factor"].to_numpy(np.float64)
    decided = np.where(value > params.enter_above, 1.0, np.where(value < params.exit_below, 0.0, np.nan))
    last = np.where(np.isnan(decided), 0, np.arange(len(value)))
    last[factor.symbol_starts] = factor.symbol_starts  # what another symbol decided is nothing to this one
    return decided[np.maximum.accumulate(last)]
