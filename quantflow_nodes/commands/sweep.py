"""quantflow sweep: a graph under many parameter sets, ranked, and judged by how many were tried."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import err, print_json
from quantflow_nodes.commands.run import executor_of
from quantflow_nodes.commands.sweep_text import outcome_object, print_outcome
from quantflow_nodes.graph import load_graph
from quantflow_nodes.programs import make_folder
from quantflow_nodes.sweep.figures import METRICS
from quantflow_nodes.sweep.files import write_files
from quantflow_nodes.sweep.grid import Grid, counted, parse_grid
from quantflow_nodes.sweep.run_sweep import Observer, SweepOptions, run_sweep
from quantflow_nodes.sweep.sweep_plan import plan_sweep
from quantflow_nodes.sweep.windows import WalkForward, parse_walk_forward
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.settings import Settings

app = typer.Typer(add_completion=False)

Grids = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NODE.PARAM=VALUES",
        help="start:stop:step, a,b,c or a YAML list; several options make their product.",
    ),
]
Metric = Annotated[
    str, typer.Option(help=f"Ranks the sets: {', '.join(METRICS)}.", autocompletion=lambda: list(METRICS))
]
TrainAndTest = Annotated[
    str | None,
    typer.Option(
        metavar="TRAIN:TEST[:STEP]", help="Choose on TRAIN, trade on TEST, again and again: 7d:1d, or in bars."
    ),
]
Anchored = Annotated[bool, typer.Option("--anchored", help="TRAIN always begins with the first bar.")]
Draw = Annotated[int | None, typer.Option("--random", min=1, metavar="N", help="Draw N sets of the product.")]
Seed = Annotated[int, typer.Option(help="Of --random: the same seed draws the same sets.")]
Judge = Annotated[
    str | None, typer.Option(metavar="NODE", help="The backtest that judges, where the graph has several.")
]
Workers = Annotated[
    int, typer.Option(min=0, help="Threads or processes. 0: QUANTFLOW_WORKERS, or as many as there are cores.")
]
Dask = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Run on a Dask scheduler, such as tcp://127.0.0.1:8786.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Where files are written; sweep-NAME by default.")]
Report = Annotated[bool, typer.Option(help="Write report.html.")]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave out sets that break a rule, such as an exit above the entry.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Compute all again, also what is stored.")]
Plain = Annotated[bool, typer.Option("--plain", help="Run every node for each set; the same figures.")]


@app.command()
def sweep(
    graph: GraphPath,
    grid: Grids = None,
    change: Changes = None,
    metric: Metric = "sharpe",
    walk_forward: TrainAndTest = None,
    anchored: Anchored = False,
    draw: Draw = None,
    seed: Seed = 0,
    backtest: Judge = None,
    workers: Workers = 0,
    dask: Dask = None,
    out: Out = None,
    report: Report = True,
    skip_invalid: SkipInvalid = False,
    fresh: Fresh = False,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Run a graph under many parameter sets and rank them; nothing is published.

    Results are kept as they come: the same sweep again goes on where it was.

    Examples:

      quantflow sweep G.yaml --grid momentum.lookback_bars=30:240:30

      quantflow sweep G.yaml --grid momentum.lookback_bars=30:240:30 --grid position.enter_above=0:0.01:0.002
      --walk-forward 7d:1d

      quantflow sweep G.yaml --grid rsi.lookback_bars=7,14,21 --random 100 --seed 1 --metric calmar --json
    """
    started = time.perf_counter()
    if dask is not None and workers:
        raise InputError("--workers is about this machine and --dask about a cluster. Give one of them.")
    options = SweepOptions(metric, _walk_forward(walk_forward, anchored=anchored), workers, fresh, plain)
    settings = Settings.load()
    configure_logging(settings)
    drawn = parse_grid(grid or [], draw, seed)
    _refuse_both(drawn, change or [])
    if draw is not None and draw > len(drawn.sets):
        err.print(f"--random {draw:,}: the grid has only {counted(len(drawn.sets), 'set')}, and all are taken.")
    plan = plan_sweep(load_graph(graph, change), drawn, backtest, skip_invalid=skip_invalid)
    folder = make_folder(out or Path(f"sweep-{plan.graph.name}"))
    with executor_of(dask, option="--dask") as cluster, _progress(quiet=as_json) as observe:
        outcome = run_sweep(plan, settings, options, observe, cluster)
    files = write_files(outcome, folder, report=report)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(outcome_object(outcome, files, seconds))
    else:
        print_outcome(outcome, files, seconds)


def _refuse_both(grid: Grid, changes: list[str]) -> None:
    """Refuse a parameter that is swept and set at once: one of the two would do nothing."""
    both = [axis.name for axis in grid.axes if axis.name in {change.partition("=")[0].strip() for change in changes}]
    if both:
        raise InputError(f"--grid and --set both name {', '.join(both)}. Leave one of them out.")


def _walk_forward(text: str | None, *, anchored: bool) -> WalkForward | None:
    if text is not None:
        return parse_walk_forward(text, anchored=anchored)
    if anchored:
        raise InputError("--anchored says how a walk-forward begins. Give --walk-forward too, such as 7d:1d.")
    return None


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Observer]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task("reading bars", total=None)

        def observe(done: int, total: int) -> None:
            progress.update(task, description="evaluating", completed=done, total=total)

        yield observe
