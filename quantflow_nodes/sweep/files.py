"""Writes a sweep's files: its table and its splits as Parquet, and a page to look at."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from quantflow_nodes.sweep.outcome import SplitOutcome, SweepOutcome, param_column

_RESULTS, _WALK_FORWARD, _REPORT = "results.parquet", "walk_forward.parquet", "report.html"
_SPLIT_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")


def write_files(outcome: SweepOutcome, folder: Path, *, report: bool) -> list[Path]:
    """Write `results.parquet`, with a walk-forward `walk_forward.parquet`, and `report.html`; return their paths.

    Each is written aside and then renamed, so that none is ever half there. A file of an earlier sweep that this one
    does not write is removed: what lies side by side is of one sweep.
    """
    made: dict[str, Callable[[Path], object]] = {_RESULTS: lambda path: outcome.table.to_parquet(path, index=False)}
    if outcome.splits:
        made[_WALK_FORWARD] = lambda path: splits_table(outcome).to_parquet(path, index=False)
    if report:
        from quantflow_nodes.sweep.report import sweep_page  # brings Plotly

        made[_REPORT] = lambda path: path.write_text(sweep_page(outcome), encoding="utf-8")
    aside = {folder / name: folder / f".{name}.part" for name in made}
    try:
        for path, part in aside.items():
            made[path.name](part)
        for name in {_RESULTS, _WALK_FORWARD, _REPORT} - made.keys():
            (folder / name).unlink(missing_ok=True)
        for path, part in aside.items():
            part.replace(path)
    finally:
        for part in aside.values():
            part.unlink(missing_ok=True)
    return list(aside)


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
