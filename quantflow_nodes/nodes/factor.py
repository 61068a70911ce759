"""factor: one number for each bar, by a formula of research.factors."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator
from research.factors import check_factor, compute_factor

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Bars, Factor
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
            check_factor(self.name, **self.own)
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
