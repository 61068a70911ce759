"""What a bot keeps in its own file is there after any end of it, and a broken file breaks nothing else."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from bson.decimal128 import Decimal128

from schemas.bot.outbox import Claim, Outbox
from schemas.errors import StoreError

T = datetime(2022, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
CLAIM = Claim("mine", "1m", "BTC/USDT", 60_000, "entry", 1, "run", "asked", 0, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "signals.sqlite"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    box = Outbox(path)
    yield box
    box.close()


def test_what_was_put_is_read_in_order_and_forgotten_when_written(outbox: Outbox) -> None:
    """Times and decimals come back as they were, in the order in which they were put."""
    document = {"ts": T, "amount": Decimal128(Decimal("0.10")), "text": "ü"}
    for kind in ("fill", "position", "skipped"):
        outbox.put(kind, document)
    waiting = outbox.waiting()
    assert [item.kind for item in waiting] == ["fill", "position", "skipped"]
    assert waiting[0].document == document
    outbox.written(waiting[1].seq)
    assert [item.kind for item in outbox.waiting()] == ["fill", "skipped"]
    assert [item.kind for item in outbox.waiting(after=waiting[0].seq)] == ["skipped"]
    assert outbox.count() == 2


def test_a_claim_is_made_once(outbox: Outbox, path: Path) -> None:
    """Also where two processes share the file; one that was only asked for gives way to the next who asks."""
    other = Outbox(path)
    assert outbox.claim(CLAIM, replacing="asked") is None
    second = Claim("mine", "1m", "BTC/USDT", 60_000, "entry", 1, "other", "asked", 0, 8)
    assert other.claim(second, replacing="asked") is None
    assert not outbox.advance(CLAIM, "claimed")  # the other has taken it over
    assert other.advance(second, "claimed")
    found = outbox.claim(CLAIM, replacing="asked")
    assert found is not None
    assert (found.run_id, found.state) == ("other", "claimed")
    other.close()


def test_settled_claims_are_forgotten_and_others_never(outbox: Outbox) -> None:
    """A claim whose end is not known stays, however old."""
    exit_ = Claim("mine", "1m", "BTC/USDT", 60_000, "exit", 1, "run", "wanted", 0, 7)
    for claim in (CLAIM, exit_):
        assert outbox.claim(claim) is None
    outbox.advance(CLAIM, "settled")
    outbox.forget_claims(60_000)
    assert len(outbox.claims("mine", "1m")) == 2
    outbox.forget_claims(60_001)
    assert outbox.claims("mine", "1m") == [exit_]
    assert outbox.claims("theirs", "1m") == []


def test_times_are_kept_by_name(outbox: Outbox) -> None:
    """A mark that was never set is none."""
    assert outbox.mark("reached") is None
    outbox.set_mark("reached", 5)
    outbox.set_mark("reached", 6)
    assert outbox.mark("reached") == 6


def test_what_a_killed_process_put_is_there(path: Path) -> None:
    """kill -9 between two changes: all that had returned is kept, and what was half done is not there."""
    child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        acknowledged = 0
        for line in child.stdout:
            acknowledged = int(line)
            if acknowledged >= 20:
                break
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    outbox = Outbox(path)
    kept = [item.document["n"] for item in outbox.waiting(limit=100_000)]
    outbox.close()
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) in (acknowledged, acknowledged + 1)


ENDLESS = """
import sys
from pathlib import Path
from schemas.bot.outbox import Outbox

outbox, n = Outbox(Path(sys.argv[1])), 0
while True:
    n += 1
    outbox.put("fill", {"n": n})
    print(n, flush=True)
"""


@pytest.mark.parametrize("damage", ["foreign", "torn"])
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(
    path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """It is kept for a look at it; the log says so once."""
    box = Outbox(path)
    for number in range(60):
        box.put("fill", {"number": number, "text": "x" * 50})
    box.close()
    content = path.read_bytes()
    path.write_bytes(b"not a database at all" * 50 if damage == "foreign" else content[:4096] + b"\xff" * 8192)
    with caplog.at_level(logging.ERROR):
        fresh = Outbox(path)
    assert fresh.waiting() == []
    fresh.put("fill", {"n": 1})
    assert fresh.count() == 1
    fresh.close()
    assert len(caplog.messages) == 1
    assert "was put aside as" in caplog.text
    assert [found.name for found in path.parent.glob("*.damaged-*")] != []


def test_a_torn_last_change_costs_that_change_alone(path: Path) -> None:
    """The write-ahead file was cut in its last record, as a power cut does: what came before is read."""
    box = Outbox(path)
    box.put("fill", {"n": 1})
    box.put("fill", {"n": 2})
    log = path.with_name(path.name + "-wal")
    whole, torn = path.read_bytes(), log.read_bytes()[:-100]
    copy = path.with_name("copy.sqlite")
    copy.write_bytes(whole)
    copy.with_name(copy.name + "-wal").write_bytes(torn)
    box.close()
    again = Outbox(copy)
    assert [item.document["n"] for item in again.waiting()] == [1]
    again.close()


def test_a_file_that_can_not_be_used_is_a_sentence(tmp_path: Path) -> None:
    """It names the file and what it needs; so does one of another layout, which is left alone."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/signals\.sqlite can not be used: .* It needs a folder"):
        Outbox(tmp_path / "file" / "signals.sqlite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="unable to open database file"):
        Outbox(tmp_path / "folder")
    box = Outbox(tmp_path / "later.sqlite")
    box._database.execute("PRAGMA user_version = 9")
    box.close()
    with pytest.raises(StoreError, match="has the layout 9 of another version; this one reads 1"):
        Outbox(tmp_path / "later.sqlite")


def test_a_locked_file_fails_soon(outbox: Outbox, path: Path) -> None:
    """Another process that holds it does not hold a trading loop; nothing is half done then."""
    other = Outbox(path)
    other._database.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        outbox.put("fill", {"n": 1})
    other._database.execute("ROLLBACK")
    outbox.put("fill", {"n": 2})
    assert [item.document["n"] for item in outbox.waiting()] == [2]
    other.close()
