"""What waits is written in order, when MongoDB takes it, and the log speaks once of each change."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from schemas.bot.outbox import Outbox
from schemas.bot.outbox_writer import OutboxWriter
from schemas.errors import StoreError


class Far:
    """A partner in MongoDB's place that is away, refuses some, or takes what it is given."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.is_away = False
        self.refused: set[int] = set()
        self.full = threading.Event()

    def write(self, kind: str, document: dict[str, Any]) -> None:
        if self.is_away:
            raise ConnectionFailure("nobody there")
        if document["n"] in self.refused:
            raise OperationFailure("not authorized", 13)
        if kind == "strange":
            raise ValueError("no such kind")
        self.taken.append(document["n"])
        if len(self.taken) >= 3:
            self.full.set()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "box.sqlite")
    yield box
    box.close()


@pytest.fixture
def far() -> Far:
    return Far()


def say(error: PyMongoError) -> StoreError:
    return StoreError(f"MongoDB: {error}.")


def put(outbox: Outbox, *numbers: int, kind: str = "fill") -> None:
    for number in numbers:
        outbox.put(kind, {"n": number})


def test_all_is_written_in_order_and_forgotten(outbox: Outbox, far: Far, caplog: pytest.LogCaptureFixture) -> None:
    """Without a word."""
    put(outbox, *range(250))
    with caplog.at_level(logging.INFO):
        assert OutboxWriter(outbox, far.write, say, 1.0).turn()
    assert far.taken == list(range(250))
    assert outbox.count() == 0
    assert caplog.messages == []


def test_an_absence_is_said_once_and_its_end_once(outbox: Outbox, far: Far, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried in between; the second line counts what waited."""
    writer = OutboxWriter(outbox, far.write, say, 1.0)
    far.is_away = True
    put(outbox, 1)
    with caplog.at_level(logging.WARNING):
        assert [writer.turn() for _ in range(3)] == [False, False, False]
        put(outbox, 2, 3)
        assert not writer.turn()
        far.is_away = False
        assert [writer.turn(), writer.turn()] == [True, True]
    assert far.taken == [1, 2, 3]
    first, second = caplog.messages
    assert first.startswith(
        f"Receipts, fills and positions are kept in {outbox.path} until MongoDB takes them. MongoDB:"
    )
    assert second == "MongoDB takes receipts, fills and positions again; 3 that waited are written."


@pytest.mark.parametrize("kind", ["fill", "strange"])
def test_one_that_is_refused_keeps_nothing_else_back(outbox: Outbox, far: Far, kind: str) -> None:
    """It stays, and is tried again at each turn."""
    far.refused = {2} if kind == "fill" else set()
    put(outbox, 1)
    put(outbox, 2, kind=kind)
    put(outbox, 3)
    writer = OutboxWriter(outbox, far.write, say, 1.0)
    assert not writer.turn()
    assert far.taken == [1, 3]
    assert [item.document["n"] for item in outbox.waiting()] == [2]


def test_the_further_work_is_done_at_each_turn_and_may_fail(
    outbox: Outbox, far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    """Its failure is an absence like any other; what waits has been written before."""
    done: list[int] = []

    def also() -> None:
        done.append(1)
        raise StoreError("The disk is full.")

    put(outbox, 1)
    with caplog.at_level(logging.WARNING):
        assert not OutboxWriter(outbox, far.write, say, 1.0, also).turn()
    assert (far.taken, done) == ([1], [1])
    assert "The disk is full." in caplog.text


def test_the_thread_writes_what_is_put_and_ends_when_told(outbox: Outbox, far: Far) -> None:
    """What an earlier process left comes first; at the end what is put last is written too."""
    put(outbox, 1)
    writer = OutboxWriter(outbox, far.write, say, 0.01)
    writer.start()
    put(outbox, 2, 3)
    writer.wake()
    assert far.full.wait(30)
    put(outbox, 4)
    assert writer.close(30.0)
    assert far.taken == [1, 2, 3, 4]


def test_the_end_does_not_wait_for_a_mongodb_that_is_away(outbox: Outbox, far: Far) -> None:
    """What waits, waits for the next start."""
    far.is_away = True
    put(outbox, 1)
    writer = OutboxWriter(outbox, far.write, say, 0.01)
    assert not writer.turn()
    writer.start()
    assert writer.close(30.0)
    assert outbox.count() == 1
