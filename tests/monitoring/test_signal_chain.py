"""Each signal is followed through the real store: exported, seen, ordered, filled, in milliseconds after its close."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from monitoring.chain.signal_chain import Scope, find_consumer, percentile, read_stored, signal_chains
from schemas.collections import FILLS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
KEY: dict[str, Any] = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "1m"}
SCOPE = Scope("s", "bot", MINUTE, NOON, NOON + timedelta(hours=1))


def after_close(ms: int) -> datetime:
    """A time after the close of the bar that opened at noon."""
    return NOON + MINUTE.delta + timedelta(milliseconds=ms)


def fill(ordered_ms: int, filled_ms: int, order_id: str, **other: Any) -> dict[str, Any]:
    times = {"ordered_at": after_close(ordered_ms), "filled_at": after_close(filled_ms)}
    return KEY | {"consumer": "bot", "ts": NOON, "order_id": order_id, "amount": Decimal128("1")} | times | other


@pytest.fixture
def stored(db: Store) -> Store:
    """A signal that was seen, ordered in two parts and filled, and one that is still on its way."""
    db[SIGNALS].insert_many(
        [
            KEY | {"ts": NOON, "action": "exit_long", "created_at": after_close(80)},
            KEY | {"ts": NOON + timedelta(minutes=5), "weight": 0.25, "created_at": after_close(300_090)},
            KEY | {"ts": NOON - timedelta(minutes=1), "action": "enter_long", "created_at": after_close(-60_000)},
        ]
    )
    receipt = {"consumer": "bot", "ts": NOON, "decision": "exited", "seen_at": after_close(540)}
    db[SIGNAL_RECEIPTS].insert_one(KEY | receipt)
    db[FILLS].insert_many([fill(1_100, 1_180, "11"), fill(1_900, 2_250, "12"), fill(1, 2, "9", consumer="another")])
    return db


@pytest.mark.mongo
def test_a_signal_is_followed_to_its_last_fill(stored: Store) -> None:
    """The first order and the last fill count; another bot's fills and signals outside of the scope do not."""
    first, second = signal_chains(read_stored(stored, SCOPE), MINUTE)
    assert [first.ms(stage) for stage in ("exported", "seen", "ordered", "filled")] == [80, 540, 1_100, 2_250]
    assert (first.content, first.decision, [one["order_id"] for one in first.fills]) == (
        "exit_long",
        "exited",
        ["11", "12"],
    )
    assert (second.content, second.decision, second.ms("exported"), second.ms("seen")) == (
        "weight 0.25",
        None,
        90,
        None,
    )


@pytest.mark.mongo
def test_fills_that_no_signal_caused_are_read_too(stored: Store) -> None:
    """A stop that was ordered in the scope's time is read, and one before it is not."""
    for minutes, order_id in ((2, "20"), (-2, "21")):
        own = {
            name: value for name, value in fill(minutes * 60_000, minutes * 60_000, order_id).items() if name != "ts"
        }
        stored[FILLS].insert_one(own)
    found = read_stored(stored, SCOPE)
    assert {one["order_id"] for one in found.ordered} == {"11", "12", "20"}
    assert {one["order_id"] for one in found.fills} == {"11", "12"}


@pytest.mark.mongo
def test_the_only_bot_is_found_and_of_several_one_must_be_named(stored: Store) -> None:
    """Without --consumer there must be no doubt whose receipts are meant."""
    assert find_consumer(stored, "s") == "bot"
    stored[SIGNAL_RECEIPTS].insert_one(KEY | {"consumer": "second", "ts": NOON})
    with pytest.raises(InputError, match=r"there are bot, second\. Name one with --consumer"):
        find_consumer(stored, "s")
    with pytest.raises(InputError, match=r"there are no signals of that strategy"):
        find_consumer(stored, "another strategy")


def test_a_percentile_is_one_of_the_values() -> None:
    """Nearest rank: of four values the median is the second, the 95th percentile the last."""
    assert [percentile([4.0, 1.0, 3.0, 2.0], percent) for percent in (0, 25, 50, 95, 100)] == [1, 1, 2, 4, 4]
    assert percentile([], 50) is None
