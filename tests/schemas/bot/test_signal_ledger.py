"""A signal enters at most once, whatever fails in between, and every answer is kept until it is written."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bot_books import PAIR, Books
from freqtrade_shapes import at, ms

from schemas.bot.signal_ledger import SignalLedger
from schemas.signal_actions import LONG_AGO
from schemas.signal_tag import SignalTag

TAG = SignalTag("mine", ms(4), 2)


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path / "box.sqlite") as books:
        yield books


def claim(ledger: SignalLedger) -> bool:
    return ledger.claim_entry(PAIR, TAG, ms(4), ms(5.1))


def test_a_signal_is_claimed_once_by_one_process(given: Books) -> None:
    """The second question in the same process, and any in a later one, is refused by the bot's own file."""
    first = given.process("r1")
    assert claim(first)
    assert not claim(first)
    assert first.settled_ts(PAIR) == ms(4)
    later = given.process("r2")
    assert later.settled_ts(PAIR) == ms(4)
    assert not claim(later)
    assert given.told() == [("accounted", "duplicate")] * 2


def test_what_another_process_used_is_refused_by_the_index(given: Books, tmp_path: Path) -> None:
    """On another machine, with a file of its own; it is not asked again."""
    assert claim(given.process("r1"))
    with Books(tmp_path / "other.sqlite") as other:
        other.claims = given.claims
        ledger = other.process("r2")
        assert not claim(ledger)
        assert ledger.settled_ts(PAIR) == ms(4)


def test_an_entry_that_can_not_be_claimed_is_not_made_and_not_used_up(
    given: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """mongo_down, said once in the log; when MongoDB is back the same signal may enter."""
    ledger = given.process("r1")
    given.claims.is_away = True
    with caplog.at_level(logging.WARNING):
        assert [claim(ledger) for _ in range(3)] == [False, False, False]
    assert len(caplog.messages) == 1
    assert given.told() == [("skipped", "mongo_down")]
    assert ledger.settled_ts(PAIR) == LONG_AGO
    given.claims.is_away = False
    assert claim(ledger)


@pytest.mark.parametrize("run_id", ["r1", "r2"])
def test_an_answer_that_was_lost_does_not_use_a_signal_up(given: Books, run_id: str) -> None:
    """MongoDB took the claim and its answer never came: no order left, so this process or the next may ask again."""
    given.claims.loses_answers = True
    assert not claim(given.process("r1"))
    given.claims.loses_answers = False
    assert claim(given.process(run_id))


def test_without_its_own_file_nothing_enters(given: Books, caplog: pytest.LogCaptureFixture) -> None:
    """The claim is kept before the order leaves, or no order leaves; exits go on, with one line in the log."""
    ledger = given.process("r1")
    given.outbox.close()
    with caplog.at_level(logging.WARNING):
        assert not claim(ledger)
        ledger.want_exit(PAIR, SignalTag("mine", ms(6)), ms(6), ms(7))
        ledger.exiting(PAIR, SignalTag("mine", ms(6)), ms(6), ms(7))
    assert "not entered" in caplog.text
    assert caplog.text.count("A receipt is lost.") == 1


def test_a_reason_is_told_once_and_another_version_again(given: Books) -> None:
    """Not at every loop; of what was used nothing is told any more."""
    ledger = given.process("r1")
    for reason, version in (("cooldown", 1), ("cooldown", 1), ("risk", 1), ("risk", 2)):
        ledger.skip(PAIR, SignalTag("mine", ms(4), version), reason, ms(4), ms(5))  # type: ignore[arg-type]
    ledger.account(PAIR, TAG, "expired", ms(4), ms(9))
    assert given.told() == [("skipped", "cooldown"), ("skipped", "risk"), ("skipped", "risk")]
    assert claim(ledger)
    ledger.skip(PAIR, TAG, "in_position", ms(4), ms(6))
    assert len(given.told()) == 3


def test_the_receipt_counts_from_when_the_signal_was_seen_first(given: Books) -> None:
    """Available at 00:05, seen at 00:05:03, told later."""
    ledger = given.process("r1")
    ledger.saw(PAIR, [ms(4)], ms(5) + 3_000)
    ledger.saw(PAIR, [ms(4)], ms(5) + 4_000)
    receipt = ledger.receipt(PAIR, TAG, "entered", None, ms(4), ms(6))
    assert (receipt.latency_ms, receipt.seen_at, receipt.candle, receipt.version) == (3_000.0, at(5.05), at(4), 2)
    assert (receipt.updated_at, receipt.run_id, receipt.consumer) == (at(6), "r1", "bot")


def test_an_exit_is_told_once_and_wanted_until_it_is_over(given: Books) -> None:
    """Its second order says nothing new; a restart still wants it; what became of it replaces the run's own receipt."""
    ledger = given.process("r1")
    ledger.want_exit(PAIR, TAG, ms(4), ms(5))
    for _ in range(2):
        ledger.exiting(PAIR, TAG, ms(4), ms(5))
    assert given.told() == [("exited", None)]
    later = given.process("r2")
    (wanted,) = later.exits.values()
    assert (wanted.state, wanted.run_id) == ("claimed", "r1")
    later.exit_over(wanted, "no_position", ms(6))
    assert given.outbox.waiting()[-1].document["run_id"] == "r1"  # its receipt is that of the run that told it
    assert given.told()[-1] == ("no_exit", "no_position")
    assert [one.state for one in given.process("r3").exits.values()] == ["settled"]


@pytest.mark.parametrize("end", [lambda ledger, one: ledger.entry_over(one, "order_unfilled", ms(7))])
def test_the_fate_of_an_order_is_told_for_the_run_that_claimed_it(
    given: Books, end: Callable[[SignalLedger, Any], None]
) -> None:
    """A later process tells it in the earlier one's name."""
    assert claim(given.process("r1"))
    later = given.process("r2")
    end(later, next(iter(later.entries.values())))
    (item,) = given.outbox.waiting()
    assert (item.kind, item.document["reason"], item.document["run_id"]) == ("no_entry", "order_unfilled", "r1")
    assert not claim(later)


def test_old_settled_claims_are_forgotten(given: Books) -> None:
    """A bot that runs for months holds what can matter: claims of the last days, and those without an end."""
    ledger = given.process("r1")
    assert claim(ledger)
    (entered,) = ledger.entries.values()
    ledger.entry_over(entered, None, ms(6))
    open_exit, young = SignalTag("mine", ms(5)), SignalTag("mine", ms(9))
    ledger.want_exit(PAIR, open_exit, ms(5), ms(6))
    ledger.want_exit(PAIR, young, ms(9), ms(10))
    ledger.exit_over(ledger.exits[PAIR, ms(9)], None, ms(11))
    ledger.forget(ms(4))
    assert len(ledger.entries) == 1
    ledger.forget(ms(9))
    assert ledger.entries == {}
    assert sorted(ledger.exits) == [(PAIR, ms(5)), (PAIR, ms(9))]
    assert ledger.settled_ts(PAIR) == ms(9)
