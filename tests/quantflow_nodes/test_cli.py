"""The command `quantflow` as a user meets it: figures, JSON, exit codes, and a sentence for each mistake."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from market import graph_text, write_walk

from schemas.collections import BAR_GAPS, SIGNAL_EXPORTS, SIGNALS, WORKFLOW_RUNS, Store
from schemas.embedded import EmbeddedServer

pytestmark = pytest.mark.mongo
QUANTFLOW = Path(sys.executable).with_name("quantflow")
Quantflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def quantflow(command_env: dict[str, str], tmp_path: Path) -> Quantflow:
    """Run `quantflow` in a folder of the test's own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [QUANTFLOW, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={key: value for key, value in (command_env | environment).items() if value},
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "walk.yaml"
    path.write_text(graph_text())
    return path


def refused(ended: subprocess.CompletedProcess[str], code: int, said: str) -> None:
    """The command ended with that code and sentence, and showed no traceback."""
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert said in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr + ended.stdout


def test_run_prints_figures_and_writes_the_report(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """A person sees metrics and counts, and finds report.html."""
    write_walk(db, 2880)
    ended = quantflow("run", "walk.yaml", "--report-folder", "a[b]")
    assert ended.returncode == 0, ended.stderr
    for said in ("total return", "sharpe", "max drawdown", "buy and hold return", "inserted"):
        assert said in ended.stdout
    assert "Report: a[b]/report.html" in ended.stdout
    assert (graph.parent / "a[b]" / "report.html").read_text().startswith("<!doctype html>")


def test_run_again_writes_nothing(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """0 inserted, 0 changed, and the signals are the same to the byte."""
    write_walk(db, 2880)
    first = json.loads(quantflow("run", "walk.yaml", "--json", "--no-report").stdout)
    before = list(db[SIGNALS].find().sort("ts"))
    second = json.loads(quantflow("run", "walk.yaml", "--json", "--no-report").stdout)
    counts = second["nodes"]["export"]["summary"]
    assert (counts["inserted"], counts["changed"], counts["retracted"]) == (0, 0, 0)
    assert counts["unchanged"] == first["nodes"]["export"]["summary"]["inserted"] == len(before) > 10
    assert list(db[SIGNALS].find().sort("ts")) == before
    assert {one["run_id"] for one in before} == {first["run_id"]}


def test_run_with_another_parameter_leaves_only_its_own_signals(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """What the graph no longer says is retracted: both runs' signals never stand side by side."""
    write_walk(db, 2880)
    quantflow("run", "walk.yaml", "--no-report")
    quantflow("run", "walk.yaml", "--no-report", "--set", "momentum.lookback_bars=30")
    quantflow(
        "run", "walk.yaml", "--no-report", "--set", "export.strategy_id=fresh", "--set", "momentum.lookback_bars=30"
    )
    key = {"ts": 1, "action": 1, "_id": 0}
    replaced = list(db[SIGNALS].find({"strategy_id": "walk"}, key).sort("ts"))
    assert replaced == list(db[SIGNALS].find({"strategy_id": "fresh"}, key).sort("ts"))


def test_open_gaps_are_told(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """A backtest over an open gap says so."""
    write_walk(db, 2880)
    gap = {"symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "state": "open"}
    (bar,) = db["crypto_market_1m"].find().skip(100).limit(1)
    db[BAR_GAPS].insert_one({**gap, "start": bar["datetime"], "end": bar["datetime"], "updated_at": bar["datetime"]})
    ended = quantflow("run", "walk.yaml")
    assert "BINANCE:BTCUSDT lacks bars from 2022-01-01 01:40 to 2022-01-01 01:40 UTC" in ended.stdout
    assert "lacks bars from 2022-01-01 01:40" in (graph.parent / "report.html").read_text()


def test_missing_bars_say_how_to_import_them(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """The sentence holds the command; the run is kept as failed."""
    refused(
        quantflow("run", "walk.yaml"), 2,
        "bars: No bars of BINANCE:BTCUSDT 1m from 2022-01-01 00:00 to 2022-01-03 00:00 UTC are stored. Import them "
        "first: import-ohlcv --tf 1m --symbol BINANCE:BTCUSDT --since 2022-01-01",
    )  # fmt: skip
    (run,) = db[WORKFLOW_RUNS].find()
    assert (run["state"], run["nodes"]["bars"]["state"], run["nodes"]["export"]["state"]) == (
        "failed", "failed", "skipped",
    )  # fmt: skip


def test_run_refuses_a_graph_before_anything_runs(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """A mistake in the last node stops the first; nothing is recorded."""
    refused(quantflow("run", "walk.yaml", "--set", "export.emitt=changes"), 2, "Did you mean emit?")
    assert db[WORKFLOW_RUNS].count_documents({}) == 0


def test_check_needs_no_server(quantflow: Quantflow, graph: Path) -> None:
    """The order is shown; JSON has the digest."""
    nowhere = "mongodb://127.0.0.1:1/"
    ended = quantflow("check", "walk.yaml", QUANTFLOW_MONGO_URI=nowhere)
    assert "bars → momentum → position → backtest → export" in ended.stdout
    assert len(json.loads(quantflow("check", "walk.yaml", "--json").stdout)["digest"]) == 64


def test_nodes_lists_every_type_and_shows_one(quantflow: Quantflow) -> None:
    """The list, one in full, and JSON."""
    assert "threshold_position" in quantflow("nodes").stdout
    assert "exit_below (number, needed)" in quantflow("nodes", "threshold_position").stdout
    assert json.loads(quantflow("nodes", "join_asof", "--json").stdout)[0]["outputs"][0]["type"] == "Factor"
    refused(quantflow("nodes", "joinasof"), 2, "Did you mean join_asof?")


def test_runs_tells_what_ran(quantflow: Quantflow, graph: Path, db: Store) -> None:
    """The list and one run in full."""
    write_walk(db, 2880)
    run_id = json.loads(quantflow("run", "walk.yaml", "--json", "--no-report").stdout)["run_id"]
    assert run_id[:12] in quantflow("runs").stdout
    shown = json.loads(quantflow("runs", run_id[:12]).stdout)
    assert (shown["graph"]["name"], shown["state"], shown["data_bars"]) == ("walk", "succeeded", 2880)
    refused(quantflow("runs", "nothing"), 2, "There is no run nothing.")


def test_runs_shows_any_error_as_it_is(quantflow: Quantflow, db: Store) -> None:
    """Brackets in a stored error are text, not markup."""
    times = {"started_at": datetime(2022, 1, 1, tzinfo=UTC), "ended_at": datetime(2022, 1, 2, tzinfo=UTC)}
    db[WORKFLOW_RUNS].insert_one({"run_id": "r", "name": "g", "state": "failed", "error": "odd [/x] text", **times})
    assert "odd [/x] text" in quantflow("runs").stdout


def test_a_report_folder_that_can_not_be_written_stops_the_run_before_it_starts(
    quantflow: Quantflow, graph: Path, db: Store
) -> None:
    """Nothing is published first and lost sight of afterwards."""
    write_walk(db, 2880)
    refused(
        quantflow("run", "walk.yaml", "--report-folder", "/proc/nowhere"), 2, "A folder that can be written was needed"
    )
    assert db[SIGNALS].count_documents({}) == 0
    refused(quantflow("demo", "--folder", "/proc/nowhere"), 2, "A folder that can be written")


def test_unreachable_server_is_a_sentence_without_the_password(quantflow: Quantflow, graph: Path) -> None:
    """Nobody listens on port 1."""
    uri = "mongodb://user:hunter2@127.0.0.1:1/"
    ended = quantflow("run", "walk.yaml", QUANTFLOW_MONGO_URI=uri, QUANTFLOW_MONGO_TIMEOUT_S="0.5")
    refused(ended, 3, "did not answer")
    assert "hunter2" not in ended.stdout + ended.stderr


def test_wrong_uri_is_a_sentence(quantflow: Quantflow, graph: Path) -> None:
    """http is no MongoDB."""
    refused(quantflow("run", "walk.yaml", QUANTFLOW_MONGO_URI="http://localhost"), 2, "QUANTFLOW_MONGO_URI")


def test_wrong_setting_names_its_variable(quantflow: Quantflow, graph: Path) -> None:
    """A word where a number is needed."""
    refused(quantflow("run", "walk.yaml", QUANTFLOW_WORKERS="many"), 2, "QUANTFLOW_WORKERS can not be used")


def test_a_killed_export_is_completed_by_the_next_run(
    quantflow: Quantflow, command_env: dict[str, str], tmp_path: Path, db: Store
) -> None:
    """kill -9 between two writes, then again: every signal is there once, and the dead run is marked."""
    write_walk(db, 20_000)
    (tmp_path / "walk.yaml").write_text(
        graph_text(days=13).replace("strategy_id: walk", "strategy_id: walk, emit: every_bar")
    )
    arguments = [QUANTFLOW, "run", "walk.yaml", "--no-report"]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=command_env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while db[SIGNALS].find_one() is None and time.monotonic() < deadline:  # an estimate counts what may be undone
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = db[SIGNALS].count_documents({})
    assert 0 < stored < 18_660, "the kill must fall into the middle of the export"
    ended = quantflow("run", "walk.yaml", "--json", "--no-report")
    counts = json.loads(ended.stdout)["nodes"]["export"]["summary"]
    assert counts["inserted"] + counts["unchanged"] == db[SIGNALS].count_documents({}) == 18_720 - 60
    assert stored <= counts["unchanged"] < 18_660  # the server may have finished the batch that was under way
    states = [run["state"] for run in db[WORKFLOW_RUNS].find().sort("started_at")]
    assert states == ["interrupted", "succeeded"]
    assert db[SIGNAL_EXPORTS].count_documents({}) == 1


def test_exec_gives_the_command_the_server_and_its_exit_code(quantflow: Quantflow, tmp_path: Path) -> None:
    """The embedded server is held while the command runs, and stops after it."""
    code = "import os, pymongo; pymongo.MongoClient(os.environ['EXT_SIG_MONGO_URI']).admin.command('ping'); exit(7)"
    home = tmp_path / "embedded"
    ended = quantflow("exec", "--", sys.executable, "-c", code, QUANTFLOW_MONGO_URI="", QUANTFLOW_HOME=str(home))
    assert ended.returncode == 7, ended.stderr
    server = EmbeddedServer(home)
    server.stop()
    assert server.state() is None


def test_exec_says_what_is_wrong(quantflow: Quantflow) -> None:
    """No command, or one that does not exist."""
    refused(quantflow("exec"), 2, "quantflow exec -- COMMAND")
    refused(quantflow("exec", "--", "no-such-command"), 2, "no-such-command can not be run: No such file")


def test_db_starts_shows_and_stops_the_embedded_server(quantflow: Quantflow, tmp_path: Path) -> None:
    """start keeps it running, uri leads to it, stop ends it; all of them may be repeated."""
    home = {"QUANTFLOW_MONGO_URI": "", "QUANTFLOW_HOME": str(tmp_path / "embedded")}
    refused(quantflow("db", "uri", **home), 3, "does not run. Start it with `quantflow db start`")
    assert quantflow("db", "start", **home).returncode == 0
    assert quantflow("db", "start", **home).returncode == 0
    assert quantflow("db", "uri", **home).stdout.startswith("mongodb://127.0.0.1:")
    status = json.loads(quantflow("db", "status", "--json", **home).stdout)
    assert (status["running"], status["kept"], status["collections"]["crypto_signals"]) == (True, True, 0)
    assert "has stopped" in quantflow("db", "stop", **home).stdout
    assert "did not run" in quantflow("db", "stop", **home).stdout


def test_db_init_is_idempotent_and_reset_empties(quantflow: Quantflow, db: Store) -> None:
    """Collections are there; reset asks first."""
    db.drop_collection("signal_receipts")
    first = quantflow("db", "init", QUANTFLOW_SIGNAL_TTL_DAYS="30").stdout
    assert "collection signal_receipts" in first
    assert "signals are deleted after 30 days" in first
    assert quantflow("db", "init", QUANTFLOW_SIGNAL_TTL_DAYS="30").stdout.startswith("The database test_")
    write_walk(db, 10)
    assert quantflow("db", "reset").returncode != 0
    assert db["crypto_market_1m"].count_documents({}) == 10
    assert "is empty" in quantflow("db", "reset", "--yes").stdout
    assert db["crypto_market_1m"].count_documents({}) == 0


def test_db_does_not_touch_a_server_of_the_users_own(quantflow: Quantflow) -> None:
    """start and stop belong to the embedded one."""
    refused(quantflow("db", "stop"), 2, "names a server of your own")


def test_help_has_examples(quantflow: Quantflow) -> None:
    """Every command explains itself."""
    for command in ("run", "check", "nodes", "runs", "parity", "demo", "exec"):
        assert "xample" in quantflow(command, "--help").stdout


def test_ctrl_c_ends_with_a_sentence(command_env: dict[str, str], tmp_path: Path) -> None:
    """A node that waits for ever is interrupted, and the run is marked."""
    (tmp_path / "endless.py").write_text(
        "import time\nfrom quantflow_nodes.node import Node, Params, Ports\n\n\n"
        "class Endless(Node[Params, Ports, Ports]):\n"
        "    type_name = 'endless'\n\n    def run(self, params, inputs, context):\n"
        "        print('waiting', flush=True)\n        time.sleep(3)\n        return Ports()\n"
    )
    (tmp_path / "g.yaml").write_text("name: g\nnodes: {a: {type: 'endless:Endless'}}")
    process = subprocess.Popen(
        [QUANTFLOW, "run", "g.yaml"], cwd=tmp_path, env=command_env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Interrupted. What was stored is kept" in said
    assert "Traceback" not in said


def test_an_interrupted_parity_leaves_nothing_running(
    command_env: dict[str, str], tmp_path: Path, graph: Path, db: Store
) -> None:
    """Whether it is asked to end or killed, the venue that it started ends too."""
    write_walk(db, 2880)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = subprocess.Popen(
            [QUANTFLOW, "parity", "walk.yaml"], cwd=tmp_path, env=command_env | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        venue = wait_for_child(process.pid, "paper-exchange")
        process.send_signal(number)
        assert process.wait(60) == code
        venue.wait(30)


def wait_for_child(pid: int, name: str) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(name in part for part in child.cmdline()):
                    return child
        time.sleep(0.02)
    raise AssertionError(f"{name} was not started")
