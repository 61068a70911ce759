"""The venue that Freqtrade asks for its markets, and a fresh user folder for each test."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from bot_folder import SHIPPED, BotFolder

from schemas.settings import Settings


def start_venue(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the venue as a process; return it with a copy of config.venue.json that points at its port."""
    ready = folder / "venue.ready"
    command = [sys.executable, "-c", "from paper_exchange.cli import main; main()"]
    command += ["--bars", "synthetic", "--port", "0", "--ready-file", str(ready), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError("The venue did not start.")
        time.sleep(0.02)
    config = folder / "config.venue.json"
    shipped = (SHIPPED / "config.venue.json").read_text()
    config.write_text(shipped.replace("8101", str(json.loads(ready.read_text())["port"])))
    return process, config


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def venue_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A venue whose clock stands still: backtests ask it for its markets and for nothing else."""
    folder = tmp_path_factory.mktemp("venue")
    process, config = start_venue(folder, "--symbol", "BTCUSDT,ETHUSDT,SOLUSDT,XRPUSDT", "--days", "1")
    yield config
    stop(process)


@pytest.fixture
def live_venue_config(tmp_path: Path) -> Iterator[Path]:
    """A venue on wall time, for bots."""
    process, config = start_venue(tmp_path, "--days", "9", "--start", "now", "--speed", "1")
    yield config
    stop(process)


@pytest.fixture
def new_folder(tmp_path: Path, settings: Settings) -> Callable[[Path], BotFolder]:
    """Make a user folder that speaks to the venue of a config."""

    def make(venue_config: Path) -> BotFolder:
        path = tmp_path / "user_data"
        path.mkdir()
        return BotFolder(path, settings, venue_config)

    return make


@pytest.fixture
def folder(new_folder: Callable[[Path], BotFolder], venue_config: Path) -> BotFolder:
    """A user folder for backtests."""
    return new_folder(venue_config)


@pytest.fixture(scope="session")
def strategy_file() -> ModuleType:
    """The strategy's file, loaded by its path as Freqtrade does."""
    spec = importlib.util.spec_from_file_location("strategy_file", SHIPPED / "strategies" / "ExternalSignalStrategy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
