"""The code of own nodes is told by the files that they reach by imports, and by no others."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from swept import walk_graph

from quantflow_nodes.own_code import own_code
from quantflow_nodes.plan import Plan, plan_graph
from quantflow_nodes.run_record import versions

NODE = """
import json, numpy.linalg
import own_top
from quantflow_nodes.node import Node, Params, Ports
from research.bars import Floats
from . import beside
from .beside import VALUE
from .inner.deep import *

class Own(Node[Params, Ports, Ports]):
    type_name = "own"
    def run(self, params, inputs, context):
        if params is None:
            import own_lazy.part
            import own_missing
            from .... import nowhere
            from own_space.module import Thing
"""
FILES = {
    "own_nodes/__init__.py": "",
    "own_nodes/node.py": NODE,
    "own_nodes/beside.py": "from own_nodes import node, further\nVALUE = 1",
    "own_nodes/further.py": "",
    "own_nodes/inner/__init__.py": "",
    "own_nodes/inner/deep.py": "from .. import node",
    "own_nodes/not_imported.py": "",
    "own_top.py": "import site_part",
    "own_lazy/__init__.py": "",
    "own_lazy/part.py": "raise RuntimeError('nothing may import me')",
    "own_space/module.py": "Thing = 1",
    "own_other.py": "",
    "site-packages/site_part.py": "import own_other",
}
REACHED = [
    "own_lazy", "own_lazy.part", "own_nodes", "own_nodes.beside", "own_nodes.further", "own_nodes.inner",
    "own_nodes.inner.deep", "own_nodes.node", "own_space.module", "own_top",
]  # fmt: skip


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def plan_with(node: str) -> Plan:
    """The plan of the walk with one more node."""
    return plan_graph(walk_graph(**{"nodes:\n": f"nodes:\n  own: {{type: {node}}}\n"}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with own modules, and installed ones below it, all of which can be imported."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for path in (tmp_path, tmp_path / "site-packages"):
        monkeypatch.syspath_prepend(str(path))
    importlib.invalidate_caches()
    yield tmp_path
    for module in [name for name in sys.modules if name.startswith(("own_nodes", "own_top", "own_other", "site_part"))]:
        del sys.modules[module]


def test_what_a_node_can_reach_is_own(folder: Path) -> None:
    """Packages, relative imports and those inside of functions; installed modules and what those import are not."""
    write(folder, FILES)
    code = own_code(plan_with("own_nodes.node:Own"))
    assert list(code) == REACHED
    assert None not in code.values()
    assert "own_lazy" not in sys.modules


def test_one_file_changes_one_digest(folder: Path) -> None:
    """That of what the file holds, whenever it is imported."""
    write(folder, FILES)
    plan = plan_with("own_nodes.node:Own")
    before = own_code(plan)
    write(folder, {"own_lazy/part.py": "other", "own_nodes/not_imported.py": "other", "own_other.py": "other"})
    assert {name for name, digest in own_code(plan).items() if digest != before[name]} == {"own_lazy.part"}


def test_a_package_that_has_a_node_is_own_where_it_is_installed(folder: Path) -> None:
    """Its version is not looked at, so its files are; other packages beside it are not."""
    inside = ("own_nodes/__init__.py", "own_nodes/node.py", "own_nodes/beside.py", "own_nodes/inner/__init__.py")
    files = {name: FILES[name].replace("own_nodes import node, further", "own_nodes import node") for name in inside}
    write(folder / "site-packages", {**files, "own_nodes/inner/deep.py": "", "own_top.py": ""})
    told = [name.replace("/__init__", "").replace("/", ".").removesuffix(".py") for name in inside]
    assert list(own_code(plan_with("own_nodes.node:Own"))) == sorted([*told, "own_nodes.inner.deep"])


def test_what_has_no_file_has_no_digest(folder: Path) -> None:
    """A module that was made while the process runs, whether it is imported by one that has a node or has it itself."""
    write(folder, FILES)
    plan = plan_with("own_nodes.node:Own")
    sys.modules["own_top"] = type(sys)("own_top")
    assert {name for name, digest in own_code(plan).items() if digest is None} == {"own_top"}
    sys.modules["own_nodes.node"] = type(sys)("own_nodes.node")
    assert own_code(plan)["own_nodes.node"] is None


def test_ours_are_told_by_their_version() -> None:
    """A graph without own nodes has no own code; numba has a part in figures too."""
    assert own_code(plan_graph(walk_graph())) == {}
    assert "swept" in own_code(plan_with("swept:Table"))
    assert {"quantflow", "numba"} <= versions().keys()
