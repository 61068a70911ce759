"""`quantflow live` as a user meets it: a process by a replay's clock, killed and started again, with lines to read."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from live_market import Bar, run_over_history, signals_of, store, walk
from market import START, graph_text

from schemas.clock import Clock
from schemas.collections import SIGNAL_EXPORTS, WORKFLOW_RUNS, Store
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
QUANTFLOW = Path(sys.executable).with_name("quantflow")
GRAPH = graph_text(lookback=3)
SPEED = 120.0
PATIENCE_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "walk.yaml").write_text(GRAPH)
    return tmp_path


@contextmanager
def running(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A session as a process; it is ended, however the test ends."""
    command = [QUANTFLOW, "live", "walk.yaml", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def exported(db: Store) -> list[datetime]:
    return sorted({one["last_ts"] for one in db[SIGNAL_EXPORTS].find({"last_ts": {"$exists": True}})})


def test_killed_and_started_again_it_has_no_hole_and_no_double(
    folder: Path, command_env: dict[str, str], settings: Settings, db: Store
) -> None:
    """By a replay's clock, a bar twice a second; kill -9 in the middle, and SIGTERM at the end."""
    closes = walk(db, 60)
    store(db, [bar for bars in closes[:30] for bar in bars])
    clock = Clock(START + timedelta(minutes=30), datetime.now(UTC), SPEED)
    environment = command_env | {"QUANTFLOW_REPLAY_CLOCK": str(clock)}
    coming = iter(closes[30:])

    def store_when_closed(bars: list[Bar]) -> None:
        wait_until(lambda: clock.now() >= bars[0]["datetime"] + timedelta(minutes=1))
        store(db, bars)

    with running(folder, environment, "--json") as killed:
        wait_until(lambda: bool(exported(db)))
        for _ in range(8):
            store_when_closed(next(coming))
        killed.send_signal(signal.SIGKILL)
    for _ in range(4):
        store_when_closed(next(coming))
    with running(folder, environment, "--json") as ended:
        for bars in coming:
            store_when_closed(bars)
        wait_until(lambda: exported(db)[-1] == closes[-1][0]["datetime"])
        ended.send_signal(signal.SIGTERM)
        output, errors = ended.communicate(timeout=PATIENCE_S)
    assert (ended.returncode, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "ended"]
    assert signals_of(db) == run_over_history(settings, GRAPH, closes)
    assert [run["state"] for run in db[WORKFLOW_RUNS].find().sort("started_at")] == ["interrupted", "succeeded"]
    told = [line for line in lines if line["event"] == "exported"]
    assert told[0]["catching_up"]
    assert all(0 <= line["seen_s"] <= line["exported_s"] for line in told[1:])


@pytest.fixture
def quantflow(folder: Path, command_env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [QUANTFLOW, *arguments], capture_output=True, text=True, cwd=folder, env=command_env, timeout=120,
            check=False,
        )  # fmt: skip

    return run


Quantflow = Callable[..., Any]


def test_it_tells_each_export_in_a_line(quantflow: Quantflow, db: Store) -> None:
    """A first line that says where it goes on, a line for what it caught up with, and an end."""
    store(db, [bar for bars in walk(db, 30) for bar in bars])
    ended = quantflow("live", "walk.yaml", "--until", "2022-01-01T00:20")
    assert (ended.returncode, ended.stderr) == (0, "")
    first, export, last = ended.stdout.splitlines()
    assert "of walk exports walk from BINANCE:BTCUSDT 1m, from the start of the history" in first
    assert "Not run, as they lead to no export: backtest." in first
    assert export.startswith("2022-01-01 00:01 to 2022-01-01 00:20  walk  ")
    assert last.endswith("of walk has ended.")
    again = quantflow("live", "walk.yaml", "--until", "2022-01-01T00:25", "--json")
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["started", "exported", "ended"]
    assert lines[0]["through"] == "2022-01-01T00:20:00+00:00"
    assert (lines[1]["first_ts"], lines[1]["last_ts"]) == ("2022-01-01T00:20:00+00:00", "2022-01-01T00:24:00+00:00")


def test_what_can_not_be_live_is_said(quantflow: Quantflow, folder: Path, db: Store) -> None:
    """Before anything is read; `check` says it too."""
    text = GRAPH[: GRAPH.index("  export:")]
    (folder / "walk.yaml").write_text(text)
    ended = quantflow("live", "walk.yaml")
    assert ended.returncode == 2
    assert "The graph walk can not be live:\n  it has no export_signals node" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "can not be live" in quantflow("check", "walk.yaml").stdout
    assert db[WORKFLOW_RUNS].count_documents({}) == 0


def test_ctrl_c_before_any_bar_ends_it(folder: Path, command_env: dict[str, str], db: Store) -> None:
    """Nothing was exported, and nothing is wrong."""
    with running(folder, command_env | {"PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Run ")
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert "has ended" in output
