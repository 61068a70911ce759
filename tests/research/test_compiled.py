"""What is compiled depends on its own file alone, as kept machine code is made anew only when that file changes."""

import ast
from pathlib import Path

import pytest

RESEARCH = Path(__file__).parents[2] / "research"
MARKED = [path for path in RESEARCH.rglob("*.py") if "\n@compiled(" in path.read_text()]
FILES = sorted([*MARKED, RESEARCH / "fills.py"])  # of which the compiled engine compiles `rebalance` as it stands


def test_the_kernels_are_found():
    """Else the next test would say nothing."""
    assert {"kernels.py", "bar_kernels.py", "crossing_kernels.py", "stretch_kernels.py"} <= {one.name for one in MARKED}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compiled_code_holds_nothing_of_another_file(path):
    """Another file's numbers come as arguments, and its functions are not called: kept code would keep old ones."""
    statements = ast.parse(path.read_text()).body
    imports = [one for one in statements if isinstance(one, ast.ImportFrom) and str(one.module).startswith("research")]
    foreign = {alias.asname or alias.name for one in imports for alias in one.names}
    lines = [line for one in statements if isinstance(one, ast.FunctionDef) for line in one.body]
    used = {name.id for line in lines for name in ast.walk(line) if isinstance(name, ast.Name)}
    assert not foreign & used
