"""quantflow check: tells whether a graph could run, without running it."""

import typer

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.graph import load_graph
from quantflow_nodes.plan import plan_graph

app = typer.Typer(add_completion=False)


@app.command()
def check(graph: GraphPath, change: Changes = None, as_json: AsJson = False) -> None:
    """Check a graph: node types, parameters, inputs, cycles. Needs no MongoDB.

    Example: quantflow check examples/btc_momentum_1m.yaml
    """
    plan = plan_graph(load_graph(graph, change))
    if as_json:
        print_json({"name": plan.graph.name, "digest": plan.graph.digest, "order": list(plan.nodes)})
        return
    out.print(f"The graph {plan.graph.name} can run: {' → '.join(plan.nodes)}.")
