"""Every signal that the bot could have used has a receipt in the end, with the reason that is true."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from bot_books import PAIR, Books
from bson.datetime_ms import DatetimeMS
from freqtrade_shapes import MINUTE_MS, ms

from schemas.bot.signal_accounting import SignalAccounting
from schemas.bot.signal_ledger import SignalLedger
from schemas.signal_actions import Signals
from schemas.signal_feed import signals_of
from schemas.signal_rule import SignalWindow
from schemas.signal_tag import SignalTag

WINDOW = SignalWindow(MINUTE_MS, tolerance_bars=1, max_delay_ms=3 * MINUTE_MS)


class Given:
    """A bot's process from a minute on: signals by minute, when MongoDB was away, what was chosen."""

    def __init__(self, books: Books, ledger: SignalLedger) -> None:
        self.signals: dict[int, int | None] = {}
        self.away: tuple[int, int] | None = None
        self.chosen: int | None = None
        self.asked: list[tuple[int, int]] = []
        self.books = books
        self.own = SignalAccounting(ledger, books.outbox, WINDOW, self.read, self, lambda _: self.chosen)

    def read(self, pairs: Sequence[str], first_ms: int, last_ms: int) -> Mapping[str, Signals]:
        self.asked.append((first_ms, last_ms))
        found = [
            {"ts": DatetimeMS(ms(at)), "action": "enter_long"} | ({"valid_until": DatetimeMS(until)} if until else {})
            for at, until in self.signals.items()
            if first_ms <= ms(at) <= last_ms
        ]
        return {PAIR: signals_of(found)[0]}

    def was_away(self, from_ms: int, until_ms: int) -> bool:
        return self.away is not None and self.away[0] <= until_ms and self.away[1] >= from_ms

    def told(self) -> list[tuple[int, str]]:
        """(minute of the signal, reason) of each receipt."""
        return [
            (round((item.document["ts"].timestamp() * 1000 - ms(0)) / MINUTE_MS), item.document["reason"])
            for item in self.books.outbox.waiting()
        ]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path / "box.sqlite") as given:
        yield given


def test_a_new_bot_accounts_from_its_start_on(books: Books) -> None:
    """What was over before is not its business; what came after is, once."""
    given = Given(books, books.process())
    given.own.turn([PAIR], ms(10))
    given.signals = {3: None, 5: None, 6: None, 7: None, 9: None}
    for minute in (10.5, 11, 12, 12):
        given.own.turn([PAIR], ms(minute))
    assert given.told() == [(6, "expired"), (7, "expired")]


def test_the_next_process_goes_on_where_the_last_one_ended(books: Books) -> None:
    """What was exported while the bot was off, and what was exported late, has expired."""
    Given(books, books.process()).own.turn([PAIR], ms(10))
    later = Given(books, books.process("r2"))
    later.signals = {2: None, 30: None, 99: None}
    later.own.turn([PAIR], ms(100))
    assert later.told() == [(30, "expired")]
    later.signals[50] = None
    later.own.turn([PAIR], ms(101))
    assert later.told() == [(30, "expired"), (50, "expired")]


def test_each_reason_is_the_true_one(books: Books) -> None:
    """Seen in time or not, with MongoDB there or away, with a newer one chosen or not."""
    ledger = books.process()
    given = Given(books, ledger)
    given.own.turn([PAIR], ms(10))
    given.signals = {7: None, 8: None, 9: ms(10.5), 10: None, 11: None}
    ledger.saw(PAIR, [ms(7), ms(9), ms(11)], ms(12))
    given.chosen, given.away = ms(9), (ms(9), ms(9.5))
    ledger.skip(PAIR, SignalTag("mine", ms(10)), "risk", ms(10), ms(11))
    given.own.turn([PAIR], ms(20))
    assert given.told() == [
        (10, "risk"), (7, "superseded"), (8, "mongo_down"), (9, "expired"), (11, "outside_window"),
    ]  # fmt: skip


def test_it_looks_from_time_to_time(books: Books) -> None:
    """Each five seconds at 1m, and without pairs not at all; a long absence is made up for by and by."""
    given = Given(books, books.process())
    given.own.turn([], ms(10))
    for second in range(11):
        given.own.turn([PAIR], ms(10) + second * 1_000)
    assert len(given.asked) == 3
    given.own.turn([PAIR], ms(20_000))
    given.own.turn([PAIR], ms(20_000) + 1)
    spans = [last - first for first, last in given.asked[3:]]
    assert spans == [5_000 * MINUTE_MS, 5_000 * MINUTE_MS]
