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
import mine_top
from quantflow_nodes.node import Node, Params, Ports
from research.bars import Floats
from . import beside
from .beside import VALUE
from .inner.deep import *

class Own(Node[Params, Ports, Ports]):
    type_name = "own"
    def run(self, params, inputs, context):
        if params is None:
            import mine_lazy.part
            import mine_missing
            from .... import nowhere
            from mine_space.module import Thing
"""
FILES = {
    "mine_nodes/__init__.py": "",
    "mine_nodes/node.py": NODE,
    "mine_nodes/beside.py": "from mine_nodes import node, further\nVALUE = 1",
    "mine_nodes/further.py": "",
    "mine_nodes/inner/__init__.py": "",
    "mine_nodes/inner/deep.py": "from .. import node",
    "mine_nodes/not_imported.py": "",
    "mine_top.py": "import site_part",
    "mine_lazy/__init__.py": "",
    "mine_lazy/part.py": "raise RuntimeError('nothing may import me')",
    "mine_space/module.py": "Thing = 1",
    "mine_other.py": "",
    "site-packages/site_part.py": "import mine_other",
}
REACHED = [
    "mine_lazy", "mine_lazy.part", "mine_nodes", "mine_nodes.beside", "mine_nodes.further", "mine_nodes.inner",
    "mine_nodes.inner.deep", "mine_nodes.node", "mine_space.module", "mine_top",
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
    for module in [name for name in sys.modules if name.startswith(("mine_", "site_part"))]:
        del sys.modules[module]


def test_what_a_node_can_reach_is_own(folder: Path) -> None:
    """Packages, relative imports and those inside of functions; installed modules and what those import are not."""
    write(folder, FILES)
    code = own_code(plan_with("mine_nodes.node:Own"))
    assert list(code) == REACHED
    assert None not in code.values()
    assert "mine_lazy" not in sys.modules


def test_one_file_changes_one_digest(folder: Path) -> None:
    """That of what the file holds, whenever it is imported."""
    write(folder, FILES)
    plan = plan_with("mine_nodes.node:Own")
    before = own_code(plan)
    write(folder, {"mine_lazy/part.py": "other", "mine_nodes/not_imported.py": "other", "mine_other.py": "other"})
    assert {name for name, digest in own_code(plan).items() if digest != before[name]} == {"mine_lazy.part"}


def test_a_package_that_has_a_node_is_own_where_it_is_installed(folder: Path) -> None:
    """Its version is not looked at, so its files are; other packages beside it are not."""
    inside = ("mine_nodes/__init__.py", "mine_nodes/node.py", "mine_nodes/beside.py", "mine_nodes/inner/__init__.py")
    files = {name: FILES[name].replace("mine_nodes import node, further", "mine_nodes import node") for name in inside}
    write(folder / "site-packages", {**files, "mine_nodes/inner/deep.py": "", "mine_top.py": ""})
    told = [name.replace("/__init__", "").replace("/", ".").removesuffix(".py") for name in inside]
    assert list(own_code(plan_with("mine_nodes.node:Own"))) == sorted([*told, "mine_nodes.inner.deep"])


def test_what_has_no_file_has_no_digest(folder: Path) -> None:
    """A module that was made while the process runs, whether it is imported by one that has a node or has it itself."""
    write(folder, FILES)
    plan = plan_with("mine_nodes.node:Own")
    sys.modules["mine_top"] = type(sys)("mine_top")
    assert {name for name, digest in own_code(plan).items() if digest is None} == {"mine_top"}
    sys.modules["mine_nodes.node"] = type(sys)("mine_nodes.node")
    assert own_code(plan)["mine_nodes.node"] is None


def test_ours_are_told_by_their_version() -> None:
    """A graph without own nodes has no own code; numba has a part in figures too."""
    assert own_code(plan_graph(walk_graph())) == {}
    assert "swept" in own_code(plan_with("swept:Table"))
    assert {"quantflow", "numba"} <= versions().keys()
