"""Following while MongoDB is away or frozen, and after kill -9, Ctrl-C and SIGTERM: nothing lost, nothing double."""

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest
import structlog.testing
from following import Follow, Process, minute, wait_until
from import_samples import stored
from pydantic import SecretStr
from streaming_venue import StreamingVenue

from schemas.collections import Store
from schemas.embedded import EmbeddedServer, temporary_server
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = pytest.mark.mongo

FOLLOW = ("--follow", "--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--json", "--exchange-url")


@pytest.fixture
def own_server() -> Iterator[tuple[EmbeddedServer, str]]:
    """A MongoDB of the test's own, which it may stop and kill."""
    with temporary_server() as server:
        yield server


@pytest.fixture
def own_db(own_server: tuple[EmbeddedServer, str]) -> Iterator[Store]:
    """A database in it, for whose server a reader waits half a minute."""
    with connect(Settings.load(mongo_uri=SecretStr(own_server[1]), mongo_timeout_s=30.0)) as db:
        yield db


def opens(db: Store) -> list[float]:
    return [document["open"] for document in stored(db)]


@pytest.mark.parametrize("is_killed", [False, True])
def test_bars_wait_for_mongodb(
    live: StreamingVenue, own_server: tuple[EmbeddedServer, str], own_db: Store, is_killed: bool
) -> None:
    """Frozen with SIGSTOP, or killed and started again by its keeper: said once, and all bars are there afterwards."""
    follow = Follow(own_db, live)
    server, _ = own_server

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        wait_until(lambda: len(opens(own_db)) == 101)
        pid = server.running().pid
        os.kill(pid, signal.SIGKILL if is_killed else signal.SIGSTOP)
        for offset in (102, 103, 104):
            live.advance_to(minute(offset, 5))
        if not is_killed:
            wait_until(lambda: any(log["event"] == "store_away" for log in logs))
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: len(opens(own_db)) == 104)
        live.advance_to(minute(105, 5))

    with structlog.testing.capture_logs() as logs:
        followed, summary = follow.run(script, 105)
    assert followed.errors == []
    assert opens(own_db) == [100.0 + number for number in range(105)]
    told = [log["event"] for log in logs if log["event"].startswith("store_")]
    # A server that is started again quickly may be missed by nobody.
    assert told == ["store_away", "store_back"] or (is_killed and told == [])
    assert summary.store_losses == len(told) // 2


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_following_with_the_sums(
    db: Store, live: StreamingVenue, start: Callable[..., Process], sent: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM: the exit code of each, one JSON object a line, the sums last."""
    process = start(*FOLLOW, live.url)
    wait_until(live.is_listened_to)
    live.advance_to(minute(101, 5))
    imported, bar = (json.loads(process.line()) for _ in range(2))
    process.send(sent)
    ran = process.ended()
    assert ran.code == code
    assert "Traceback" not in ran.err
    followed = json.loads(ran.out)
    assert (imported["event"], imported["symbols"][0]["inserted"]) == ("imported", 100)
    assert {name: bar[name] for name in ("event", "symbol", "timeframe", "open_time", "close", "origin")} == {
        "event": "bar", "symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "open_time": "2022-01-01T01:40:00+00:00",
        "close": 200.5, "origin": "stream",
    }  # fmt: skip
    assert (followed["event"], followed["symbols"][0]["streamed"], followed["reconnects"]) == ("followed", 1, 0)


def test_a_killed_run_is_completed_by_the_next(db: Store, live: StreamingVenue, start: Callable[..., Process]) -> None:
    """kill -9 with a hole before the newest bar and others missed afterwards; the next run has them all, once."""
    first = start(*FOLLOW, live.url)
    wait_until(live.is_listened_to)
    live.faults = [(500, {}, "oops")] * 1000
    live.muted = {minute(100)}
    live.advance_to(minute(102, 5))
    wait_until(lambda: len(opens(db)) == 101)
    first.send(signal.SIGKILL)
    assert first.ended().code == -9
    assert opens(db)[-2:] == [199.0, 201.0]
    live.faults = []
    wait_until(lambda: not live.is_listened_to())
    live.advance_to(minute(110, 5))
    until = "2022-01-01T01:51"
    second = start(*FOLLOW, live.url, "--until", until)
    wait_until(live.is_listened_to)
    live.advance_to(minute(111, 5))
    assert second.ended().code == 0
    assert opens(db) == [100.0 + number for number in range(111)]


def test_a_process_that_slept_catches_up(db: Store, live: StreamingVenue, start: Callable[..., Process]) -> None:
    """SIGSTOP for a while, as a laptop that sleeps: the connection may be dead by then, the bars all come."""
    process = start(*FOLLOW, live.url, "--until", "2022-01-01T01:46")
    wait_until(live.is_listened_to)
    live.advance_to(minute(101, 5))
    wait_until(lambda: len(opens(db)) == 101)
    process.send(signal.SIGSTOP)
    live.drop()
    live.advance_to(minute(105, 5))
    process.send(signal.SIGCONT)
    wait_until(live.is_listened_to)
    live.advance_to(minute(106, 5))
    ran = process.ended()
    assert ran.code == 0
    assert opens(db) == [100.0 + number for number in range(106)]
    assert json.loads(ran.out.splitlines()[-1])["reconnects"] == 1
