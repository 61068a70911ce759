"""factor and cross_sectional_rank: numbers for each bar, by the formulas of research.factors."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Bars, Factor
from research.factors import compute_factor, factor_lookback_bars, rank_across_symbols
from schemas.errors import QuantFlowError


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

    def run(self, params: FactorParams, inputs: FactorInputs, context: RunContext) -> FactorOutputs:  # noqa: ARG002
        data = compute_factor(inputs.bars.data, params.name, **params.own)
        return FactorOutputs(factor=Factor(data, inputs.bars.timeframe))


class RankInputs(Ports):
    """A factor of several symbols."""

    factor: Factor


class CrossSectionalRank(Node[Params, RankInputs, FactorOutputs]):
    """Where each symbol's factor stands among all symbols at the same bar, from 0 (lowest) to 1 (highest)."""

    type_name = "cross_sectional_rank"

    def run(self, params: Params, inputs: RankInputs, context: RunContext) -> FactorOutputs:  # noqa: ARG002
        ranked = rank_across_symbols(inputs.factor.data)
        return FactorOutputs(factor=Factor(ranked, inputs.factor.timeframe))
