"""What is set on the last candle, loop by loop, and why a signal does not act."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bot_books import PAIR, Books
from bson.datetime_ms import DatetimeMS
from freqtrade_shapes import MINUTE_MS, ms

from schemas.bot.live_signals import CandleFlags, LiveSignals
from schemas.signal_actions import LONG, LONG_AGO, SHORT, ActionRules, Memory
from schemas.signal_feed import signals_of
from schemas.signal_rule import SignalWindow
from schemas.signal_tag import SignalTag

BAR = timedelta(minutes=1)
HELD = Memory(LONG, ms(1), LONG_AGO, ms(1))


def tag(minute: int, version: int = 1) -> str:
    return str(SignalTag("mine", ms(minute), version))


class Bot:
    """One process of a bot; each loop is told the stored signals, the time, and the position."""

    def __init__(self, books: Books, run_id: str = "r1", **rules: Any) -> None:
        self.books, self.ledger = books, books.process(run_id)
        window = SignalWindow(MINUTE_MS, tolerance_bars=1, max_delay_ms=3 * MINUTE_MS)
        self.live = LiveSignals(self.ledger, window, ActionRules(MINUTE_MS, **rules))
        self.is_silent = False
        self.locked = False

    def loop(self, minute: float, stored: Mapping[int, Mapping[str, Any]], memory: Memory | None = None) -> CandleFlags:
        """One loop at a time, with the candle that closed last."""
        memory = memory or Memory()
        documents = [
            {"ts": DatetimeMS(ms(at)), "version": 1}
            | {name: DatetimeMS(value) if name == "valid_until" else value for name, value in content.items()}
            for at, content in stored.items()
        ]
        for claim in self.live.begin({PAIR: memory}, lambda *_: self.locked, ms(minute)):
            self.ledger.exit_over(claim, None, ms(minute))
        candle = ms(minute) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        return self.live.decide(PAIR, signals_of(documents)[0], candle, ms(minute), memory, is_silent=self.is_silent)

    def late(self, minute: float, at: int, memory: Memory = HELD, **content: Any) -> CandleFlags:
        """The bot can read again; the newest signal of the pair is shown to it, then a loop."""
        last = signals_of([{"ts": DatetimeMS(ms(at)), "version": 1, **content}])[0]
        self.live.exit_late(PAIR, last, ms(minute) // MINUTE_MS * MINUTE_MS - MINUTE_MS, ms(minute), memory)
        return self.loop(minute, {}, memory)

    def enter(self, minute: float, at: int) -> bool:
        """Freqtrade asks for the order."""
        self.live.was_asked(PAIR)
        return self.ledger.claim_entry(PAIR, SignalTag("mine", ms(at)), ms(at), ms(minute))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path / "box.sqlite") as given:
        yield given


ENTER, EXIT = {"action": "enter_long"}, {"action": "exit_long"}


def test_an_entry_is_set_on_one_candle_until_its_order_was_asked_for(books: Books) -> None:
    """In each loop of the candle; after the claim no more, though its trade may be gone again by a timeout."""
    bot = Bot(books)
    stored = {4: {"weight": 0.5}}
    flags = CandleFlags(enter=LONG, tag=tag(4), stake=0.5)
    assert bot.loop(5.02, stored) == flags
    assert bot.enter(5.02, 4)
    assert bot.loop(5.04, stored) == CandleFlags()
    assert Bot(books, "r2").loop(5.06, stored) == CandleFlags()  # after a restart
    assert books.told() == []


def test_an_entry_that_was_not_asked_for_is_gone_with_its_candle(books: Books) -> None:
    """The next candle chooses it too, by the tolerance; it is settled all the same."""
    bot = Bot(books)
    assert bot.loop(5.02, {4: ENTER}).enter == LONG
    assert bot.loop(5.9, {4: ENTER}).enter == LONG
    assert bot.loop(6.02, {4: ENTER}) == CandleFlags()


def test_an_entry_that_a_lock_held_back_acts_on_the_next_candle(books: Books) -> None:
    """A lock ends with the candle of the exit that it followed; the rule still chooses the signal by its tolerance."""
    bot = Bot(books)
    bot.loop(5.02, {4: ENTER})
    bot.locked = True
    bot.loop(5.9, {4: ENTER})
    assert books.told() == [("skipped", "pair_locked")]
    assert bot.loop(6.02, {4: ENTER}) == CandleFlags(enter=LONG, tag=tag(4))
    assert bot.enter(6.02, 4)


@pytest.mark.parametrize(
    ("locked", "memory", "reason"),
    [(False, Memory(), "risk"), (True, Memory(), "pair_locked"), (False, HELD, "in_position")],
)
def test_why_freqtrade_did_not_ask_is_told_in_the_next_loop(
    books: Books, locked: bool, memory: Memory, reason: str
) -> None:
    """A lock, a position that a person opened, or whatever else: no slot, too small a stake."""
    bot = Bot(books)
    bot.loop(5.02, {4: ENTER})
    bot.locked = locked
    bot.loop(5.04, {4: ENTER}, memory)
    bot.loop(5.06, {4: ENTER}, memory)
    assert books.told() == [("skipped", reason)]


def test_an_exit_stays_set_until_its_position_is_closed(books: Books) -> None:
    """Over candles, while nothing can be read, and over a restart; then no more."""
    bot = Bot(books)
    leave = CandleFlags(leave_long=True, tag=tag(4))
    assert bot.loop(5.02, {4: EXIT}, HELD) == leave
    bot.ledger.exiting(PAIR, SignalTag("mine", ms(4)), ms(4), ms(5.02))
    assert bot.loop(9.5, {}, HELD) == leave
    again = Bot(books, "r2")
    assert again.loop(30, {}, HELD) == leave
    assert again.loop(30.1, {}, Memory(exited_ms=ms(29))) == CandleFlags()
    assert again.loop(31, {}, Memory(LONG, ms(30))) == CandleFlags()  # another position, opened by a person
    assert books.told() == [("exited", None)]


def test_a_newer_wish_to_be_in_takes_an_exit_back_before_its_order(books: Books) -> None:
    """Research changed its mind before an order could leave."""
    bot = Bot(books)
    assert bot.loop(5.02, {4: EXIT}, HELD).leave_long
    assert not bot.loop(6.02, {4: EXIT, 5: ENTER}, HELD).leave_long
    assert ("no_exit", "superseded") in books.told()
    assert ("skipped", "in_position") in books.told()


def test_an_exit_whose_order_left_is_carried_through(books: Books) -> None:
    """Its order may fill at any time: a newer exit adds nothing, and a newer entry comes too early."""
    bot = Bot(books)
    bot.loop(5.02, {4: EXIT}, HELD)
    bot.ledger.exiting(PAIR, SignalTag("mine", ms(4)), ms(4), ms(5.02))
    assert bot.loop(6.02, {5: EXIT}, HELD) == CandleFlags(leave_long=True, tag=tag(4))
    assert bot.loop(7.02, {6: ENTER}, HELD) == CandleFlags(leave_long=True, tag=tag(4))
    assert books.told() == [("exited", None), ("skipped", "duplicate"), ("skipped", "in_position")]


def test_an_exit_that_could_not_be_heard_in_time_closes_late(books: Books) -> None:
    """An hour old, and research's last word on the position: left all the same."""
    assert Bot(books).late(65, 5, **EXIT) == CandleFlags(leave_long=True, tag=tag(5))


@pytest.mark.parametrize(
    ("minute", "memory", "content"),
    [
        (5, Memory(), EXIT),  # nothing is held
        (5, HELD, ENTER),  # no exit
        (5, HELD, EXIT | {"valid_until": DatetimeMS(ms(30))}),
        (0, HELD, EXIT),  # of before the position
        (1, HELD, {"weight": 0.0}),  # of the candle that opened it
        (63, HELD, EXIT),  # young enough to act by the rule
    ],
)
def test_nothing_else_is_done_late(books: Books, minute: int, memory: Memory, content: dict[str, Any]) -> None:
    """Least of all an entry."""
    assert Bot(books).late(65, minute, memory, **content) == CandleFlags()


def test_reasons_are_told_when_they_are_known(books: Books) -> None:
    """Each once, however many loops there are."""
    bot = Bot(books, cooldown_bars=5, exit_below=0.2)
    stored = {
        2: {"action": "enter_long", "valid_until": ms(3.5)},
        3: {"action": "exit_long"},
        4: {"score": 0.3},
    }
    for second in range(5):
        assert bot.loop(5 + second / 60, stored, Memory(exited_ms=ms(3))) == CandleFlags()
    assert books.told() == [("skipped", "below_threshold"), ("accounted", "expired"), ("accounted", "superseded")]
    bot.loop(6, {5: ENTER}, Memory(exited_ms=ms(3)))
    bot.loop(7, {6: EXIT}, Memory())
    bot.loop(8, {7: {"action": "enter_short"}}, Memory())
    assert [reason for _, reason in books.told()[3:]] == ["cooldown", "no_position", "short_not_allowed"]


def test_a_kept_back_exit_acts_when_its_time_comes(books: Books) -> None:
    """min_hold is told at first, and it exits one bar later, as the rule still chooses it."""
    bot = Bot(books, min_hold_bars=3)
    assert bot.loop(5.02, {4: EXIT}, Memory(LONG, ms(2), LONG_AGO, ms(2))) == CandleFlags()
    assert bot.loop(6.02, {4: EXIT}, Memory(LONG, ms(2), LONG_AGO, ms(2))).leave_long
    assert books.told() == [("skipped", "min_hold")]


def test_silence_closes_what_is_open_and_enters_nothing(books: Books) -> None:
    """An exit signal keeps its own name; without one the reason is research_silent."""
    bot = Bot(books)
    bot.is_silent = True
    assert bot.loop(5.02, {4: ENTER}) == CandleFlags()
    assert books.told() == [("skipped", "research_silent")]
    assert bot.loop(6.02, {}, HELD) == CandleFlags(leave_long=True, tag="research_silent")
    assert bot.loop(7.02, {}, Memory(SHORT, ms(1))) == CandleFlags(leave_short=True, tag="research_silent")
    assert bot.loop(8.02, {7: EXIT}, HELD) == CandleFlags(leave_long=True, tag=tag(7))


def test_a_signal_that_turns_a_position_around_closes_and_opens_at_once(books: Books) -> None:
    """Where shorts are traded; both are set, and Freqtrade opens the other side when the first is closed."""
    bot = Bot(books, can_short=True)
    flags = bot.loop(5.02, {4: {"weight": -0.5}}, HELD)
    assert flags == CandleFlags(enter=SHORT, leave_long=True, tag=tag(4), stake=0.5)
    bot.ledger.exiting(PAIR, SignalTag("mine", ms(4)), ms(4), ms(5.02))
    assert bot.enter(5.02, 4)
