"""Checks a graph before anything runs and turns it into a plan: nodes with checked parameters, in running order."""

import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError

from quantflow_nodes.graph import Graph, NodeEntry
from quantflow_nodes.node import Node, Params, port_type, same_as
from quantflow_nodes.registry import NodeClass, find_node
from schemas.errors import GraphError


@dataclass(frozen=True, slots=True)
class Source:
    """An output of another node, from which an input comes."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node that is ready to run once its sources have."""

    name: str
    type: str
    node: Node[Any, Any, Any]
    params: Params
    sources: dict[str, Source]


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked graph: its nodes in an order in which every source stands before those it feeds."""

    graph: Graph
    nodes: dict[str, PlannedNode]

    def predecessors(self) -> dict[str, set[str]]:
        """Return, for each node, the nodes that it waits for."""
        return {name: {source.node for source in node.sources.values()} for name, node in self.nodes.items()}


def plan_graph(graph: Graph) -> Plan:
    """Return the plan of a graph.

    Raises
    ------
    GraphError
        With every mistake found, a sentence each with the node's name and what would fit: an unknown type, a missing
        or misspelt parameter, an input that does not exist or has another type, a cycle.
    """
    mistakes: list[str] = []
    classes = find_classes(graph, mistakes)
    checked = ((name, _check_params(name, graph.nodes[name], found, mistakes)) for name, found in classes.items())
    params = {name: given for name, given in checked if given is not None}
    sources = {name: _check_inputs(name, graph, classes, mistakes) for name in classes}
    order = _order(sources, mistakes)
    for name in order:
        mistakes += _check_types(name, classes, sources)
    if mistakes:
        raise GraphError(f"The graph {graph.name} can not run:\n" + "\n".join(f"  {line}" for line in mistakes))
    return Plan(
        graph,
        {
            name: PlannedNode(name, graph.nodes[name].type, classes[name](), params[name], sources[name])
            for name in order
        },
    )


def find_classes(graph: Graph, mistakes: list[str]) -> dict[str, NodeClass]:
    """Return the class of each node by its name; a type that is not known adds a sentence to `mistakes`."""
    if str(graph.folder) not in sys.path:
        sys.path.append(str(graph.folder))  # a graph's own nodes lie beside it
    classes: dict[str, NodeClass] = {}
    for name, entry in graph.nodes.items():
        try:
            classes[name] = find_node(entry.type)
        except GraphError as error:
            mistakes.append(f"{name}: {error}")
    return classes


def _check_params(name: str, entry: NodeEntry, found: NodeClass, mistakes: list[str]) -> Params | None:
    try:
        return found.params_model.model_validate(entry.params)
    except ValidationError as error:
        known = list(found.params_model.model_fields)
        mistakes += [f"{name}: {param_mistake(entry, known, dict(part))}" for part in error.errors()]
    return None


def param_mistake(entry: NodeEntry, known: list[str], part: dict[str, Any]) -> str:
    """Return the sentence of one error that pydantic found in a node's parameters; `known` are their names."""
    param = ".".join(map(str, part["loc"]))
    takes = f"{entry.type} takes {_listed(known)}."
    if part["type"] == "missing":
        return f"the parameter {param} is missing. {takes}"
    if part["type"] == "extra_forbidden":
        return f"the parameter {param} is not known. {_did_you_mean(param, known)}{takes}"
    message = part["msg"].removeprefix("Value error, ")
    sentence = message if message.endswith((".", "?")) else f"{message}."
    return sentence if not param else f"the parameter {param} can not be {part['input']!r}: {sentence}"


def _check_inputs(name: str, graph: Graph, classes: dict[str, NodeClass], mistakes: list[str]) -> dict[str, Source]:
    entry, model = graph.nodes[name], classes[name].inputs_model
    ports = list(model.model_fields)
    sources: dict[str, Source] = {}
    for port, text in entry.inputs.items():
        if port not in ports:
            takes = f"{entry.type} takes {_listed(ports)}."
            mistakes.append(f"{name}: the input {port} is not known. {_did_you_mean(port, ports)}{takes}")
        elif source := _find_source(f"{name}: the input {port}", text, graph, classes, mistakes):
            sources[port] = source
    for port in ports:
        if model.model_fields[port].is_required() and port not in entry.inputs:
            wanted = port_type(model, port).__name__
            mistakes.append(
                f"{name}: the input {port} is missing; it takes {wanted}{_offers(graph, classes, wanted, name)}."
            )
    return sources


def _find_source(
    what: str, text: str, graph: Graph, classes: dict[str, NodeClass], mistakes: list[str]
) -> Source | None:
    node, dot, output = text.partition(".")
    if not dot:
        mistakes.append(f"{what} must name an output as node.output, found {text!r}.")
    elif node not in graph.nodes:
        others = list(graph.nodes)
        mistakes.append(f"{what} names the node {node}, which does not exist. {_did_you_mean(node, others)}"
                        f"There are {_listed(others)}.")  # fmt: skip
    elif node in classes:
        outputs = list(classes[node].outputs_model.model_fields)
        if output in outputs:
            return Source(node, output)
        mistakes.append(f"{what} names {text}, but {node} has no output {output}. It has {_listed(outputs)}.")
    return None


def _order(sources: dict[str, dict[str, Source]], mistakes: list[str]) -> list[str]:
    waits = {name: {source.node for source in ports.values()} for name, ports in sources.items()}
    try:
        return list(TopologicalSorter(waits).static_order())
    except CycleError as error:
        circle = list(reversed(error.args[1]))  # graphlib names it against the flow of data
        mistakes.append(
            f"{circle[0]}: the nodes {' → '.join(circle)} wait for each other. Take one of these edges away."
        )
        return []


def _check_types(name: str, classes: dict[str, NodeClass], sources: dict[str, dict[str, Source]]) -> list[str]:
    mistakes = []
    for port, source in sources[name].items():
        wanted = port_type(classes[name].inputs_model, port)
        given = _output_type(source, classes, sources)
        if not issubclass(given, wanted):
            mistakes.append(
                f"{name}: the input {port} takes {wanted.__name__}, but {source.node}.{source.output} "
                f"gives {given.__name__}."
            )
    return mistakes


def _output_type(source: Source, classes: dict[str, NodeClass], sources: dict[str, dict[str, Source]]) -> type:
    model = classes[source.node].outputs_model
    port = same_as(model, source.output)
    if port is not None and port in sources[source.node]:
        return _output_type(sources[source.node][port], classes, sources)
    return port_type(model, source.output)


def _offers(graph: Graph, classes: dict[str, NodeClass], wanted: str, asking: str) -> str:
    offered = [
        f"{name}.{output}"
        for name in graph.nodes
        if name in classes and name != asking
        for output in classes[name].outputs_model.model_fields
        if port_type(classes[name].outputs_model, output).__name__ == wanted
    ]
    return f", such as {' or '.join(offered)}" if offered else ""


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"
