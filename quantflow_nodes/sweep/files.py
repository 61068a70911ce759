"""Writes a sweep's files: its table and its splits as Parquet, and a page to look at."""

from pathlib import Path
from typing import Any

import pandas as pd

from quantflow_nodes.sweep.outcome import SplitOutcome, SweepOutcome

_SPLIT_FIGURES = ("total_return", "sharpe", "max_drawdown", "trades")


def write_files(outcome: SweepOutcome, folder: Path, *, report: bool) -> list[Path]:
    """Write `results.parquet`, with a walk-forward `walk_forward.parquet`, and `report.html`; return their paths."""
    written = [folder / "results.parquet"]
    outcome.table.to_parquet(written[0], index=False)
    if outcome.splits:
        written.append(folder / "walk_forward.parquet")
        splits_table(outcome).to_parquet(written[-1], index=False)
    if report:
        from quantflow_nodes.sweep.report import sweep_page  # brings Plotly

        written.append(folder / "report.html")
        written[-1].write_text(sweep_page(outcome), encoding="utf-8")
    return written


def splits_table(outcome: SweepOutcome) -> pd.DataFrame:
    """Return one row a split: its windows, the parameters that it chose, and figures in and out of sample.

    Columns: train_start, train_end, test_start, test_end (UTC), then `node.param`, then train_ and test_ figures, and
    `train_deflated_sharpe`. Where nothing could be chosen, parameters and figures are missing.
    """
    return pd.DataFrame([_row(outcome, split) for split in outcome.splits])


def _row(outcome: SweepOutcome, one: SplitOutcome) -> dict[str, Any]:
    grid, window = outcome.plan.grid, one.split
    values = [None] * len(grid.axes) if one.chosen is None else grid.values(one.chosen)
    row: dict[str, Any] = {
        "train_start": window.train.start,
        "train_end": window.train.end,
        "test_start": window.test.start,
        "test_end": window.test.end,
    }
    row |= {axis.name: value for axis, value in zip(grid.axes, values, strict=True)}
    names = dict.fromkeys((outcome.metric, *_SPLIT_FIGURES))
    row |= {f"train_{name}": (one.train or {}).get(name) for name in names}
    row |= {"train_deflated_sharpe": one.deflated}
    return row | {f"test_{name}": (one.test or {}).get(name) for name in names}
