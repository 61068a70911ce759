"""The page about a sweep: what a person reads of it, in the words of the terminal."""

from typing import Any

from quantflow_nodes.plan import plan_graph
from quantflow_nodes.sweep.outcome import DEFLATED, SplitOutcome, SweepOutcome
from quantflow_nodes.sweep.text import cell, title_of
from research.pages.sweep_report import SweepPage, TextTable, WalkForwardPart, render_sweep

MOST_ROWS = 20
_MOST_SYMBOLS = 5
_SHOWN = (
    "sharpe", DEFLATED, "total_return", "max_drawdown", "calmar", "trades", "win_rate", "profit_factor",
)  # fmt: skip


def sweep_page(outcome: SweepOutcome) -> str:
    """Return the page as one HTML text."""
    best = outcome.best(len(outcome.table))
    first: dict[str, Any] = {str(name): value for row in best.head(1).to_dict("records") for name, value in row.items()}
    tiles = [
        (title_of(name), cell(name, first.get(name)), "even")
        for name in dict.fromkeys((outcome.metric, "sharpe", DEFLATED, "total_return", "max_drawdown"))
    ]
    if outcome.stitched is not None:
        tiles.append(("return out of sample", cell("total_return", outcome.stitched.figures.total_return), "even"))
    return render_sweep(
        SweepPage(
            title=f"{outcome.plan.graph.name} · sweep",
            facts=_facts(outcome, first),
            tiles=tiles,
            ranked=best,
            params=[axis.name for axis in outcome.plan.grid.axes],
            metric=outcome.metric,
            beside=DEFLATED,
            best=_best(outcome),
            verdict=outcome.verdict(),
            walk_forward=_walk_forward(outcome) if outcome.splits else None,
            warnings=outcome.warnings(),
        )
    )


def _facts(outcome: SweepOutcome, first: dict[str, Any]) -> dict[str, str]:
    grid, data = outcome.plan.grid, outcome.data
    facts = {
        "Best set": outcome.set_text(first) if first else "none",
        "Sets": f"{len(grid.sets):,}",
        "Ranked by": title_of(outcome.metric),
        "Symbols": _symbols(data.frame.data["symbol"].unique().tolist()),
        "Bars": f"{data.bars:,} of {data.frame.timeframe}",
        "Data": f"{data.first:%Y-%m-%d %H:%M} to {data.last:%Y-%m-%d %H:%M} UTC (bar opens)",
        "Sweep": outcome.sweep_id[:12],
    }
    return (
        facts
        | _costs(outcome)
        | {axis.name: f"{len(axis.values):,} values, {axis.values[0]} to {axis.values[-1]}" for axis in grid.axes}
    )


def _symbols(symbols: list[str]) -> str:
    more = len(symbols) - _MOST_SYMBOLS
    return ", ".join(symbols[:_MOST_SYMBOLS]) + (f" and {more:,} more" if more > 0 else "")


def _costs(outcome: SweepOutcome) -> dict[str, str]:
    """Return what trading costs, where that is not swept."""
    target, swept = outcome.plan.target, {axis.name for axis in outcome.plan.grid.axes}
    params = plan_graph(outcome.plan.graph).nodes[target].params
    costs = {
        name: getattr(params, f"{name}_bps")
        for name in ("fee", "slippage")
        if isinstance(getattr(params, f"{name}_bps", None), int | float) and f"{target}.{name}_bps" not in swept
    }
    return {"Costs": ", ".join(f"{name} {bps:g} bps" for name, bps in costs.items())} if costs else {}


def _best(outcome: SweepOutcome) -> TextTable:
    params, names = outcome.param_names(), list(dict.fromkeys((outcome.metric, *_SHOWN)))
    rows = [
        [str(number), *(str(row[name]) for name in params), *(cell(name, row[name]) for name in names)]
        for number, row in enumerate(outcome.best(MOST_ROWS).to_dict("records"), 1)
    ]
    return TextTable(["#", *params.values(), *map(title_of, names)], rows)


def _walk_forward(outcome: SweepOutcome) -> WalkForwardPart:
    names = _judged(outcome)
    titles = ["Train from", "Test from (UTC)", "Set chosen on train", *(f"{title_of(name)} in" for name in names)]
    titles += ["deflated", *(f"{title_of(name)} out" for name in (*names, "total_return"))]
    rows = [_split_row(outcome, one) for one in outcome.splits]
    equity = None if outcome.stitched is None else outcome.stitched.equity
    return WalkForwardPart(TextTable(titles, rows, words=3), equity, outcome.stitched_sentence())


def _split_row(outcome: SweepOutcome, one: SplitOutcome) -> list[str]:
    train, test, names = one.train or {}, one.test or {}, _judged(outcome)
    return [
        *(f"{window.start:%Y-%m-%d %H:%M}" for window in (one.split.train, one.split.test)),
        outcome.chosen_text(one),
        *(cell(name, train.get(name)) for name in names),
        cell(DEFLATED, one.deflated),
        *(cell(name, test.get(name)) for name in (*names, "total_return")),
    ]


def _judged(outcome: SweepOutcome) -> list[str]:
    """Return the metric, and the Sharpe ratio beside which the deflated one stands."""
    return list(dict.fromkeys((outcome.metric, "sharpe")))
