"""quantflow check: tells whether a graph could run, without running it."""

import typer
from rich.markup import escape

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.graph import load_graph
from quantflow_nodes.live.live_plan import LivePlan, plan_live
from quantflow_nodes.plan import Plan, plan_graph
from schemas.errors import GraphError

app = typer.Typer(add_completion=False)


@app.command()
def check(graph: GraphPath, change: Changes = None, as_json: AsJson = False) -> None:
    """Check a graph: node types, parameters, inputs, cycles. Needs no MongoDB.

    Example: quantflow check examples/btc_momentum_1m.yaml
    """
    plan = plan_graph(load_graph(graph, change))
    live, reason = _live(plan)
    if as_json:
        shown = {"name": plan.graph.name, "digest": plan.graph.digest, "order": list(plan.nodes)}
        lookback = None if live is None else {"nodes": live.lookbacks, "sources": live.rows_needed(live.lookbacks)}
        print_json({**shown, "live": live is not None, "live_refused": reason, "lookback_bars": lookback})
        return
    out.print(f"The graph {plan.graph.name} can run: {' → '.join(plan.nodes)}.")
    if live is None:
        out.print(escape(str(reason)), soft_wrap=True)
        return
    for name, rows in live.rows_needed(live.lookbacks).items():
        bars = "all that there are" if rows is None else f"the last {rows:,}, or more where it remembers for longer"
        out.print(f"It can be live: of {name} a close needs {bars}.", soft_wrap=True)


def _live(plan: Plan) -> tuple[LivePlan | None, str | None]:
    try:
        return plan_live(plan), None
    except GraphError as error:
        return None, str(error)
