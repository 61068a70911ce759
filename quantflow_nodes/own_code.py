"""Names the code of a graph's own nodes, so that what other code has computed is not taken for what they compute."""

import ast
import hashlib
import inspect
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path

from quantflow_nodes.node import Node
from quantflow_nodes.plan import Plan

_OURS = {"quantflow_nodes", "research", "schemas"}
_STANDARD_LIBRARY = Path(os.__file__).parent
_INSTALLED = {"site-packages", "dist-packages"}


def own_code(plan: Plan) -> dict[str, str | None]:
    """Return SHA-256 of the file of each own module that a graph's nodes can reach by imports, by the module's name.

    Own is a module that neither Python, nor we, nor an installed package bring; of a package that has a node of the
    graph, all is own. Imports are read in the text of the files and nothing is imported: those inside of functions
    count, and it makes no difference what a process has imported before. A name that is put together only while the
    code runs is not seen. None stands for a module without a file that can be read.
    """
    classes = {base for node in plan.nodes.values() for base in type(node.node).__mro__ if issubclass(base, Node)}
    nodes = {base.__module__: _file_of(base) for base in classes if _top(base.__module__) not in _OURS}
    packages = {_top(module) for module in nodes}
    found: dict[str, str | None] = {}
    waiting = [own for module in nodes for own in _own_modules(module, packages)]
    waiting += nodes.items()  # taken first: a script's file is known by its class alone
    while waiting:
        module, file = waiting.pop()
        if module in found:
            continue
        content = _content(file)
        found[module] = None if content is None else hashlib.sha256(content).hexdigest()
        if file is not None and content is not None:
            package = module if file.stem == "__init__" else module.rpartition(".")[0]
            waiting += [own for name in _imports(content, package) for own in _own_modules(name, packages)]
    return dict(sorted(found.items()))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _file_of(found: type) -> Path | None:
    try:
        return Path(inspect.getfile(found))
    except (OSError, TypeError):  # made at a prompt
        return None


def _content(file: Path | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except OSError:  # inside of an archive
        return None


def _imports(content: bytes, package: str) -> Iterator[str]:
    """Give the names that a module imports; of `from a import b` both a and a.b, as b may be a module."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # machine code
        return
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            with suppress(ImportError):  # it reaches beyond the top, so importing it fails too
                source = resolve_name("." * statement.level + (statement.module or ""), package)
                yield source
                yield from (f"{source}.{alias.name}" for alias in statement.names)


def _own_modules(name: str, packages: set[str]) -> Iterator[tuple[str, Path | None]]:
    """Give the own modules among those that importing a name runs: the packages above it, from the top, and itself."""
    module, places = "", None
    for part in name.split("."):
        module = f"{module}.{part}" if module else part
        try:
            spec = find_spec(module) if places is None else PathFinder.find_spec(module, places)
        except ValueError:  # imported, and nobody knows from where
            yield module, None
            return
        if spec is None or _top(module) in _OURS or (_is_installed(spec) and _top(module) not in packages):
            return
        if spec.origin is not None and spec.has_location:
            yield module, Path(spec.origin)
        places = spec.submodule_search_locations
        if not places:
            return


def _is_installed(spec: ModuleSpec) -> bool:
    """Tell whether Python or a package that was installed brings a module."""
    places = spec.submodule_search_locations or [spec.origin or ""]
    return all(_STANDARD_LIBRARY in Path(place).parents or _INSTALLED & {*Path(place).parts} for place in places)
