"""Copies of bars need no more than research may do, and nobody who may do less gets less than the bars."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guarded import DATABASE, Guarded
from pymongo import MongoClient
from structlog.testing import capture_logs

from research.readers import get_crypto_min_data
from research.stored.bars_copy import BarsCopies, Moment
from research.stored.cached_bars import read_through_copies
from research.stored.freshness import is_past_of, present
from research.stored.stored_bars import MINUTES
from schemas.collections import MINUTE_BARS
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
START = datetime(2022, 1, 1, tzinfo=UTC)
SYMBOL = "BINANCE:COPYUSDT"


@pytest.fixture(scope="module", autouse=True)
def bars(guarded: Guarded) -> Any:
    """A hundred days of a symbol that no other test has."""
    values = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    with guarded.as_user("admin") as db:
        db[MINUTE_BARS].insert_many(
            [{"symbol": SYMBOL, "datetime": START + timedelta(days=day)} | values for day in range(100)]
        )
        yield
        db[MINUTE_BARS].delete_many({"symbol": SYMBOL})


@pytest.mark.parametrize(("role", "copied"), [("research", 100), ("monitor", 100), ("importer", 0)])
def test_who_may_watch_bars_has_copies_and_who_may_not_reads_them_plainly(
    guarded: Guarded, tmp_path: Path, role: str, copied: int
) -> None:
    """The importer may find bars but not follow them: it gets the same frame, and the log says why no copy is made."""
    settings = Settings.load(mongo_uri=guarded.uri(role), db=DATABASE, home=tmp_path)
    with connect(settings) as db, capture_logs() as logs:
        for _ in range(2):
            assert len(get_crypto_min_data("2022-01-01", "2022-12-31", SYMBOL, db=db)) == 100
    assert sum(kept.bars for kept in BarsCopies(tmp_path, 0).kept()) == copied
    assert ["may not watch" in entry["reason"] for entry in logs] == ([] if copied else [True])


def test_who_may_do_nothing_but_find_is_told_once_why_no_copy_is_made(guarded: Guarded, tmp_path: Path) -> None:
    """The server's own sentence differs each time, by the time and the session that it names."""
    finds = {"resource": {"db": DATABASE, "collection": MINUTE_BARS}, "actions": ["find"]}
    with guarded.as_user("admin") as db:
        db.command("createRole", "finder", privileges=[finds], roles=[])
        db.command("createUser", "finder", pwd="finder", roles=["finder"])
    uri = guarded.uri("admin")
    copies, stretch = BarsCopies(tmp_path, 10**9), (0, 2_000_000_000_000)
    with (
        MongoClient[Any](uri, username="finder", password="finder", authSource=DATABASE) as client,
        ThreadPoolExecutor(2) as pool,
        capture_logs() as logs,
    ):
        for _ in range(2):
            assert read_through_copies(client[DATABASE], copies, MINUTES, [SYMBOL], stretch, [], pool) is None
    assert [entry["reason"] for entry in logs] == ["MongoDB failed with Unauthorized"]


def test_research_can_not_look_into_the_oplog_so_a_restart_ends_its_copies(guarded: Guarded) -> None:
    """What is not seen is not taken as proven; the admin sees it."""
    for role, is_seen in (("research", False), ("admin", True)):
        with guarded.as_user(role) as db:
            now = present(db).moment
            assert is_past_of(db, now, now)
            assert is_past_of(db, Moment("0" * 24, now.seconds, now.increment, now.term), now) == is_seen
