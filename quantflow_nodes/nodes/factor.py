"""factor and cross_sectional_rank: numbers for each bar, by the formulas of research.factors."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext, TooFewBarsError
from quantflow_nodes.ports import Bars, Factor
from research.factors import FACTORS, compute_factors, factor_lookback_bars, rank_across_symbols
from research.factors.registry import CROSS_SECTIONAL_RANK
from research.factors.windows import LONGEST_SUMMED_EACH
from schemas.errors import InputError, QuantFlowError

_WINDOWS = {"momentum", "returns", "donchian"}
_SUMMED_WINDOWS = {"sma", "bollinger", "zscore", "volatility", "volume_ratio"}
_RANKED_BY_DEFAULT = "momentum"


class FactorParams(Params):
    """The factor's name, and the parameters that this factor takes."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str = Field(description="Which factor; its own parameters stand beside it. docs/factors.md lists them.")

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of the factor itself."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _factor_takes_them(self) -> "FactorParams":
        try:
            factor_lookback_bars(self.name, **self.own)  # refuses what the factor does not take
        except QuantFlowError as error:
            raise ValueError(str(error)) from None
        return self


class FactorInputs(Ports):
    """Bars of one or more symbols."""

    bars: Bars


class FactorOutputs(Ports):
    """The factor at each bar's close; NaN while it warms up."""

    factor: Factor


class FactorNode(Node[FactorParams, FactorInputs, FactorOutputs]):
    """A factor such as momentum, rsi or zscore, computed for each symbol by itself; it never sees later bars."""

    type_name = "factor"
    lookback = "its formula's, or all bars"

    def lookback_bars(self, params: FactorParams) -> int | None:
        """As the formula; None for recursions, and for sums of long windows, which are summed from the first bar on."""
        base = str(params.own.get("of", _RANKED_BY_DEFAULT)) if params.name == CROSS_SECTIONAL_RANK else params.name
        length = params.own.get("lookback_bars", _default_length(base))
        # Longer windows are summed in blocks counted from the first bar: begun elsewhere, sums differ in the last bit.
        if base in _WINDOWS or (base in _SUMMED_WINDOWS and length <= LONGEST_SUMMED_EACH):
            return factor_lookback_bars(params.name, **params.own)
        return None

    def run(self, params: FactorParams, inputs: FactorInputs, context: RunContext) -> FactorOutputs:
        choice = {"factor": {**params.own, "name": params.name}}
        try:
            data = compute_factors(inputs.bars.data, choice, threads=context.threads)
        except InputError as error:
            longest = inputs.bars.data["symbol"].value_counts().max()
            if longest <= factor_lookback_bars(params.name, **params.own):
                raise TooFewBarsError(str(error)) from None
            raise
        return FactorOutputs(factor=Factor(data, inputs.bars.timeframe))


def _default_length(name: str) -> Any:
    defaults = {parameter.name: parameter.default for parameter in FACTORS[name].parameters}
    return defaults.get("lookback_bars", 0)


class RankInputs(Ports):
    """A factor of several symbols."""

    factor: Factor


class CrossSectionalRank(Node[Params, RankInputs, FactorOutputs]):
    """Where each symbol's factor stands among all symbols at the same bar, from 0 (lowest) to 1 (highest)."""

    type_name = "cross_sectional_rank"
    lookback = "0"

    def lookback_bars(self, params: Params) -> int:  # noqa: ARG002
        """None but the symbols' values at the bar itself."""
        return 0

    def run(self, params: Params, inputs: RankInputs, context: RunContext) -> FactorOutputs:  # noqa: ARG002
        ranked = rank_across_symbols(inputs.factor.data)
        return FactorOutputs(factor=Factor(ranked, inputs.factor.timeframe))
