"""What a bot writes into MongoDB is written once, and nothing that matters more is overwritten."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from schemas.bot.consumer_store import ConsumerStore
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, Store
from schemas.errors import StoreError

pytestmark = pytest.mark.mongo

T = datetime(2022, 1, 1, tzinfo=UTC)


def receipt(decision: str, reason: str | None = None, run_id: str = "run", seen_s: int = 5) -> dict[str, Any]:
    seen = T + timedelta(minutes=1, seconds=seen_s)
    given = {
        "consumer": "bot", "strategy_id": "mine", "pair": "BTC/USDT", "timeframe": "1m", "ts": T, "version": 1,
        "decision": decision, "reason": reason, "seen_at": seen, "candle": T, "latency_ms": 1_000.0 * seen_s,
        "run_id": run_id, "updated_at": seen,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture
def store(db: Store) -> ConsumerStore:
    return ConsumerStore(db)  # type: ignore[arg-type]


def stored(db: Store) -> tuple[str, str | None, str]:
    (found,) = db[SIGNAL_RECEIPTS].find()
    return found["decision"], found.get("reason"), found["run_id"]


def test_of_many_who_claim_at_once_one_enters(db: Store, store: ConsumerStore) -> None:
    """Eight processes of one name race; the index decides."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.claim_entry(receipt("entered", run_id=f"r{n}"), [f"r{n}"]), range(8)))
    assert answers.count(True) == 1
    assert stored(db) == ("entered", None, f"r{answers.index(True)}")


def test_the_same_run_may_ask_again(db: Store, store: ConsumerStore) -> None:
    """Its first answer was lost on the way."""
    assert store.claim_entry(receipt("entered"), ["run"])
    assert store.claim_entry(receipt("entered"), ["run"])
    assert not store.claim_entry(receipt("entered", run_id="later"), ["later"])
    assert store.claim_entry(receipt("entered", run_id="later"), ["later", "run"])
    assert stored(db) == ("entered", None, "later")


@pytest.mark.parametrize("is_there", [True, False])
def test_without_the_unique_index_nothing_enters(db: Store, store: ConsumerStore, is_there: bool) -> None:
    """Nothing would keep two processes apart; the sentence says how to make it."""
    db[SIGNAL_RECEIPTS].drop_indexes() if is_there else db[SIGNAL_RECEIPTS].drop()
    with pytest.raises(StoreError, match=r"signal_receipts lacks the unique index on consumer, .* `quantflow db init`"):
        store.claim_entry(receipt("entered"), ["run"])
    assert db[SIGNAL_RECEIPTS].count_documents({}) == 0


@pytest.mark.parametrize(
    ("reason", "may_enter"),
    [
        ("cooldown", True),
        ("mongo_down", True),
        ("order_unfilled", False),
        ("order_rejected", False),
        ("order_lost", False),
    ],
)
def test_a_skipped_signal_may_still_enter_unless_its_order_left(
    db: Store, store: ConsumerStore, reason: str, may_enter: bool
) -> None:
    """The time it was seen first stays, and the reason goes."""
    store.write("accounted", receipt("skipped", reason))
    assert store.claim_entry(receipt("entered", seen_s=9), ["other"]) is may_enter
    assert stored(db)[:2] == (("entered", None) if may_enter else ("skipped", reason))
    assert db[SIGNAL_RECEIPTS].find_one({})["latency_ms"] == 5_000.0  # type: ignore[index]


@pytest.mark.parametrize("kind", ["skipped", "accounted", "exited"])
def test_nothing_that_comes_late_undoes_an_entry(db: Store, store: ConsumerStore, kind: str) -> None:
    """What waited in the outbox from before the claim, or comes from another bot."""
    assert store.claim_entry(receipt("entered"), ["run"])
    store.write(kind, receipt("exited" if kind == "exited" else "skipped", None if kind == "exited" else "cooldown"))
    assert stored(db) == ("entered", None, "run")


def test_a_reason_gives_way_to_a_later_one_and_an_account_to_any(db: Store, store: ConsumerStore) -> None:
    """'skipped' says what is known now; 'accounted' speaks only where nothing was said."""
    store.write("skipped", receipt("skipped", "cooldown"))
    store.write("skipped", receipt("skipped", "pair_locked"))
    store.write("accounted", receipt("skipped", "expired"))
    assert stored(db) == ("skipped", "pair_locked", "run")
    store.write("exited", receipt("exited"))
    store.write("skipped", receipt("skipped", "cooldown"))
    assert stored(db) == ("exited", None, "run")


def test_an_orders_fate_replaces_the_claim_of_its_own_run_alone(db: Store, store: ConsumerStore) -> None:
    """Another run's entry is not touched; an exit's fate does not undo the entry that its signal made since."""
    store.write("exited", receipt("exited"))
    store.write("no_exit", receipt("skipped", "no_position", run_id="other"))
    assert stored(db) == ("exited", None, "run")
    assert store.claim_entry(receipt("entered"), ["run"])
    store.write("no_exit", receipt("skipped", "no_position"))
    assert stored(db) == ("entered", None, "run")
    store.write("no_entry", receipt("skipped", "order_unfilled"))
    assert stored(db) == ("skipped", "order_unfilled", "run")


def test_fills_and_positions_are_replaced_by_what_is_newer(db: Store, store: ConsumerStore) -> None:
    """The same again is stored once; an older state of a position, retried late, changes nothing."""
    fill = {"consumer": "bot", "pair": "BTC/USDT", "order_id": "1", "amount": Decimal128(Decimal("0.5"))}
    position = {"consumer": "bot", "pair": "BTC/USDT", "entry_order_id": "1", "state": "open", "updated_at": T}
    for _ in range(2):
        store.write("fill", fill)
        store.write("position", position)
    store.write("fill", fill | {"pair": "ETH/USDT"})  # the venue counts the orders of each symbol by themselves
    store.write("position", position | {"state": "closed", "updated_at": T + timedelta(seconds=1)})
    store.write("position", position)
    assert db[FILLS].count_documents({}) == 2
    assert [found["state"] for found in db[POSITIONS].find()] == ["closed"]


def test_a_kind_of_writing_that_nobody_knows_is_refused(store: ConsumerStore) -> None:
    """An outbox of another version may hold one."""
    with pytest.raises(ValueError, match="One of exited, skipped"):
        store.write("dance", {})
