"""The venue as a process: it says when it is ready, answers while its clock runs, and ends cleanly."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from venue_tools import MINUTE_MS, Venue

from paper_exchange.server import serve

pytestmark = pytest.mark.venue


def test_the_ready_file_tells_other_programs_all_they_need(venue: Venue) -> None:
    """Address, process, symbols and bars; the address answers by the time the file is there."""
    ready = venue.ready
    assert ready["url"] == f"http://127.0.0.1:{ready['port']}"
    assert ready["pid"] == venue.process.pid
    assert ready["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert ready["bars"] == {"BTCUSDT": 44_640, "ETHUSDT": 44_640}
    assert (ready["first"], ready["last"]) == (1_640_995_200_000, 1_643_673_600_000 - MINUTE_MS)
    assert "synthetic" in ready["sources"]["BTCUSDT"]
    assert httpx.get(f"{venue.url}/api/v3/time").json() == {"serverTime": 1_643_673_600_000}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_being_asked_to_stop_is_no_failure(tmp_path: Path, number: int) -> None:
    """Exit code 0, the ready file gone, one line said, nothing on stderr; an open connection is no obstacle."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "1", "--json") as venue, httpx.Client() as client:
        assert client.get(f"{venue.url}/api/v3/ping").json() == {}
        code, out, err = venue.stop(number)
    assert (code, err) == (0, "")
    assert json.loads(out) == venue.ready
    assert not venue.ready_file.exists()


def test_bars_appear_as_the_clock_runs(tmp_path: Path) -> None:
    """At 20,000 times the speed a minute passes in 3 ms, and the venue stops at the end of its bars."""
    fast = ("--bars", "synthetic", "--days", "1", "--speed", "20000", "--weight-limit", "0")
    deadline = time.monotonic() + 60
    counts, now = [], 0
    with Venue(tmp_path, *fast) as venue, httpx.Client(base_url=f"{venue.url}/api/v3") as client:
        while now < 1_643_673_600_000:
            assert time.monotonic() < deadline
            now = client.get("/time").json()["serverTime"]
            rows = client.get("/klines?symbol=BTCUSDT&interval=1m&limit=1000").json()
            assert rows[-1][0] >= now - MINUTE_MS
            counts.append(len(rows))
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    assert rows[-1][6] == 1_643_673_600_000 - 1


def test_on_wall_time_the_minute_of_now_is_forming(tmp_path: Path) -> None:
    """Synthetic bars at speed 1 end days ahead of now, so that a live bot has a market."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "9", "--speed", "1") as venue:
        before = time.time_ns() // 1_000_000
        row = httpx.get(f"{venue.url}/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1").json()[0]
        after = time.time_ns() // 1_000_000
    assert before - MINUTE_MS < row[0] <= after


def test_another_host_is_warned_about(tmp_path: Path) -> None:
    """Only loopback is private."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "1", "--host", "127.0.0.2") as venue:
        assert venue.ready["url"].startswith("http://127.0.0.2:")
    code, _, err = venue.stop()
    assert code == 0
    assert "at 127.0.0.2 other machines can reach the venue" in err


def test_the_process_is_the_one_that_was_started(venue: Venue) -> None:
    """It makes no children that could be left behind."""
    children = Path(f"/proc/{venue.process.pid}/task/{venue.process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list children")
    assert os.getpid() != venue.process.pid
    assert children.read_text() == ""


class Failing:
    """Something beside the requests that fails at once."""

    said_goodbye = False

    async def run(self) -> None:
        raise RuntimeError("the market stands still")

    def say_goodbye(self) -> None:
        self.said_goodbye = True


def test_a_venue_whose_heartbeat_fails_ends_with_its_error() -> None:
    """A market that stands still unnoticed would be worse than no venue; clients are told before."""
    background = Failing()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(RuntimeError, match="the market stands still"):
            serve(FastAPI(), listener, lambda: None, background=background)
    assert background.said_goodbye
