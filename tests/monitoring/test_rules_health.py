"""Gaps, sides that do not agree, and sides that are silent are found, and are over only where that can be known."""

from dataclasses import replace
from datetime import datetime

import pytest
from watched_looks import (
    AGREES,
    AT,
    BOT,
    MINUTE,
    NOON,
    PAIR,
    SECOND,
    SERIES,
    WATCHED,
    alone,
    is_judged,
    look,
    only,
    research,
    strategy,
)

from monitoring.alerts.rules import judge
from monitoring.alerts.rules_silent import Unheard, note_silence
from monitoring.alerts.verdict import Judged
from monitoring.chain.findings import Finding
from monitoring.facts import BarGapFacts, Look, StoreHealth, VenueHealth
from monitoring.problem import ProblemKey, Severity
from monitoring.watch_file import Rules, Silent

AWAY = StoreHealth(None, error="MongoDB at mongodb://127.0.0.1/ did not answer.")


def gap(start: int, end: int) -> BarGapFacts:
    """From the bar that opened so many minutes after noon to another one."""
    return BarGapFacts(NOON + start * MINUTE, NOON + end * MINUTE)


def test_each_gap_is_a_problem_and_over_when_it_is_filled() -> None:
    """A gap is known by its first bar, so that one that grows is the same one."""
    two = look(series=(replace(SERIES, open_gaps=(gap(-60, -55), gap(-10, -9))),))
    first, second = judge(two, Rules()).problems
    assert first.text == (
        "Bars of BINANCE:BTCUSDT 1m are missing: those that opened from 2022-01-15 11:00 UTC to 2022-01-15 11:05 UTC."
    )
    grown = look(series=(replace(SERIES, open_gaps=(gap(-10, -5),)),))
    assert only(judge(grown, Rules()), "gap_open").key == second.key
    assert is_judged("gap_open", first, grown)
    assert not is_judged("gap_open", first, look(series=()))
    assert not is_judged("gap_open", first, look(store=AWAY))


def test_gaps_of_last_year_are_history() -> None:
    """Those that ended a day ago or earlier are not told when a monitor starts."""
    old = look(series=(replace(SERIES, open_gaps=(gap(-3_000, -1_500),)),))
    assert judge(old, Rules()).problems == ()
    assert only(judge(old, alone("gap_open", within="2d")), "gap_open").at == NOON - 3_000 * MINUTE


def test_signals_without_receipt_are_one_problem_a_pair() -> None:
    """A bot that is away misses a signal at every bar: that is told once, from the first; another kind by itself."""
    missed = [Finding("signal without receipt", PAIR, NOON + n * MINUTE, "No bot says.") for n in (2, 1)]
    unknown = Finding("unknown order", PAIR, None, "No fill is stored.", "7")
    found = judge(look(one=strategy(reconciliation=replace(AGREES, findings=(*missed, unknown)))), Rules()).problems
    by_subject = {one.subject: one for one in found}
    assert by_subject.keys() == {"bot signal without receipt BTC/USDT", "bot unknown order BTC/USDT 7"}
    told = by_subject["bot signal without receipt BTC/USDT"]
    assert told.at == NOON + MINUTE
    assert told.text == ("s BTC/USDT 2022-01-15 12:01 UTC, signal without receipt: No bot says. It is the first of 2.")
    one_left = look(one=strategy(reconciliation=replace(AGREES, findings=(unknown,))))
    assert is_judged("reconciliation", told, one_left)


def test_each_unknown_order_is_a_problem() -> None:
    """One that comes later is told at once, although another one of its kind and pair is known."""
    orders = tuple(Finding("unknown order", PAIR, None, "Nobody knows it.", number) for number in ("7", "8"))
    found = judge(look(one=strategy(reconciliation=replace(AGREES, findings=orders))), Rules()).problems
    assert [one.subject for one in found] == ["bot unknown order BTC/USDT 7", "bot unknown order BTC/USDT 8"]


def test_sides_that_are_not_compared_are_a_warning() -> None:
    """At once for a single look, after half a minute in a loop; what was not read in between says nothing."""
    blind = strategy(reconciliation=replace(AGREES, not_compared=("binance refused the keys.",)))
    unread = strategy(reconciliation=None)
    looks = [look(AT, blind), look(AT + 10 * SECOND, unread), look(AT + 30 * SECOND, blind)]
    assert judge(looks[0], Rules(), heard(looks[:1])).problems == ()
    for found in (
        only(judge(looks[2], Rules(), heard(looks)), "reconciliation"),
        only(judge(looks[0], Rules()), "reconciliation"),
    ):
        assert (found.subject, found.severity, found.at) == ("bot not compared", Severity.WARNING, AT)
        assert found.text == (
            "Not all sides of s could be compared since 2022-01-15 12:00:40 UTC: binance refused the keys."
        )
    assert not is_judged("reconciliation", found, looks[1])
    assert is_judged("reconciliation", found, look())


def test_a_difference_is_not_over_while_a_side_does_not_answer() -> None:
    """What was not compared may differ still; without a comparison nobody knows either."""
    finding = Finding("no receipt", PAIR, NOON, "No bot says what it did.")  # type: ignore[arg-type]
    differs = strategy(reconciliation=replace(AGREES, findings=(finding,)))
    found = only(judge(look(one=differs), Rules()), "reconciliation")
    partly = replace(AGREES, not_compared=("Freqtrade did not answer.",))
    assert not is_judged("reconciliation", found, look(one=strategy(reconciliation=partly)))
    assert not is_judged("reconciliation", found, look(one=strategy(reconciliation=None)))
    assert is_judged("reconciliation", found, look())


def test_a_balance_that_moves_is_not_judged_to_agree() -> None:
    """With an order on its way it was not compared: what differed may differ still; all else is judged."""
    finding = Finding("balance differs", PAIR, None, "The venue holds more.")
    missed = Finding("signal without receipt", PAIR, NOON, "No bot says.")
    differs = strategy(reconciliation=replace(AGREES, findings=(finding, missed), pairs=(PAIR,)))
    balance, receipt = judge(look(one=differs), alone("reconciliation")).problems
    if balance.subject.startswith("bot signal"):
        balance, receipt = receipt, balance
    moves = look(one=strategy(reconciliation=replace(AGREES, pairs=(PAIR,), moving=frozenset({PAIR}))))
    assert not is_judged("reconciliation", balance, moves)
    assert is_judged("reconciliation", receipt, moves)


@pytest.mark.parametrize(("age_s", "is_silent"), [(180.0, False), (181.0, True)])
def test_bars_are_silent_after_three_of_them(age_s: float, is_silent: bool) -> None:
    """Since the close of the newest one."""
    old = replace(SERIES, last_open=NOON - 4 * MINUTE, age_s=age_s)
    verdict = judge(look(series=(old,)), alone("silent"))
    assert [one.subject for one in verdict.problems] == (["BINANCE:BTCUSDT 1m"] if is_silent else [])


def test_a_symbol_without_bars_is_not_silent() -> None:
    """It may be new; nothing is judged."""
    none = look(series=(replace(SERIES, last_open=None, age_s=None),))
    assert not judge(none, Rules()).covers(ProblemKey("silent", "", "BINANCE:BTCUSDT 1m"))


def test_research_is_silent_after_three_bars_without_an_export() -> None:
    """An export that changes nothing is heard too."""
    late = look(NOON + 3 * MINUTE + SECOND, strategy(research=research()))
    found = only(judge(replace(late, series=()), alone("silent", loop="9d")), "silent")
    assert found.text == "Research of s 1m has not exported since 2022-01-15 12:00 UTC, 3 min ago."
    assert (found.strategy_id, found.subject, found.consumer) == ("s", "research 1m", None)
    assert is_judged("silent", found, look())


def test_a_strategy_that_never_exported_is_a_warning() -> None:
    """It was named in the file: it may be new, or its name misspelt; its first export ends it."""
    never = only(judge(look(one=strategy(research=research(last_export_at=None))), alone("silent")), "silent")
    assert (never.subject, never.severity) == ("research 1m", Severity.WARNING)
    assert never.text == "s 1m has never exported. Is it new, or its name misspelt?"
    assert is_judged("silent", never, look())


def heard(looks: list[Look], rule: Silent | None = None) -> Unheard:
    """Fold looks, oldest first, into since when sides are silent."""
    unheard: Unheard = {}
    for one in looks:
        unheard = note_silence(one, rule or Silent(), unheard)
    return unheard


def away(at: datetime) -> Look:
    return look(at, store=AWAY)


def test_mongodb_is_silent_after_half_a_minute() -> None:
    """Before that nobody can tell, and all that only it knows stays as it was."""
    looks = [away(AT + n * 10 * SECOND) for n in range(4)]
    early = judge(looks[2], Rules(), heard(looks[:3]))
    assert early.problems == ()
    assert not early.covers(ProblemKey("silent", "", "mongodb"))
    found = only(judge(looks[3], Rules(), heard(looks)), "silent")
    assert found.text == (
        "MongoDB has been silent since 2022-01-15 12:00:40 UTC: MongoDB at mongodb://127.0.0.1/ did not answer."
    )
    assert found.at == AT
    assert is_judged("silent", found, look())


def test_a_side_that_was_heard_in_between_starts_anew() -> None:
    """Half a minute without an answer is not two times a quarter."""
    looks = [away(AT), away(AT + 20 * SECOND), look(AT + 25 * SECOND), away(AT + 40 * SECOND)]
    assert judge(looks[-1], Rules(), heard(looks)).problems == ()


def test_a_single_look_gives_no_time() -> None:
    """`check` has no look before it."""
    assert only(judge(away(AT), Rules()), "silent").text.startswith("MongoDB is silent: ")


def test_while_mongodb_is_away_no_other_rule_fires_or_clears() -> None:
    """Of what lies in the store nothing is judged; bot and venue are asked all the same."""
    judged = {one.rule for one in judge(away(AT), Rules()).judged}
    assert judged == {"silent", "balance_low", "rate_limited"}
    silent = {one for one in judge(away(AT), Rules()).judged if one.rule == "silent"}
    assert silent == {
        Judged("silent", "", "mongodb"),
        Judged("silent", "s", "freqtrade http://127.0.0.1:8080"),
        Judged("silent", "", "venue binance"),
    }


@pytest.mark.parametrize(
    ("bot", "text"),
    [
        (replace(BOT, ping_ms=None, error="It refused the connection."), "It refused the connection."),
        (replace(BOT, state="stopped"), "it answers, but it is stopped and trades nothing."),
        (
            replace(BOT, last_process=NOON - 3 * MINUTE),
            "it answers, but its last loop ended 2022-01-15 11:57 UTC, 3.7 min ago.",
        ),
    ],
)
def test_a_bot_is_silent_that_does_not_answer_or_does_not_work(bot: object, text: str) -> None:
    """One problem for each bot, whichever of these it is."""
    one = strategy(bot=bot)
    looks = [look(AT, one), look(AT + 30 * SECOND, one)]
    found = only(judge(looks[1], alone("silent"), heard(looks)), "silent")
    assert found.text.startswith("Freqtrade at http://127.0.0.1:8080, the bot of s, has been silent since")
    assert (found.consumer, found.subject) == ("bot", "freqtrade http://127.0.0.1:8080")
    assert text in judge(looks[0], alone("silent")).problems[0].text


def test_a_paused_bot_is_heard() -> None:
    """It was told to enter nothing; its loop runs."""
    assert judge(look(one=strategy(bot=replace(BOT, state="paused"))), Rules()).problems == ()


def test_one_venue_of_two_strategies_is_silent_once() -> None:
    """A venue that limits us was heard; one that limited us once and does not answer now is silent."""
    deaf = VenueHealth(None, error="It did not answer.")
    second = strategy(watched=WATCHED.model_copy(update={"strategy_id": "other"}), venue=deaf)
    found = only(judge(look(strategies=(strategy(venue=deaf), second)), alone("silent")), "silent")
    assert (found.strategy_id, found.subject) == (None, "venue binance")
    limited = VenueHealth(20.0, rate_limited_at=AT)
    assert judge(look(one=strategy(venue=limited)), alone("silent")).problems == ()
    dead = VenueHealth(None, rate_limited_at=AT, error="It does not answer.")
    assert [one.subject for one in judge(look(one=strategy(venue=dead)), alone("silent")).problems] == ["venue binance"]
