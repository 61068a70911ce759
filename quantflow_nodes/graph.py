"""A graph as a person writes it: YAML text in, names and wiring out, before any node is looked up."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import GraphError, InputError
from schemas.yaml_text import parse_yaml

NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"


class NodeEntry(BaseModel):
    """One node of the YAML: its type, its parameters, and where each input comes from as `node.output`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    params: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)


class _GraphFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    description: str = ""
    nodes: dict[str, NodeEntry] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph's name and nodes; `folder` is where its own node modules are looked for."""

    name: str
    nodes: dict[str, NodeEntry]
    description: str = ""
    folder: Path = field(default_factory=Path)

    def as_document(self) -> dict[str, Any]:
        """Return the graph as plain values: what is stored with a run, and what its digest is taken of."""
        nodes = {name: entry.model_dump(mode="json") for name, entry in self.nodes.items()}
        return {"name": self.name, "description": self.description, "nodes": nodes}

    @property
    def digest(self) -> str:
        """SHA-256 of the graph's content, in hex: equal graphs have equal digests, however they are written."""
        return hashlib.sha256(orjson.dumps(self.as_document(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def load_graph(path: Path, changes: list[str] | None = None) -> Graph:
    """Return the graph of a YAML file.

    Parameters
    ----------
    path : Path
        The file.
    changes : list of str, optional
        `node.param=value` entries that replace parameters; values are read as YAML.

    Raises
    ------
    GraphError
        Where the file can not be read, is no YAML, or has not the form of a graph.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise GraphError(f"The graph {path} can not be read: {reason}.") from None
    return parse_graph(text, str(path), path.resolve().parent, changes)


def parse_graph(text: str, source: str, folder: Path, changes: list[str] | None = None) -> Graph:
    """Return the graph that YAML text gives; see `load_graph`."""
    content = _read_yaml(text, f"The graph {source}")
    if not isinstance(content, dict):
        raise GraphError(f"The graph {source} must be a mapping with `name` and `nodes`, found {_kind(content)}.")
    for change in changes or []:
        _apply(content, change)
    try:
        parsed = _GraphFile.model_validate(content)
    except ValidationError as error:
        raise GraphError(f"The graph {source} has not the form of a graph:\n" + _lines(error)) from None
    for name in parsed.nodes:
        if not re.fullmatch(NAME, name):
            raise GraphError(f"The node name {name!r} of {source} must be letters, digits, _ and -, without a dot.")
    return Graph(parsed.name, parsed.nodes, parsed.description, folder)


def _read_yaml(text: str, name: str) -> Any:
    try:
        return parse_yaml(text, name)
    except InputError as error:
        raise GraphError(str(error)) from None


def _apply(content: dict[str, Any], change: str) -> None:
    match = re.fullmatch(r"([^.=\s]+)\.([^.=\s]+)=(.*)", change, re.DOTALL)
    if match is None:
        raise GraphError(f"--set takes node.param=value, found {change!r}.")
    node, param, value = match.groups()
    nodes = content.get("nodes")
    if not isinstance(nodes, dict) or not isinstance(nodes.get(node), dict):
        names = ", ".join(map(str, nodes)) if isinstance(nodes, dict) else "none"
        raise GraphError(f"--set {change}: there is no node {node}. The graph has {names}.")
    params = nodes[node].get("params") or {}
    if not isinstance(params, dict):
        raise GraphError(f"--set {change}: the params of {node} must be a mapping, found {type(params).__name__}.")
    nodes[node] = {**nodes[node], "params": {**params, param: _read_yaml(value, f"--set {node}.{param}")}}


def _kind(content: Any) -> str:
    return {type(None): "nothing", list: "a list", str: "text"}.get(type(content), "a number")


def _lines(error: ValidationError) -> str:
    return "\n".join(f"  {'.'.join(map(str, part['loc'])) or 'graph'}: {part['msg']}." for part in error.errors())
