"""quantflow nodes: which nodes there are, and what each takes and gives."""

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import PydanticUndefined
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.node import Ports, port_type, same_as
from quantflow_nodes.registry import NodeClass, find_node, known_types

app = typer.Typer(add_completion=False)


@app.command()
def nodes(
    type_name: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="Show this one in full.", autocompletion=lambda: known_types()),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the node types, or show one with its parameters, inputs and outputs.

    Examples: quantflow nodes; quantflow nodes threshold_position; quantflow nodes my_nodes:MyNode
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # my_nodes:MyNode is looked for here, as beside a graph
    shown = [describe(name) for name in ([type_name] if type_name else known_types())]
    if as_json:
        print_json(shown)
    elif type_name:
        _print_one(shown[0])
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("type", "inputs", "outputs", "look-back", "what it does"):
            table.add_column(title, no_wrap=title == "type")
        for node in shown:
            ports = [", ".join(port["name"] for port in node[side]) or "–" for side in ("inputs", "outputs")]
            table.add_row(
                node["type"], *ports, node["lookback"], escape(" ".join(node["description"].split("\n\n")[0].split()))
            )
        out.print(table)


def describe(type_name: str) -> dict[str, Any]:
    """Return what a node type takes and gives, as plain values."""
    found = find_node(type_name)
    return {
        "type": type_name,
        "description": inspect.getdoc(found) or "",
        "lookback": found.lookback,
        "params": _params(found),
        "inputs": _ports(found.inputs_model),
        "outputs": _ports(found.outputs_model),
    }


def _params(found: NodeClass) -> list[dict[str, Any]]:
    schema = found.params_model.model_json_schema()
    return [
        {
            "name": name,
            "type": _json_type(schema["properties"][name]),
            "required": field.is_required(),
            "default": None if field.default is PydanticUndefined else field.default,
            "description": field.description or "",
        }
        for name, field in found.params_model.model_fields.items()
    ]


def _json_type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_json_type(part) for part in schema["anyOf"])
    return "list" if schema.get("type") == "array" else str(schema.get("type", "any"))


def _ports(model: type[Ports]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": f"as {same_as(model, name)}" if same_as(model, name) else port_type(model, name).__name__,
            "required": field.is_required(),
        }
        for name, field in model.model_fields.items()
    ]


def _print_one(node: dict[str, Any]) -> None:
    out.print(f"[bold]{node['type']}[/bold]\n{escape(node['description'])}\n")
    for param in node["params"]:
        needed = "needed" if param["required"] else f"default {param['default']}"
        out.print(f"  {param['name']} ({param['type']}, {needed}): {escape(param['description'])}", soft_wrap=True)
    for side in ("inputs", "outputs"):
        listed = [port["name"] + f": {port['type']}" + ("" if port["required"] else ", may stay open")
                  for port in node[side]]  # fmt: skip
        out.print(f"{side}: {'; '.join(listed) or 'none'}")
    out.print(f"look-back (bars before the one at hand): {node['lookback']}", soft_wrap=True)
