"""`signal-monitor run`, `check`, `test-alert` as processes: killed, stopped, without MongoDB, with a real receiver."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from receiver import Receiver, running_receiver

from schemas.collections import MONITOR_ALERTS, SIGNAL_EXPORTS, Store

pytestmark = pytest.mark.mongo
COMMAND = [sys.executable, "-c", "from monitoring.cli import main; main()"]
PATIENCE_S = 30.0
NOWHERE = {"QUANTFLOW_MONGO_URI": "mongodb://planted:hunter2@127.0.0.1:9/"}
AT_ONCE = "{rules: {silent: {after: 1s}}, alerts: {over_after: 1s}}"


def export(db: Store, ago: timedelta) -> None:
    """Let a strategy have exported a bar that long ago."""
    at = datetime.now(UTC) - ago
    ts = at.replace(second=0, microsecond=0)
    db[SIGNAL_EXPORTS].insert_one(
        {
            "run_id": f"run {at}", "strategy_id": "s", "timeframe": "1m", "pairs": ["BTC/USDT"], "first_ts": ts,
            "last_ts": ts, "inserted": 1, "changed": 0, "unchanged": 0, "retracted": 0, "refused": 0, "delay_s": 0.1,
            "exported_at": at,
        }
    )  # fmt: skip


def command(env: dict[str, str], *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=env | more, capture_output=True, text=True, timeout=60, check=False
    )


class Running:
    """A `signal-monitor run --json` whose lines can be read while it goes on."""

    def __init__(self, env: dict[str, str], out: Path, *arguments: str) -> None:
        self._out = out
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [*COMMAND, "run", "--every", "0.2", "--json", *arguments],
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def lines(self, event: str) -> list[dict[str, Any]]:
        whole = [line for line in self._out.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        return [found for line in whole if line.startswith("{") and (found := json.loads(line))["event"] == event]

    def wait(self, is_so: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert self.process.poll() is None, self._out.read_text()
            assert time.monotonic() < deadline, f"{what}: {self._out.read_text()[-3_000:]}"
            time.sleep(0.02)

    def looks(self, count: int) -> None:
        """Wait for so many more looks."""
        enough = len(self.lines("look")) + count
        self.wait(lambda: len(self.lines("look")) >= enough, "looks")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as one:
        yield one


@pytest.fixture
def env(command_env: dict[str, str], receiver: Receiver) -> dict[str, str]:
    return command_env | {"QUANTFLOW_ALERT_URLS": receiver.url}


@contextmanager
def running(env: dict[str, str], out: Path, *arguments: str) -> Iterator[Running]:
    monitor = Running(env, out, *arguments)
    try:
        yield monitor
    finally:
        if monitor.process.poll() is None:
            monitor.kill()


def test_kill_9_neither_repeats_nor_forgets(db: Store, env: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    """Three monitors, the first two killed: research is told to be silent once, and to be back once."""
    export(db, timedelta(minutes=30))
    watch = tmp_path / "watch.yaml"
    watch.write_text(AT_ONCE)
    with running(env, tmp_path / "1", "--watch", str(watch)) as monitor:
        # Between sending and keeping lie some milliseconds in which a kill leaves a claim behind, for a minute.
        monitor.wait(lambda: db[MONITOR_ALERTS].find_one({"told_at": {"$exists": True}}), "that the message is kept")
        monitor.kill()
    with running(env, tmp_path / "2", "--watch", str(watch)) as monitor:
        monitor.looks(3)
        assert monitor.lines("alert") == []
        monitor.kill()
    export(db, timedelta(0))
    with running(env, tmp_path / "3", "--watch", str(watch)) as monitor:
        monitor.wait(lambda: monitor.lines("alert"), "the end")
        monitor.looks(2)
    assert receiver.titles == ["CRITICAL: silent s research 1m", "OVER: silent s research 1m"]
    (stored,) = db[MONITOR_ALERTS].find()
    assert (stored["settled"], stored["times_told"]) == (True, 2)
    assert all(stored["alert_id"] in message["message"] for message in receiver.messages)


def test_two_monitors_tell_once(db: Store, env: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    """Both look at the same time; what one tells the other leaves."""
    with running(env, tmp_path / "1") as first, running(env, tmp_path / "2") as second:
        first.looks(1)
        second.looks(1)
        export(db, timedelta(minutes=30))
        first.wait(lambda: receiver.messages, "the message")
        first.looks(3)
        second.looks(3)
        told = [len(one.lines("alert")) for one in (first, second)]
    assert sorted(told) == [0, 1]
    assert len(receiver.messages) == 1


def test_a_message_that_was_refused_goes_out_later(
    db: Store, env: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """Also by the next monitor: nobody was told."""
    receiver.status = 503
    export(db, timedelta(minutes=30))
    with running(env, tmp_path / "1") as monitor:
        monitor.wait(lambda: receiver.requests, "a try")
        monitor.looks(2)
        said = (tmp_path / "1").read_text()
        assert said.count("alert_not_taken") == 1
        assert "hunter2" not in said
        receiver.status = 200
        monitor.wait(lambda: receiver.messages, "the message")
        monitor.looks(2)
    assert len(receiver.messages) == 1


def test_without_mongodb_it_goes_on_and_tells_so(env: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    """A server that is not there: the message goes out, no password with it, and SIGTERM ends it well."""
    watch = tmp_path / "watch.yaml"
    watch.write_text(AT_ONCE)
    with running(env | NOWHERE, tmp_path / "1", "--watch", str(watch)) as monitor:
        monitor.wait(lambda: monitor.lines("alert"), "the alert")
        monitor.process.send_signal(signal.SIGTERM)
        assert monitor.process.wait(PATIENCE_S) == 0
        assert "hunter2" not in (tmp_path / "1").read_text()
    (message,) = receiver.messages
    assert message["title"] == "CRITICAL: silent mongodb"
    assert "hunter2" not in message["message"]


def test_it_ends_after_so_many_looks_or_seconds(command_env: dict[str, str]) -> None:
    """Without an address it says where alerts go."""
    ended = command(command_env, "run", "--looks", "2", "--every", "0.1", "--json")
    events = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert (ended.returncode, events) == (0, ["started", "look", "look"])
    timed = command(command_env, "run", "--for", "0.5", "--every", "0.1")
    assert timed.returncode == 0
    assert timed.stdout == (
        "Watching every strategy that has exported within a day, each 0.1 s. Alerts go to standard output only, as "
        "QUANTFLOW_ALERT_URLS is not set.\n"
    )


def test_an_alert_is_a_line_for_people(db: Store, command_env: dict[str, str]) -> None:
    """Time, title, sentence."""
    export(db, timedelta(minutes=30))
    ended = command(command_env, "run", "--looks", "2", "--every", "0.1")
    (line,) = ended.stdout.splitlines()[1:]
    assert " UTC  CRITICAL: silent s research 1m. Research of s 1m has not exported since " in line


def test_metrics_are_served_while_it_runs(db: Store, env: dict[str, str], tmp_path: Path) -> None:
    """What the loop found and told is counted."""
    export(db, timedelta(minutes=30))
    with running(env, tmp_path / "1", "--metrics-port", "0") as monitor:
        monitor.wait(lambda: monitor.lines("alert"), "the alert")
        monitor.looks(1)
        page = httpx.get(monitor.lines("started")[0]["metrics"]).text
    assert 'quantflow_alerts_total{event="fired",severity="critical"} 1.0' in page
    assert "quantflow_monitor_looks_total" in page


def test_check_is_healthy_with_exit_code_0(db: Store, command_env: dict[str, str]) -> None:
    """A strategy that has just exported."""
    export(db, timedelta(0))
    shown = command(command_env, "check")
    assert shown.returncode == 0, shown.stdout
    first, _, head, *rows = shown.stdout.splitlines()
    assert first.startswith("OK: 1 strategy and 0 series of bars, nothing wrong ")
    assert head.split() == ["side", "of", "state"]
    assert [row.split()[0] for row in rows] == ["MongoDB", "research"]
    told = json.loads(command(command_env, "check", "--json").stdout)
    assert (told["status"], told["exit_code"], told["problems"]) == ("healthy", 0, [])
    assert told["strategies"][0]["strategy_id"] == "s"
    assert list(db[MONITOR_ALERTS].find()) == []


def test_check_is_critical_with_exit_code_2(db: Store, command_env: dict[str, str], tmp_path: Path) -> None:
    """As a warning, where the file says so, it is 1."""
    export(db, timedelta(minutes=30))
    shown = command(command_env, "check")
    assert shown.returncode == 2
    assert shown.stdout.startswith("CRITICAL: Research of s 1m has not exported since ")
    watch = tmp_path / "watch.yaml"
    watch.write_text("rules: {silent: {severity: warning}}")
    shown = command(command_env, "check", "--watch", str(watch))
    assert (shown.returncode, shown.stdout[:8]) == (1, "WARNING:")


def test_check_of_nothing_is_a_warning(command_env: dict[str, str]) -> None:
    """A monitor that watches nothing must not say that all is well."""
    shown = command(command_env, "check")
    assert shown.returncode == 1
    assert shown.stdout.startswith("WARNING: Nothing is watched: no strategy has exported within a day")


def test_check_without_mongodb_is_critical(command_env: dict[str, str]) -> None:
    """With a sentence, and no password in it."""
    shown = command(command_env, "check", **NOWHERE)
    assert shown.returncode == 2
    assert shown.stdout.startswith("CRITICAL: MongoDB is silent: ")
    assert "hunter2" not in f"{shown.stdout}{shown.stderr}"
    told = json.loads(command(command_env, "check", "--json", **NOWHERE).stdout)
    assert [one["subject"] for one in told["problems"]] == ["mongodb"]


def test_check_without_mongodb_asks_nobody_else(command_env: dict[str, str], tmp_path: Path) -> None:
    """What a bot or a venue takes to be silent is not waited for; the answer says that they were not asked."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        side = {"freqtrade": address, "exchange": "binance", "exchange_url": address}
        watch = tmp_path / "watch.yaml"
        watch.write_text(json.dumps({"strategies": [{"strategy_id": "s", "consumer": "bot", **side}]}))
        away = NOWHERE | {"QUANTFLOW_MONITOR_MONGO_TIMEOUT_S": "0.2", "QUANTFLOW_FREQTRADE_PASSWORD": "planted"}
        shown = command(command_env, "check", "--watch", str(watch), **away)
        with pytest.raises(BlockingIOError):
            door.accept()
    assert (shown.returncode, shown.stderr) == (2, "")
    assert "all else      not asked while MongoDB is away" in shown.stdout
    assert shown.stdout.startswith("CRITICAL: MongoDB is silent: MongoDB at mongodb://***@127.0.0.1:9/ did not answer")


@pytest.mark.parametrize("name", ["check", "run", "test-alert"])
def test_a_mistake_in_the_watch_file_is_a_sentence(name: str, env: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2 at start, whichever command reads it."""
    watch = tmp_path / "watch.yaml"
    watch.write_text("rules: {signal_mising: {}}")
    ended = command(env, name, "--watch", str(watch))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "rules.signal_mising is unknown. Did you mean signal_missing?" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bot_without_a_password_is_a_sentence(command_env: dict[str, str], tmp_path: Path) -> None:
    """The file names its address, and nothing says how to sign in."""
    watch = tmp_path / "watch.yaml"
    watch.write_text("strategies: [{strategy_id: s, freqtrade: 'http://127.0.0.1:9'}]")
    ended = command(command_env, "check", "--watch", str(watch))
    assert ended.returncode == 2
    assert "QUANTFLOW_FREQTRADE_PASSWORD" in ended.stderr


def test_test_alert_says_who_took_it(env: dict[str, str], receiver: Receiver) -> None:
    """Scheme and host only; exit code 4 where one did not."""
    shown = command(env, "test-alert")
    assert (shown.returncode, shown.stdout) == (0, f"{receiver.name}: taken\n")
    assert receiver.titles == ["TEST: signal-monitor"]
    both = env | {"QUANTFLOW_ALERT_URLS": f"{receiver.url} json://127.0.0.1:9/hunter2"}
    shown = command(both, "test-alert")
    assert shown.returncode == 4
    assert shown.stdout.splitlines()[0] == f"{receiver.name}: taken"
    assert shown.stdout.splitlines()[1].startswith("json://127.0.0.1:9: not taken: ")
    assert "hunter2" not in f"{shown.stdout}{shown.stderr}"
    told = json.loads(command(both, "test-alert", "--json").stdout)
    assert [one["taken"] for one in told["channels"]] == [True, False]


def test_test_alert_without_an_address_is_a_sentence(command_env: dict[str, str]) -> None:
    """There is nobody to send it to."""
    ended = command(command_env, "test-alert")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "set QUANTFLOW_ALERT_URLS" in ended.stderr
