"""backtest: what a position would have earned."""

from typing import Any

from pydantic import Field

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Bars, Position
from research.backtest import BacktestResult, simulate_long_flat

BPS = 10_000.0


class BacktestParams(Params):
    """Costs and the cash to start with."""

    fee_bps: float = Field(10.0, ge=0, lt=BPS, description="Fee of each fill, in basis points of its value.")
    slippage_bps: float = Field(0.0, ge=0, lt=BPS, description="How much worse than the open a fill is, basis points.")
    initial_cash: float = Field(10_000.0, gt=0, description="Cash at the start, in the quote asset.")


class BacktestInputs(Ports):
    """Bars, and the position wanted at each; without one it is Buy & Hold."""

    bars: Bars
    position: Position | None = None


class BacktestOutputs(Ports):
    """The result, with the bars that it was made on."""

    result: BacktestResult
    bars: Bars


class Backtest(Node[BacktestParams, BacktestInputs, BacktestOutputs]):
    """simulate_long_flat: decided at a bar's close, filled at the next bar's open; metrics, trades and a report."""

    type_name = "backtest"

    def run(self, params: BacktestParams, inputs: BacktestInputs, context: RunContext) -> BacktestOutputs:  # noqa: ARG002
        result = simulate_long_flat(
            inputs.bars.data,
            inputs.position.data if inputs.position is not None else None,
            fee=params.fee_bps / BPS,
            slippage=params.slippage_bps / BPS,
            initial_cash=params.initial_cash,
        )
        return BacktestOutputs(result=result, bars=inputs.bars)

    def summary(self, params: BacktestParams, outputs: BacktestOutputs) -> dict[str, Any]:  # noqa: ARG002
        """The metrics, and the open gaps that the result has to be read with."""
        return {**outputs.result.metrics.as_dict(), "open_gaps": [str(gap) for gap in outputs.bars.gaps]}

    def report(self, params: BacktestParams, outputs: BacktestOutputs, context: RunContext) -> str:  # noqa: ARG002
        """One HTML file: equity, drawdown, trades on the price, monthly table."""
        from research.pages.report import render_report  # brings Plotly: a quarter of a second that other commands save

        return render_report(
            outputs.result,
            f"{context.graph} · {context.node}",
            facts={"Run": context.run_id, "Started": f"{context.now:%Y-%m-%d %H:%M:%S} UTC"},
            warnings=[f"Open gap: {gap}." for gap in outputs.bars.gaps],
        )
