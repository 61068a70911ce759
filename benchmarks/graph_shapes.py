"""Three shapes of a graph of trivial nodes, once for us and once for Dask: what is measured is the scheduler alone."""

from pathlib import Path
from typing import Any

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.plan import Plan, plan_graph

Edges = dict[str, tuple[str, ...]]


class Numbers(Ports):
    """What a node adds one to."""

    left: int = 0
    right: int = 0


class Sum(Ports):
    """One number."""

    number: int


class AddOne(Node[Params, Numbers, Sum]):
    """Adds its inputs, and one."""

    type_name = "add_one"

    def run(self, params: Params, inputs: Numbers, context: RunContext) -> Sum:  # noqa: ARG002
        return Sum(number=add_one(inputs.left, inputs.right))


def add_one(*numbers: int) -> int:
    """Return the sum and one."""
    return sum(numbers) % 1_000_003 + 1


def chain(count: int) -> Edges:
    """Each node waits for the one before."""
    return {f"n{i}": (f"n{i - 1}",) if i else () for i in range(count)}


def fan_out(count: int) -> Edges:
    """All wait for the first."""
    return {f"n{i}": ("n0",) if i else () for i in range(count)}


def layers(count: int, width: int = 10) -> Edges:
    """Layers of ten, each node waits for two of the layer before."""
    edges: Edges = {}
    for i in range(count):
        row, place = divmod(i, width)
        above = (row - 1) * width
        edges[f"n{i}"] = (f"n{above + place}", f"n{above + (place + 1) % width}") if row else ()
    return edges


SHAPES = {"chain": chain, "fan-out": fan_out, "layers of ten": layers}


def our_plan(edges: Edges) -> Plan:
    """Return the plan of a graph with these edges."""
    lines = ["name: bench", "nodes:"]
    for name, sources in edges.items():
        ports = zip(("left", "right"), sources, strict=False)
        inputs = ", ".join(f"{port}: {source}.number" for port, source in ports)
        lines.append(f'  {name}: {{type: "graph_shapes:AddOne", inputs: {{{inputs}}}}}')
    return plan_graph(parse_graph("\n".join(lines), "bench", Path(__file__).parent))


def dask_graph(edges: Edges) -> dict[str, Any]:
    """Return the same graph as Dask takes it: for each key a function and the keys of its arguments."""
    return {name: (add_one, *sources) for name, sources in edges.items()}
