"""Again and again at little cost: a look reads little while all agrees, and everything while it does not."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from monitoring.chain.books import BotBook, VenueBook
from monitoring.chain.reconciler import Counterparts, Reconciler, grace_of, reconcile_all
from monitoring.chain.signal_chain import Scope
from monitoring.chain.unseen_bot import check_seen
from schemas.clock import Clock
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError, VenueError
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MINUTE = Timeframe.parse("1m")
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
KEY: dict[str, Any] = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "1m", "ts": NOON}
HOUR = timedelta(hours=1)


class Silent:
    """A venue that answers with an error, or knows nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], datetime]] = []
        self.error: VenueError | None = None

    def book(self, pairs: Iterable[str], since: datetime, until: datetime, *, holdings: bool = True) -> VenueBook:
        self.asked.append((tuple(pairs), since))
        if self.error is not None:
            raise self.error
        return VenueBook(tuple(pairs))


def skipped(db: Store) -> None:
    """A signal of noon that the bot skipped: all agrees."""
    db[SIGNALS].insert_one(KEY | {"action": "exit_long", "created_at": NOON + MINUTE.delta})
    seen = {"decision": "skipped", "reason": "no_position", "seen_at": NOON + MINUTE.delta}
    db[SIGNAL_RECEIPTS].insert_one(KEY | {"consumer": "bot"} | seen)


def reconciler(venue: Silent) -> Reconciler:
    return Reconciler("s", "bot", MINUTE, Counterparts(venue=venue), span=6 * HOUR, full_every=HOUR)


def test_little_is_read_while_all_agrees_and_everything_each_hour(db: Store) -> None:
    """After the first look only bars since the look before, and those that were not settled then; pairs are kept."""
    skipped(db)
    venue, now = Silent(), NOON + HOUR
    looks = reconciler(venue)
    for minutes in (0, 1, 59, 60):
        assert looks.look(db, now + timedelta(minutes=minutes)).agrees
    unsettled = timedelta(minutes=7)  # five bars in which a signal is usable, one bar, and a minute of grace
    assert [since for _, since in venue.asked] == [
        now - 6 * HOUR,
        now - unsettled,
        now + timedelta(minutes=1) - unsettled,
        now - 5 * HOUR,
    ]
    assert {pairs for pairs, _ in venue.asked} == {("BTC/USDT",)}


def test_a_finding_is_looked_at_until_it_is_over(db: Store) -> None:
    """Its fill is unknown to the venue; as long as it is, everything is read, and then little again."""
    skipped(db)
    venue, now = Silent(), NOON + HOUR
    looks = reconciler(venue)
    assert looks.look(db, now).agrees
    times = {"ordered_at": NOON + MINUTE.delta, "filled_at": NOON + MINUTE.delta}
    lost = KEY | {"consumer": "bot", "order_id": "11", "side": "buy", "amount": Decimal128("1")} | times
    db[FILLS].insert_one({name: value for name, value in lost.items() if name != "ts"})
    assert looks.look(db, now + timedelta(minutes=1)).agrees  # a document of an hour ago: the next full look sees it
    for minutes in (61, 62):
        found = looks.look(db, now + timedelta(minutes=minutes))
        assert [one.kind for one in found.findings] == ["unknown fill"]
    db[FILLS].delete_many({})
    assert looks.look(db, now + timedelta(minutes=63)).agrees
    looks.look(db, now + timedelta(minutes=64))
    reach = [
        now + timedelta(minutes=minute) - since
        for minute, (_, since) in zip((0, 1, 61, 62, 63, 64), venue.asked, strict=True)
    ]
    assert [one == 6 * HOUR for one in reach] == [True, False, True, True, True, False]


def test_an_order_that_a_person_has_accounted_for_is_told_no_more(db: Store) -> None:
    """It is named with its pair, as venues number the orders of each by themselves; others are told on."""
    skipped(db)
    times = {"ordered_at": NOON + MINUTE.delta, "filled_at": NOON + MINUTE.delta}
    for order_id in ("11", "12"):
        lost = KEY | {"consumer": "bot", "order_id": order_id, "side": "buy", "amount": Decimal128("1")} | times
        db[FILLS].insert_one({name: value for name, value in lost.items() if name != "ts"})
    scope = Scope("s", "bot", MINUTE, NOON - HOUR, NOON + HOUR)
    explained = frozenset({"BTC/USDT 11", "ETH/USDT 12"})
    found = reconcile_all(db, scope, Counterparts(venue=Silent(), explained=explained), NOON + HOUR)
    assert [(one.kind, one.order_id) for one in found.findings] == [("unknown fill", "12")]


def test_a_side_that_does_not_answer_is_not_compared_and_made_up_for(db: Store) -> None:
    """Its sentence is told, nothing is a finding, and the next look reads from the last complete one on."""
    skipped(db)
    venue, now = Silent(), NOON + HOUR
    looks = reconciler(venue)
    looks.look(db, now)
    venue.error = VenueError("binance did not answer.")
    for minutes in (1, 30):
        away = looks.look(db, now + timedelta(minutes=minutes))
        assert (away.agrees, away.venue_orders, away.not_compared) == (True, None, ("binance did not answer.",))
    venue.error = None
    looks.look(db, now + timedelta(minutes=31))
    assert venue.asked[-1][1] == now - timedelta(minutes=7)


def test_the_bot_that_does_not_answer_does_not_keep_the_venue_from_being_asked(db: Store) -> None:
    """Each side by itself."""

    class Away:
        def book(self, since: datetime, until: datetime) -> BotBook:
            raise VenueError("Freqtrade did not answer.")

    skipped(db)
    scope = Scope("s", "bot", MINUTE, NOON - HOUR, NOON + HOUR)
    found = reconcile_all(db, scope, Counterparts(Away(), Silent()), NOON + HOUR)
    assert (found.freqtrade_orders, found.venue_orders, found.not_compared) == (None, 0, ("Freqtrade did not answer.",))


def test_nothing_is_compared_with_a_bot_that_nobody_has_seen(db: Store) -> None:
    """Its name may be misspelt: that is one sentence, and not a finding for each signal and each order of the venue."""
    skipped(db)
    venue, now = Silent(), NOON + HOUR
    looks = Reconciler("s", "bto", MINUTE, Counterparts(venue=venue), span=6 * HOUR)
    found = looks.look(db, now)
    assert (found.signals, found.findings, venue.asked) == (1, (), [])
    assert found.not_compared == ("The bot bto has never been seen with a signal of s. Did you mean bot?",)
    db[SIGNAL_RECEIPTS].insert_one(KEY | {"consumer": "bto", "decision": "skipped", "seen_at": NOON + MINUTE.delta})
    assert (looks.look(db, now).not_compared, len(venue.asked)) == ((), 1)


def test_who_has_filled_something_was_seen(db: Store) -> None:
    """Receipts that were lost afterwards are still missed."""
    skipped(db)
    db[SIGNAL_RECEIPTS].delete_many({})
    db[POSITIONS].insert_one(KEY | {"consumer": "bot", "state": "closed"})
    scope = Scope("s", "bot", MINUTE, NOON - HOUR, NOON + HOUR)
    found = reconcile_all(db, scope, Counterparts(), NOON + HOUR)
    assert [one.kind for one in found.findings] == ["signal without receipt"]


@pytest.mark.parametrize(
    ("strategy", "consumer", "sentence"),
    [
        ("s", "elsewhere", "The bot elsewhere has never been seen with a signal of s. Known are bot."),
        (
            "t",
            "bot",
            "The bot bot has never been seen with a signal of t. No other bot has either: it may be new, or a",
        ),
        (None, "bit", "The bot bit has never been seen with a signal of any strategy. Did you mean bot?"),
    ],
)
def test_a_bot_that_was_never_seen_is_told_with_those_that_were(
    db: Store, strategy: str | None, consumer: str, sentence: str
) -> None:
    """The nearest name, else all names, else that there is none; a strategy's name may be the wrong one."""
    skipped(db)
    with pytest.raises(InputError) as told:
        check_seen(db, strategy, consumer)
    assert str(told.value).startswith(sentence)
    check_seen(db, "s", "bot")
    check_seen(db, None, "bot")


def test_grace_is_a_minute_and_in_a_replay_three_real_seconds() -> None:
    """At 20 times the speed a minute of the market is three seconds; at 200 times programs need more of it."""
    assert grace_of(Clock()) == timedelta(minutes=1)
    assert grace_of(Clock(NOON, NOON, 20.0)) == timedelta(minutes=1)
    assert grace_of(Clock(NOON, NOON, 200.0)) == timedelta(minutes=10)
