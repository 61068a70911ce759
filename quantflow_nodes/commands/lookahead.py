"""quantflow lookahead: tells which node of a graph sees the future."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.commands.step_progress import step_progress
from quantflow_nodes.graph import load_graph
from quantflow_nodes.lookahead import SEES_THE_FUTURE, Finding, NodeVerdict, check_lookahead
from quantflow_nodes.plan import plan_graph
from schemas.console import configure_logging
from schemas.settings import Settings

app = typer.Typer(add_completion=False)
_DONE = {
    "cut": "when the bars that closed after {time} are cut off",
    "changed": "when the bars that closed after {time} are changed",
    "repeated": "when the node is run again on the same input",
}


@app.command()
def lookahead(
    graph: GraphPath,
    change: Changes = None,
    samples: Annotated[int, typer.Option(min=1, max=10_000, help="At how many times each node is tried.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of times and of the other future.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show for each node that its output does not change when the future does; name the one whose output does.

    At sampled times, later bars are cut off, then changed; nothing is published. Exit code 9 where a node sees the
    future, or could not be shown not to.

    Examples:

      quantflow lookahead examples/btc_momentum_1m.yaml

      quantflow lookahead G.yaml --samples 100 --seed 7 --json
    """
    settings = Settings.load()
    configure_logging(settings)
    plan = plan_graph(load_graph(graph, change))
    with step_progress(quiet=as_json) as progress:
        verdicts = check_lookahead(plan, settings, samples, seed, progress)
    fine = all(verdict.is_fine for verdict in verdicts)
    if as_json:
        shown = [_as_dict(verdict) for verdict in verdicts]
        print_json({"name": plan.graph.name, "samples": samples, "seed": seed, "fine": fine, "nodes": shown})
    else:
        _print(plan.graph.name, verdicts)
    if not fine:
        raise typer.Exit(SEES_THE_FUTURE)


def _as_dict(verdict: NodeVerdict) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "node": verdict.node,
        "type": verdict.type,
        "verdict": verdict.verdict,
        "fine": verdict.is_fine,
        "cuts": verdict.cuts,
        "rows": verdict.rows,
        "detail": verdict.detail,
    }
    finding = verdict.finding
    if finding is not None:
        difference = finding.difference
        shown["finding"] = {
            "output": finding.output,
            "how": finding.how,
            "time": finding.time.isoformat(),
            "symbol": difference.symbol,
            "datetime": difference.opened_at.isoformat(),
            "column": difference.column,
            "before": _plain(difference.value),
            "after": _plain(difference.other),
            "rows": difference.rows,
        }
    return shown


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _print(name: str, verdicts: list[NodeVerdict]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("node", "type", "cuts", "rows compared", "verdict"):
        table.add_column(title, justify="right" if title in ("cuts", "rows compared") else "left")
    for verdict in verdicts:
        style = "" if verdict.is_fine else "red"
        said = escape(verdict.verdict + (f" ({verdict.detail})" if verdict.detail else ""))
        counts = [f"{number:,}" if verdict.cuts else "–" for number in (verdict.cuts, verdict.rows)]
        table.add_row(verdict.node, verdict.type, *counts, said, style=style)
    out.print(table)
    for verdict in verdicts:
        if verdict.finding is not None:
            out.print(f"[red]{verdict.node}[/red]: {escape(sentence(verdict.finding))}", soft_wrap=True)
    wrong = [verdict.node for verdict in verdicts if not verdict.is_fine]
    out.print(
        f"{', '.join(wrong)} of {name} must be looked at."
        if wrong
        else f"No node of {name} sees the future, as far as these samples show."
    )


def sentence(finding: Finding) -> str:
    """Say how a node gave itself away."""
    difference = finding.difference
    done = _DONE[finding.how].format(time=f"{finding.time:%Y-%m-%d %H:%M} UTC")
    values = f"{difference.value} becomes {difference.other}"
    if not difference.symbol:
        return f"its {finding.output}, which other nodes use for bars of all times, changes {done}: {values}."
    where = f"{difference.symbol}, bar of {difference.opened_at:%Y-%m-%d %H:%M}"
    column = f", column {difference.column}" if difference.column else ""
    more = f" {difference.rows:,} rows change in all." if difference.rows > 1 else ""
    return f"its {finding.output} changes {done}: {where}{column}: {values}.{more}"
