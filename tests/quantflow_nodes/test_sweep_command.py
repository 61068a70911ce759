"""The command `quantflow sweep` as a user meets it: tables, files, JSON, exit codes, and going on after an end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from market import graph_text, write_walk
from swept import same, swept
from typer.testing import CliRunner

from quantflow_nodes.commands.sweep import app
from quantflow_nodes.graph import load_graph
from schemas.collections import SIGNALS, SWEEP_RESULTS, SWEEPS, Store
from schemas.errors import InputError
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
QUANTFLOW = Path(sys.executable).with_name("quantflow")
GRID = ("--grid", "momentum.lookback_bars=20:60:20", "--grid", "position.enter_above=0:0.002:0.001")
SLOW_GRID = "momentum.lookback_bars=10:160:5"

SLOW = '''
"""A factor that takes its time where a test wants to end it."""
import os, time
from quantflow_nodes.nodes.factor import FactorNode

class Slow(FactorNode):
    """The factor of its name, later."""
    type_name = "slow"
    params_model, inputs_model, outputs_model = (
        FactorNode.params_model, FactorNode.inputs_model, FactorNode.outputs_model
    )
    def run(self, params, inputs, context):
        time.sleep(float(os.environ.get("SLOW_S", 0)))
        return super().run(params, inputs, context)
'''


@pytest.fixture
def folder(tmp_path: Path, command_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, db: Store) -> Path:
    """A folder with walk.yaml, in which commands use the test's own database; two days of the walk are stored."""
    write_walk(db, 2880)
    (tmp_path / "walk.yaml").write_text(graph_text())
    monkeypatch.chdir(tmp_path)
    for name, value in command_env.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def shown(*arguments: str) -> str:
    """What the command prints, run in this process."""
    return shown_and_told(*arguments)[0]


def shown_and_told(*arguments: str) -> tuple[str, str]:
    """What the command prints, and what it says on standard error."""
    ended = CliRunner().invoke(app, ["walk.yaml", "--workers", "1", *GRID, "--walk-forward", "12h:6h", *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr


def test_a_sweep_shows_its_best_sets_and_writes_files(folder: Path, db: Store) -> None:
    """The table, what the deflated ratio says, the walk-forward; the files hold every set and load nothing."""
    text = " ".join(shown("--out", "a[b]").split())
    assert "Written: a[b]/results.parquet" in text
    for said in ("lookback_bars=", "deflated", "worthless sets", "test from", "Out of sample, 6 tests", "Swept 9 sets"):
        assert said in text
    table = pd.read_parquet(folder / "a[b]" / "results.parquet")
    assert len(table) == 9
    assert {"momentum.lookback_bars", "position.enter_above", "sharpe", "deflated_sharpe"} <= set(table.columns)
    assert len(pd.read_parquet(folder / "a[b]" / "walk_forward.parquet")) == 6
    page = (folder / "a[b]" / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    for fact in ("<dt>Symbols</dt><dd>BINANCE:BTCUSDT</dd>", "<dt>Costs</dt><dd>fee 10 bps, slippage 0 bps</dd>"):
        assert fact in page
    assert "default-src 'none'" in page
    assert db[SIGNALS].count_documents({}) == 0


def test_json_is_one_object(folder: Path) -> None:
    """With the ten best sets and the splits; nothing else on standard output."""
    text, told = shown_and_told("--metric", "calmar", "--no-report", "--json", "--out", "here", "--random", "20")
    found = json.loads(text)
    assert "--random 20: the grid has only 9 sets" in told
    assert (found["sets"], found["computed"], found["metric"], len(found["splits"])) == (9, 63, "calmar", 6)
    assert found["files"] == ["here/results.parquet", "here/walk_forward.parquet"]
    assert all(row["calmar"] < 0 for row in found["best"])  # fees ruin a walk: losers are ranked by cagr
    best = [row["cagr"] for row in found["best"]]
    assert best == sorted(best, reverse=True)
    assert set(found["out_of_sample"]) >= {"total_return", "sharpe", "probabilistic_sharpe"}


def test_files_side_by_side_are_of_one_sweep(folder: Path) -> None:
    """What the second sweep does not write is gone; what no sweep writes stays."""
    shown("--out", "here")
    (folder / "here" / "notes.txt").write_text("mine")
    again = ["walk.yaml", "--workers", "1", "--grid", "momentum.lookback_bars=20,40", "--no-report", "--out", "here"]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert sorted(path.name for path in (folder / "here").iterdir()) == ["notes.txt", "results.parquet"]
    assert len(pd.read_parquet(folder / "here" / "results.parquet")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grid", "position.exit_below=1,2"], "exit_below 1.0 must not lie above enter_above 0.0"),
        ([*GRID, "--anchored"], "Give --walk-forward too"),
        ([*GRID, "--workers", "2", "--dask", "tcp://127.0.0.1:1"], "Give one of them"),
        ([], "at least one --grid"),
        ([*GRID, "--set", "momentum.lookback_bars=5"], "--grid and --set both name momentum.lookback_bars"),
        ([*GRID, "--metric", "luck"], "takes one of sharpe"),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Of the kind that ends a command with code 2; no MongoDB is needed to tell."""
    path = tmp_path / "walk.yaml"
    path.write_text(graph_text())
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, [str(path), *arguments], catch_exceptions=False)


def test_a_metric_is_completed_in_the_shell() -> None:
    """Typer asks the option for what it may be."""
    words = {"_QUANTFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "quantflow sweep --metric c", "COMP_CWORD": "3"}
    ended = subprocess.run([QUANTFLOW], env={**os.environ, **words}, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["calmar", "cagr"]


def ended_by(end: int, db: Store, *options: str) -> tuple[int | None, str]:
    """Run the slow sweep until it has stored something more, and end it; its exit code, and what it said."""
    before = set(db[SWEEP_RESULTS].distinct("_id"))
    command = [QUANTFLOW, "sweep", "walk.yaml", "--workers", "1", "--grid", SLOW_GRID, "--no-report", *options]
    slow = {**os.environ, "SLOW_S": "0.1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=slow) as running:
        while set(db[SWEEP_RESULTS].distinct("_id")) <= before and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(end)
        _, said = running.communicate(timeout=60)
    return running.returncode, said


def states(db: Store) -> dict[int, str]:
    """The state of each sweep by how many sets it has."""
    return {sweep["sets"]: sweep["state"] for sweep in db[SWEEPS].find({})}


def test_a_sweep_that_was_ended_goes_on(folder: Path, settings: Settings, db: Store) -> None:
    """Killed, then interrupted: what was stored is not computed again; the whole is as if never ended.

    After a kill nobody writes the end: the next sweep of any graph does.
    """
    (folder / "slow.py").write_text(SLOW)
    (folder / "walk.yaml").write_text(graph_text().replace("type: factor", "type: slow:Slow"))
    assert ended_by(signal.SIGKILL, db)[0] == -signal.SIGKILL
    killed = db[SWEEP_RESULTS].count_documents({})
    swept(settings, ["momentum.lookback_bars=20"])
    assert states(db) == {31: "interrupted", 1: "succeeded"}
    code, said = ended_by(signal.SIGINT, db)
    assert code == 130
    assert "run it again to go on" in said
    assert states(db)[31] == "interrupted"
    kept = db[SWEEP_RESULTS].count_documents({}) - 1
    assert 0 < killed < kept < 31
    graph = load_graph(folder / "walk.yaml")
    again = swept(settings, [SLOW_GRID], graph)
    assert (again.reused, again.computed) == (kept, 31 - kept)
    same(again.table, swept(settings, [SLOW_GRID], graph, fresh=True).table)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_fresh_sweep_that_was_ended_leaves_no_old_figures(
    folder: Path, settings: Settings, db: Store, end: signal.Signals
) -> None:
    """The same command without --fresh goes on from the new ones alone, and who can still speak says so."""
    (folder / "slow.py").write_text(SLOW)
    (folder / "walk.yaml").write_text(graph_text().replace("type: factor", "type: slow:Slow"))
    graph = load_graph(folder / "walk.yaml")
    right = swept(settings, [SLOW_GRID], graph)
    db[SWEEP_RESULTS].update_many({}, {"$set": {"figures.sharpe": 99.0}})
    code, said = ended_by(end, db, "--fresh")
    if end != signal.SIGKILL:
        assert code == 128 + end
        assert "run it again to go on. Leave --fresh out to go on" in said
    new = db[SWEEP_RESULTS].count_documents({})
    again = swept(settings, [SLOW_GRID], graph)
    assert (again.reused, again.computed) == (new, 31 - new)
    assert 0 < new < 31
    same(again.table, right.table)
