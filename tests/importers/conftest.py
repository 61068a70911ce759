"""The command as a process, and a venue that can be told to fail: what the tests of importers share."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from following import Process
from import_samples import BTC, COMMAND, MINUTE, START_MS, Ran
from scripted_venue import ScriptedVenue
from streaming_venue import StreamingVenue

from importers.intake import ImportRun, SymbolIntake
from schemas.collections import Store


@pytest.fixture
def run_cli(command_env: dict[str, str], tmp_path: Path) -> Callable[..., Ran]:
    """Run import-ohlcv as a process against the test's own database."""

    def run(*arguments: str, **environment: str) -> Ran:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=command_env | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def venue() -> Iterator[ScriptedVenue]:
    """A venue on the loopback interface with bars of BTCUSDT and ETHUSDT."""
    with ScriptedVenue(START_MS) as running:
        yield running


@pytest.fixture
def live() -> Iterator[StreamingVenue]:
    """A venue with websockets; its clock stands 30 s after the close of bar 99."""
    with StreamingVenue(START_MS) as running:
        yield running


@pytest.fixture
def intake(db: Store) -> SymbolIntake:
    """An intake of BINANCE:BTCUSDT 1m into the test's own database."""
    return SymbolIntake(ImportRun(db, "run-1", "test"), BTC, MINUTE)


@pytest.fixture
def start(command_env: dict[str, str]) -> Iterator[Callable[..., Process]]:
    """Start the command; ended with the test."""
    begun: list[Process] = []

    def begin(*arguments: str, **environment: str) -> Process:
        begun.append(Process(command_env | environment, *arguments))
        return begun[-1]

    yield begin
    for process in begun:
        process.close()
