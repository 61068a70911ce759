"""Finds node classes by the word that YAML uses: our own, those of installed packages, those of a module path."""

import difflib
import importlib
import inspect
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import quantflow_nodes.nodes
from quantflow_nodes.node import Node
from schemas.errors import GraphError

ENTRY_POINT_GROUP = "quantflow.nodes"
NodeClass = type[Node[Any, Any, Any]]


@cache
def built_in_nodes() -> dict[str, NodeClass]:
    """Return our own node classes by type name: every Node that a module of quantflow_nodes.nodes defines."""
    found: dict[str, NodeClass] = {}
    for module_info in pkgutil.iter_modules(quantflow_nodes.nodes.__path__):
        module = importlib.import_module(f"quantflow_nodes.nodes.{module_info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Node) and member.__module__ == module.__name__ and not inspect.isabstract(member):
                found[member.type_name] = member
    return dict(sorted(found.items()))


def known_types() -> list[str]:
    """Return every type name that needs no module path, sorted: our own and those of installed packages."""
    return sorted({*built_in_nodes(), *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def find_node(type_name: str) -> NodeClass:
    """Return the node class of a type: a known name, or a module path such as `my_nodes.carry:CarryFactor`.

    Raises
    ------
    GraphError
        Where there is none; the sentence says what would fit.
    """
    if type_name in built_in_nodes():
        return built_in_nodes()[type_name]
    for point in entry_points(group=ENTRY_POINT_GROUP, name=type_name):
        return _checked(type_name, point.load)
    if ":" in type_name:
        module, _, name = type_name.partition(":")
        return _checked(type_name, lambda: getattr(importlib.import_module(module), name))
    near = difflib.get_close_matches(type_name, known_types(), n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise GraphError(
        f"the type {type_name} is not known. {hint}There are {', '.join(known_types())}; "
        "a node of your own is written as module.path:ClassName."
    )


def _checked(type_name: str, load: Any) -> NodeClass:
    try:
        found = load()
    except Exception as error:  # a user's module may raise anything while it is imported
        raise GraphError(f"the type {type_name} can not be imported: {type(error).__name__}: {error}.") from error
    if not (inspect.isclass(found) and issubclass(found, Node)):
        raise GraphError(f"the type {type_name} is no Node: derive a class from quantflow_nodes.node.Node.")
    if inspect.isabstract(found):
        raise GraphError(f"the type {type_name} has no `run`, which every node must have.")
    if not hasattr(found, "params_model"):
        raise GraphError(
            f"{type_name} does not say what it takes: derive it from Node[YourParams, YourInputs, YourOutputs]."
        )
    return found
