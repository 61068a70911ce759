"""Starts the other programs of the chain as processes of their own, and ends them again."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from schemas.clock import Clock
from schemas.errors import InputError, VenueError

_READY_TIMEOUT_S = 60.0
_REFUSED_ITS_INPUT = 2
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Venue:
    """A paper-exchange that runs: where it answers, and what it says about itself."""

    url: str
    ready: dict[str, object]


def find_program(name: str, extra: str) -> str:
    """Return the path of a command that an extra of this distribution installs.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise InputError(f"The command {name} is not installed. Install it with: pip install 'quantflow[{extra}]'.")
    return found


def shared_file(name: str) -> Path:
    """Return a file that comes with QuantFlow, such as `examples/btc_momentum_1m.yaml`: of the checkout, or installed.

    Raises
    ------
    InputError
        Where neither is found.
    """
    for root in (Path(__file__).parents[1], Path(sys.prefix) / "share" / "quantflow"):
        if (root / name).is_file():
            return root / name
    raise InputError(f"The file {name} of QuantFlow is not installed; reinstall quantflow.")


def make_folder(path: Path) -> Path:
    """Return a folder that can be written, made where it is missing.

    Raises
    ------
    InputError
        Where it can not be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise InputError(f"A folder that can be written was needed; {path} is none: {error.strerror}.") from None


@contextmanager
def running_venue(arguments: list[str]) -> Iterator[Venue]:
    """Run paper-exchange on a free port of the loopback interface for the length of a `with` block.

    Raises
    ------
    VenueError
        Where it does not start; with what it said.
    """
    command = find_program("paper-exchange", "venue")
    with tempfile.TemporaryDirectory(prefix="quantflow-venue-") as folder:
        ready_file, log = Path(folder) / "ready.json", Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [command, *arguments, "--port", "0", "--ready-file", str(ready_file), "--until-eof"],
                stdin=subprocess.PIPE,  # held by us alone: it ends with us, and the venue with it
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to answer
            )
        try:
            _wait_for(process, ready_file, log)
            ready = orjson.loads(ready_file.read_bytes())
            yield Venue(ready["url"], ready)
        finally:
            end_process(process)
            if process.stdin is not None:
                process.stdin.close()


def venue_clock(venue: Venue) -> Clock:
    """Return the clock by which a venue runs, so that other processes can run by it too."""
    ready: Any = venue.ready
    shown, wall = (datetime.fromtimestamp(ready[name] / 1000, UTC) for name in ("time", "wall_time"))
    return Clock(shown, wall, float(ready["speed"]))


def _wait_for(process: subprocess.Popen[bytes], ready_file: Path, log: Path) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().removeprefix("paper-exchange: ")
            kind = InputError if process.returncode == _REFUSED_ITS_INPUT else VenueError
            raise kind(f"paper-exchange did not start: {said or 'it said nothing'}")
        time.sleep(0.02)


def run_program(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, as `subprocess.run` does; if we are interrupted, let it clean up before we go on."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            end_process(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output)


def end_with_parent() -> None:
    """Ask the system to end this process when the one that started it dies, however that is; Linux can, others not.

    For `subprocess.Popen(preexec_fn=...)`: it runs in the child, before the command.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_process(process: subprocess.Popen[bytes], patience_s: float = 15.0) -> None:
    """End a process that we started: politely, and after a while for certain."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clean_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without any setting of the user's for MongoDB or Freqtrade, and with `changes`."""
    foreign = ("QUANTFLOW_", "EXT_SIG_", "FREQTRADE__")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | dict(changes)
