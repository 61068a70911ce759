"""quantflow run: runs a graph, shows its figures, writes its report."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import err, out, print_json, summary_table
from quantflow_nodes.commands.step_progress import step_progress
from quantflow_nodes.dask_cluster import Cluster
from quantflow_nodes.graph import load_graph
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.programs import make_folder
from quantflow_nodes.workflow import run_graph
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.settings import Settings

_DASK_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application")
app = typer.Typer(add_completion=False)


@app.command()
def run(
    graph: GraphPath,
    change: Changes = None,
    reports: Annotated[Path, typer.Option("--report-folder", help="Where report.html is written.")] = Path(),
    report: Annotated[bool, typer.Option(help="Write the HTML reports of nodes that have one.")] = True,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run nodes on a Dask scheduler, such as tcp://127.0.0.1:8786."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a graph: its nodes, side by side where they can; the run is kept in workflow_runs.

    Examples:

      quantflow run examples/btc_momentum_1m.yaml

      quantflow run G.yaml --set momentum.lookback_bars=60 --set export.strategy_id=fast --json
    """
    started = time.perf_counter()
    settings = Settings.load()
    configure_logging(settings)
    plan = plan_graph(load_graph(graph, change))
    folder = make_folder(reports) if report else None
    with executor_of(cluster) as executor, step_progress(quiet=as_json) as progress:
        finished = run_graph(plan, settings, progress, executor, folder)
    seconds = time.perf_counter() - started
    shown = finished.as_dict()
    if as_json:
        print_json({**shown, "seconds": round(seconds, 3)})
        return
    for name, node in shown["nodes"].items():
        if node["summary"]:
            out.print(summary_table(f"{name} ({node['type']})", node["summary"]))
            out.print()
    for path in finished.reports:
        out.print(f"Report: {escape(str(path))}", soft_wrap=True)
    out.print(f"Run {finished.result.context.run_id} of {plan.graph.name} succeeded in {seconds:.1f} s.")


@contextmanager
def executor_of(cluster: str | None, timeout_s: float = 10.0, option: str = "--cluster") -> Iterator[Executor | None]:
    """Give an executor on the Dask scheduler at an address for a `with` block; None where there is no address."""
    if cluster is None:
        yield None
        return
    try:
        import distributed  # the extra `cluster`; heavy, so only where it is asked for
    except ImportError:
        raise InputError(f"{option} needs Dask, which is not installed. Install quantflow[cluster].") from None
    try:
        client: Any = distributed.Client(cluster, timeout=timeout_s)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(f"No Dask scheduler answers at {cluster}: {error}.") from None
    for logger in _DASK_LOGGERS:  # it logs a traceback for each task that a lost connection cancels
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with client, Cluster(client, cluster, _say) as executor:
        yield executor


def _say(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)
