"""A sweep as a person reads it at a terminal of 80 columns, and as one JSON object."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.commands.console import out
from quantflow_nodes.sweep.files import splits_table
from quantflow_nodes.sweep.grid import counted
from quantflow_nodes.sweep.outcome import DEFLATED, SweepOutcome
from quantflow_nodes.sweep.text import cell, plain_value, title_of

MOST_ROWS = 10
_SHOWN = ("sharpe", DEFLATED, "total_return", "max_drawdown", "trades")


def outcome_object(outcome: SweepOutcome, files: list[Path], seconds: float) -> dict[str, Any]:
    """Return the sweep as plain JSON values: what is not defined is None."""
    shown: dict[str, Any] = {
        "name": outcome.plan.graph.name,
        "sweep_id": outcome.sweep_id,
        "sets": len(outcome.table),
        "left_out": outcome.plan.left_out_sets,
        "too_few_bars": outcome.too_few,
        "never_traded": outcome.never_traded,
        "reused": outcome.reused,
        "computed": outcome.computed,
        "metric": outcome.metric,
        "trials": outcome.deflation.trials,
        "expected_maximum_sharpe": plain_value(outcome.expected_maximum_sharpe),
        "luck_maximum_sharpe": plain_value(outcome.luck_maximum_sharpe),
        "best": _records(outcome.best(MOST_ROWS)),
        "open_gaps": [str(gap) for gap in outcome.data.gaps],
        "not_comparable": list(outcome.data.unknown),
        "files": [str(path) for path in files],
        "seconds": round(seconds, 3),
    }
    stitched = outcome.stitched
    if outcome.splits:
        shown["splits"] = _records(splits_table(outcome))
        shown["out_of_sample"] = (
            None if stitched is None else {name: plain_value(value) for name, value in outcome.out_of_sample().items()}
        )
    return shown


def print_outcome(outcome: SweepOutcome, files: list[Path], seconds: float) -> None:
    """Print the best sets, the walk-forward, and what has to be known to read them."""
    for line in outcome.warnings():
        out.print(f"[yellow]{escape(line)}[/yellow]", soft_wrap=True)
    out.print(_best_table(outcome))
    out.print(outcome.verdict())
    if outcome.splits:
        out.print()
        out.print(_splits_table(outcome))
        out.print(outcome.stitched_sentence())
    out.print()
    for path in files:
        out.print(f"Written: {escape(str(path))}", soft_wrap=True)
    kept = f"; {outcome.reused:,} of its backtests were stored before" if outcome.reused else ""
    out.print(f"Swept {counted(len(outcome.table), 'set')} of {outcome.plan.graph.name} in {seconds:.1f} s{kept}.")


def _best_table(outcome: SweepOutcome) -> Table:
    names = list(dict.fromkeys((outcome.metric, *_SHOWN)))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("set", overflow="fold")
    for name in names:
        table.add_column(title_of(name), justify="right", no_wrap=True)
    for number, row in enumerate(outcome.best(MOST_ROWS).to_dict("records"), 1):
        chosen = escape(outcome.set_text({str(name): value for name, value in row.items()}))
        table.add_row(str(number), chosen, *(cell(name, row[name]) for name in names))
    return table


def _splits_table(outcome: SweepOutcome) -> Table:
    """The metric in and out of sample, and the Sharpe ratio beside its deflated one; with room left, the return."""
    metric, by_sharpe = outcome.metric, outcome.metric == "sharpe"
    titles = ["sharpe in", "deflated", "sharpe out", "return out"]
    if not by_sharpe:
        titles = [f"{title_of(metric)} in", "out", "sharpe in", "deflated"]
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("test from", no_wrap=True)
    table.add_column("set chosen before", overflow="fold")
    for title in titles:
        table.add_column(title, justify="right")
    for one in outcome.splits:
        train, test = one.train or {}, one.test or {}
        judged = [cell("sharpe", train.get("sharpe")), cell(DEFLATED, one.deflated)]
        inside, outside = (cell(metric, figures.get(metric)) for figures in (train, test))
        returned = cell("total_return", test.get("total_return"))
        figures = [*judged, outside, returned] if by_sharpe else [inside, outside, *judged]
        table.add_row(f"{one.split.test.start:%Y-%m-%d %H:%M}", escape(outcome.chosen_text(one)), *figures)
    return table


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): plain_value(value) for name, value in row.items()} for row in table.to_dict("records")]
