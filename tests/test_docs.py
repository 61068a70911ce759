"""The docs tell the truth: their examples run, their links lead somewhere, their lists are whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.registry import built_in_nodes

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_graph_of_the_docs_is_the_example() -> None:
    """What the page shows is what `examples/` holds."""
    (shown,) = [block for block in code_blocks(ROOT / "docs" / "graphs.md", "yaml") if "nodes:" in block]
    example = (ROOT / "examples" / "btc_momentum_1m.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(shown) == yaml.safe_load(example)


def test_the_own_node_of_the_docs_runs_in_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class on the page can be planned as `carry:BarRange`."""
    (source,) = code_blocks(ROOT / "docs" / "graphs.md", "python")
    (tmp_path / "carry.py").write_text(source)
    monkeypatch.setattr(sys, "path", [*sys.path])
    graph = """
name: own
nodes:
  bars: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT'], start: 2022-01-01, end: 2022-01-02}}
  range: {type: 'carry:BarRange', params: {scale: 2}, inputs: {bars: bars.bars}}
"""
    assert list(plan_graph(parse_graph(graph, "own", tmp_path)).nodes) == ["bars", "range"]


@pytest.mark.mongo
def test_the_reader_snippets_of_the_docs_run(command_env: dict[str, str], tmp_path: Path) -> None:
    """As they stand on the page, against a database."""
    source = (
        "\n".join(code_blocks(ROOT / "docs" / "readers.md", "python"))
        + "\nprint(len(minutes), list(days), len(either))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", source], env=command_env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "0 ['symbol', 'datetime', 'close', 'volume'] 0\n", ended.stderr


def test_every_node_is_in_the_docs() -> None:
    """The table of docs/graphs.md lists each built-in type."""
    page = (ROOT / "docs" / "graphs.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == set(built_in_nodes())


def test_every_decision_is_listed() -> None:
    """docs/decisions/README.md names each page."""
    pages = {page.name for page in (ROOT / "docs" / "decisions").glob("0*.md")}
    listed = set(re.findall(r"\((0\d{3}-[a-z-]+\.md)\)", (ROOT / "docs" / "decisions" / "README.md").read_text()))
    assert listed == pages
