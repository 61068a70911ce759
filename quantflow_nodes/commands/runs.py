"""quantflow runs: which runs there were, from workflow_runs."""

import re
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json
from schemas.collections import WORKFLOW_RUNS
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.mongo import connect
from schemas.settings import Settings

_SHOWN_LETTERS = 12  # the time in a run's name: enough to tell runs apart


app = typer.Typer(add_completion=False)


@app.command()
def runs(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Show this run in full; first letters do.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest runs to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest runs of graphs, or show one with its graph, versions and nodes.

    Examples: quantflow runs; quantflow runs 01a1fcde985e
    """
    settings = Settings.load()
    configure_logging(settings)
    with connect(settings) as db:
        wanted = {} if run_id is None else {"run_id": {"$regex": f"^{re.escape(run_id)}"}}
        found: list[Any] = list(db[WORKFLOW_RUNS].find(wanted, {"_id": 0}).sort("started_at", -1).limit(most))
    if run_id is not None:
        if not found:
            raise InputError(f"There is no run {run_id}. `quantflow runs` lists those that there are.")
        if len(found) > 1:
            raise InputError(f"{len(found)} runs begin with {run_id}. Give more of the name.")
        print_json(found[0])
    elif as_json:
        print_json(found)
    else:
        out.print(_table(found))


def _table(found: list[Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("run", "graph", "state", "started (UTC)", "seconds", "bars", "error"):
        table.add_column(title, no_wrap=title in ("run", "state", "started (UTC)"), overflow="fold")
    for run in found:
        seconds = (run["ended_at"] - run["started_at"]).total_seconds() if "ended_at" in run else None
        table.add_row(
            run["run_id"][:_SHOWN_LETTERS],
            run["name"],
            run["state"],
            f"{run['started_at']:%Y-%m-%d %H:%M:%S}",
            "–" if seconds is None else f"{seconds:.1f}",
            f"{run['data_bars']:,}" if "data_bars" in run else "–",
            escape(run.get("error", "")),
        )
    return table
