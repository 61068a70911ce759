"""Writes a sweep's files: its table and its splits as Parquet, and a page to look at."""

from pathlib import Path

import pandas as pd

from quantflow_nodes.sweep.outcome import SplitOutcome, SweepOutcome, param_column

_SPLIT_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")


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
    grid = outcome.plan.grid
    chosen = [None if one.chosen is None else grid.values(one.chosen) for one in outcome.splits]
    params = {
        axis.name: param_column([None if values is None else values[at] for values in chosen])
        for at, axis in enumerate(grid.axes)
    }
    figures = pd.DataFrame([_figures(outcome, one) for one in outcome.splits])
    return pd.concat([_windows(outcome.splits), pd.DataFrame(params), figures], axis="columns")


def _windows(splits: list[SplitOutcome]) -> pd.DataFrame:
    windows = [(one.split.train, one.split.test) for one in splits]
    return pd.DataFrame(
        {
            "train_start": [train.start for train, _ in windows],
            "train_end": [train.end for train, _ in windows],
            "test_start": [test.start for _, test in windows],
            "test_end": [test.end for _, test in windows],
        }
    )


def _figures(outcome: SweepOutcome, one: SplitOutcome) -> dict[str, float | None]:
    names = dict.fromkeys((outcome.metric, *_SPLIT_FIGURES))
    row: dict[str, float | None] = {f"train_{name}": (one.train or {}).get(name) for name in names}
    row["train_deflated_sharpe"] = one.deflated
    return row | {f"test_{name}": (one.test or {}).get(name) for name in names}
