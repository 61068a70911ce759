"""Every command speaks alike: sentences and logs on standard error, results on standard output, exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from schemas import errors
from schemas.console import configure_logging, run_command
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
TYPER_APP = """
import sys, typer
from schemas.console import run_command
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def wait() -> None:
    print("ready", flush=True)
    sys.stdin.read()
run_command(app)
"""


def raising(error: BaseException) -> Callable[[], None]:
    def app() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.QuantFlowError, 1),
        (errors.InputError, 2),
        (errors.SettingsError, 2),
        (errors.SymbolError, 2),
        (errors.TimeError, 2),
        (errors.GraphError, 2),
        (errors.SignalError, 2),
        (errors.SignalConflictError, 2),
        (errors.StoreError, 3),
        (errors.VenueError, 4),
        (errors.LockedError, 5),
    ],
)
def test_an_error_of_ours_is_its_sentence_and_code(
    capsys: pytest.CaptureFixture[str], error: type[errors.QuantFlowError], code: int
) -> None:
    """On standard error, without a traceback; the kind of error is told by the code."""
    with pytest.raises(SystemExit) as ended:
        run_command(raising(error("Bars were needed, found none. Import some.")))
    said = capsys.readouterr()
    assert ended.value.code == code
    assert said.err == "Error: Bars were needed, found none. Import some.\n"
    assert said.out == ""


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    """What nobody foresaw is not made to look like a user's mistake."""
    with pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError()))


def test_a_command_that_ends_well_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to its results."""
    run_command(lambda: None)
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_is_a_sentence_and_code_130() -> None:
    """In a real process, through Typer."""
    with subprocess.Popen(
        [sys.executable, "-c", TYPER_APP],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_ctrl_c_in_the_middle_of_a_lock_is_the_same_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """CPython then raises the lock's complaint, with the Ctrl-C behind it."""

    def interrupted() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("release unlocked lock")  # noqa: B904 - as the interpreter does

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            run_command(interrupted)
        with pytest.raises(RuntimeError, match="of its own"):
            run_command(lambda: (_ for _ in ()).throw(RuntimeError("of its own")))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 130
    assert "Interrupted. What was stored is kept" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """As in `quantflow nodes | head -1`."""
    code = "from schemas.console import run_command\nrun_command(lambda: [print(i) for i in range(1_000_000)])"
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, cwd=ROOT) as process:
        os.close(writing)
        os.read(reading, 10)
        os.close(reading)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_line_tells_its_facts_without_secrets(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """One object a line in a service, readable at a terminal; on standard error in both."""
    configure_logging(Settings.load(log_json=as_json, log_level="INFO"))
    try:
        log = structlog.get_logger()
        log.info("bars_written", symbol="BINANCE:BTCUSDT", count=500, uri="mongodb://u:hunter2@db/")
        log.debug("not_shown")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr()
    assert said.out == ""
    assert "hunter2" not in said.err
    assert "not_shown" not in said.err
    if as_json:
        line = json.loads(said.err)
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "event": "bars_written", "level": "info", "symbol": "BINANCE:BTCUSDT", "count": 500,
            "uri": "mongodb://***@db/",
        }  # fmt: skip
    else:
        assert "bars_written" in said.err
        assert "count=500" in said.err
