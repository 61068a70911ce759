"""Imports that are killed in the middle lose nothing, and the next run completes them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from import_samples import COMMAND, START_MS, Ran, gap_list, stored
from pymongo import MongoClient
from scripted_venue import ScriptedVenue

from schemas.collections import Store
from schemas.embedded import temporary_server

pytestmark = pytest.mark.mongo

RunCli = Callable[..., Ran]
FROM_VENUE = ("--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--json", "--exchange-url")


def interrupted(db: Store, environment: dict[str, str], arguments: tuple[str, ...], sent: signal.Signals) -> int:
    """Run the command, signal it as soon as some bars are stored, and return its exit code."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not db["crypto_market_1m"].find_one({}):
            assert process.poll() is None, "the import ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(sent)
        return process.wait(60)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def slow_venue(venue: ScriptedVenue) -> ScriptedVenue:
    """A venue of 3,000 bars with two holes, given in 60 slow pages."""
    venue.now_ms = START_MS + 3_000 * 60_000
    venue.most_rows, venue.delay_s = 50, 0.03
    venue.missing = {START_MS + minute * 60_000 for minute in (20, 21, 1_750)}
    return venue


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_an_interrupted_venue_import_is_completed(
    db: Store, command_env: dict[str, str], run_cli: RunCli, slow_venue: ScriptedVenue, sent: signal.Signals, code: int
) -> None:
    """After kill -9, and after Ctrl-C (exit 130), what is stored has no holes but the venue's; the rest follows."""
    assert interrupted(db, command_env, (*FROM_VENUE, slow_venue.url), sent) == code
    partly = [document["open"] for document in stored(db)]
    assert 0 < len(partly) < 2_997
    expected = [100.0 + minute for minute in range(3_000) if minute not in (20, 21, 1_750)]
    assert partly == expected[: len(partly)]
    slow_venue.delay_s, slow_venue.most_rows = 0, 1000
    ran = run_cli(*FROM_VENUE, slow_venue.url)
    assert (ran.code, ran.counts["inserted"]) == (0, 2_997 - len(partly))
    assert [document["open"] for document in stored(db)] == expected
    # A run that was killed between a page and its gaps cannot have told absent from open.
    assert [gap[:2] for gap in gap_list(db)] == [(20, 21), (1_750, 1_750)]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_an_interrupted_file_import_is_completed(
    db: Store, command_env: dict[str, str], run_cli: RunCli, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    """The second run of the same file inserts what is missing and finds the rest equal."""
    total = 150_000
    path = tmp_path / "bars.csv"
    rows = (f"{START_MS + minute * 60_000},10,12,9,11,{minute}\n" for minute in range(total))
    path.write_text("time,open,high,low,close,volume\n" + "".join(rows))
    arguments = ("--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--source", "csv", "--path", str(path), "--json")
    assert interrupted(db, command_env, arguments, sent) == code
    partly = db["crypto_market_1m"].count_documents({})
    assert 0 < partly < total
    ran = run_cli(*arguments)
    assert (ran.code, ran.counts["inserted"] + ran.counts["unchanged"], ran.counts["changed"]) == (0, total, 0)
    assert ran.counts["inserted"] > 0
    assert db["crypto_market_1m"].count_documents({}) == total
    assert gap_list(db) == []


def test_a_server_that_dies_during_an_import_is_told(command_env: dict[str, str], slow_venue: ScriptedVenue) -> None:
    """kill -9 of MongoDB between two pages of two symbols: exit code 3 and one sentence, no traceback."""
    names = "BINANCE:BTCUSDT,BINANCE:ETHUSDT"
    arguments = ("--tf", "1m", "--symbol", names, "--exchange-url", slow_venue.url)
    with temporary_server() as (server, uri), MongoClient(uri) as client:
        environment = command_env | {
            "QUANTFLOW_MONGO_URI": uri,
            "QUANTFLOW_DB": "dies",
            "QUANTFLOW_MONGO_TIMEOUT_S": "1",
        }
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 60
            while not client["dies"]["crypto_market_1m"].find_one({}):
                assert process.poll() is None, "the import ended before the server could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.002)
            state = server.running()
            os.kill(state.keeper_pid, signal.SIGKILL)  # else it would start the server again within a second
            os.kill(state.pid, signal.SIGKILL)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 3
    assert "did not answer" in told
    assert "What was stored is kept." in told
    assert "Traceback" not in told
