"""Signals that are missing, whose run failed, that are late or expire are found, told apart, and over when they are."""

from dataclasses import replace
from datetime import timedelta

import pytest
from watched_looks import (
    AT,
    MINUTE,
    NOON,
    PAIR,
    SECOND,
    WATCHED,
    alone,
    chain,
    export,
    filled,
    is_judged,
    look,
    only,
    research,
    strategy,
)

from monitoring.alerts.rules import judge
from monitoring.facts import FailedRun, StoreHealth
from monitoring.problem import Severity
from monitoring.watch_file import Rules

AWAY = StoreHealth(None, error="MongoDB did not answer.")


def test_a_look_at_which_all_is_well_has_no_problem() -> None:
    """Every rule is on, with its defaults."""
    assert judge(look(), Rules()).problems == ()
    assert judge(look(), Rules()).severity is Severity.HEALTHY


@pytest.mark.parametrize(("closes_ago", "is_missing"), [(0, False), (2, False), (3, True), (7, True)])
def test_a_signal_of_every_bar_is_missed_after_three_closes(closes_ago: int, is_missing: bool) -> None:
    """A close counts half a bar after it: at 40 s past noon the one at noon does."""
    last = {PAIR: NOON - MINUTE - closes_ago * MINUTE}
    verdict = judge(look(one=strategy(research=research(last_signals=last))), alone("signal_missing"))
    assert [one.subject for one in verdict.problems] == (["BTC/USDT 1m"] if is_missing else [])


def test_a_missing_signal_is_one_problem_until_it_comes() -> None:
    """The same key at a later look, whose text counts on; judged healthy when a signal is there."""
    silent = strategy(research=research(last_signals={PAIR: NOON - 4 * MINUTE}))
    first = only(judge(look(one=silent), alone("signal_missing")), "signal_missing")
    later = only(judge(look(AT + 5 * MINUTE, silent), alone("signal_missing")), "signal_missing")
    assert first.key == later.key
    assert (first.severity, first.pair, first.consumer) == (Severity.CRITICAL, PAIR, None)
    assert first.text == (
        "s signals at every bar, and of BTC/USDT 1m 3 closes have none: the last signal is of the bar that closed "
        "2022-01-15 11:57 UTC."
    )
    assert first.at == NOON - 2 * MINUTE
    assert is_judged("signal_missing", first, look())
    assert not is_judged("signal_missing", first, look(store=AWAY))


def test_a_strategy_that_signals_now_and_then_misses_nothing() -> None:
    """A weekend without signals is no problem unless `every_bar` is said."""
    now_and_then = WATCHED.model_copy(update={"every_bar": False})
    quiet = strategy(watched=now_and_then, research=research(last_signals={PAIR: NOON - 3_000 * MINUTE}))
    assert judge(look(one=quiet), alone("signal_missing")).problems == ()


def test_a_new_strategy_is_not_missed_yet() -> None:
    """Without any export nothing is judged; a pair without any signal is missed after three exported closes."""
    new = strategy(research=research(last_export_at=None, closes=0, last_signals={}))
    verdict = judge(look(one=new), alone("signal_missing"))
    assert (verdict.problems, verdict.judged) == ((), frozenset())
    assert judge(look(one=strategy(research=research(closes=2, last_signals={}))), Rules()).problems == ()
    never = judge(look(one=strategy(research=research(closes=3, last_signals={}))), Rules())
    assert "never a signal" in only(never, "signal_missing").text


def test_a_failed_run_is_told_by_its_graph() -> None:
    """A second failure of the same graph is the same problem; one that runs ends it."""
    failed = [FailedRun(f"run{n}", "momentum", NOON, "The factor needs 12 bars.\nmore") for n in (1, 2)]
    first, second = (
        only(judge(look(one=strategy(research=research(failed_runs=(one,)))), Rules()), "run_failed") for one in failed
    )
    assert first.key == second.key
    assert first.text == (
        "The newest run of graph momentum, which exports s, failed 2022-01-15 12:00 UTC: The factor needs 12 bars. "
        "It was run run1."
    )
    assert is_judged("run_failed", first, look())
    assert not is_judged("run_failed", first, look(store=AWAY))


def test_each_graph_that_failed_is_a_problem_of_its_own() -> None:
    """Two graphs export the strategy: one that runs again is over while the other still fails."""
    a, b = (FailedRun(f"run-{graph}", graph, NOON, "No bars.") for graph in ("a", "b"))
    both = judge(look(one=strategy(research=research(failed_runs=(a, b)))), alone("run_failed"))
    assert [one.subject for one in both.problems] == ["a", "b"]
    later = judge(look(one=strategy(research=research(failed_runs=(b,)))), alone("run_failed"))
    assert [one.subject for one in later.problems] == ["b"]
    assert later.covers(both.problems[0].key)


@pytest.mark.parametrize(("delay_s", "is_late"), [(30.0, False), (30.1, True)])
def test_an_export_is_late_after_half_a_bar(delay_s: float, is_late: bool) -> None:
    """Of 1m bars that is 30 s."""
    verdict = judge(look(one=strategy(research=research(recorded=(export(0.1), export(delay_s))))), Rules())
    assert [one.rule for one in verdict.problems] == (["signal_late"] if is_late else [])


def test_a_late_export_is_told_for_three_bars() -> None:
    """One in time right after it does not hide it from the next look; of exports that caught up nobody knows."""
    both = strategy(research=research(recorded=(export(50.0), export(0.2))))
    late = only(judge(look(one=both), Rules()), "signal_late")
    assert late.text == "What s 1m exported 2022-01-15 12:00 UTC came 50 s after its bar's close; 30 s is the limit."
    assert is_judged("signal_late", late, look(NOON + 4 * MINUTE, both))
    assert not is_judged("signal_late", late, look(one=strategy(research=research(recorded=(export(None),)))))


def test_a_signal_behind_a_timely_export_is_late() -> None:
    """One export makes up for two bars: it is in time for the newer, and its signal of the older is a bar late."""
    held_up = replace(chain(-1), exported=chain(-1).close + MINUTE)
    on_time = research(recorded=(export(0.2),), first_export_at=NOON - 60 * MINUTE)
    late = only(judge(look(one=strategy(research=on_time, chains=(held_up,))), Rules()), "signal_late")
    assert "came 60 s after" in late.text
    new = replace(on_time, first_export_at=held_up.close + SECOND)
    assert is_judged("signal_late", late, look(one=strategy(research=new, chains=(held_up,))))


def test_a_signal_that_the_bot_skipped_as_too_old_is_told() -> None:
    """The receipt says expired; a later signal that was answered otherwise ends it."""
    expired = strategy(chains=(filled(-5), chain(-4, "skipped", "expired")))
    found = only(judge(look(one=expired), Rules()), "signal_expired")
    assert (found.subject, found.consumer, found.pair) == ("bot BTC/USDT 1m", "bot", PAIR)
    assert found.text == (
        "The signal enter_long of s BTC/USDT 1m whose bar closed 2022-01-15 11:56 UTC expired unused: it was skipped "
        "as too old."
    )
    used = strategy(chains=(*expired.chains, chain(0, "skipped", "in_position")))
    assert is_judged("signal_expired", found, look(one=used))
    assert judge(look(one=used), Rules()).problems == ()


def test_signals_that_nobody_answered_are_one_problem() -> None:
    """Three bars after its close a signal is due; the row of them is one problem, from its first one on."""
    nobody = strategy(chains=tuple(chain(minute, None, None) for minute in (-6, -5, -4, -2)))
    found = only(judge(look(one=nobody), alone("signal_expired")), "signal_expired")
    assert "no bot says what it did with it. It is one of 3 in a row." in found.text
    assert found.at == NOON - 3 * MINUTE


def test_an_expired_signal_is_over_after_ten_bars() -> None:
    """Nothing has come since, and the signal is history."""
    old = strategy(chains=(chain(-4, "skipped", "expired"),))
    assert judge(look(AT + 5 * MINUTE, old), alone("signal_expired")).problems != ()
    assert judge(look(AT + 6 * MINUTE, old), alone("signal_expired")).problems == ()


def test_signals_from_before_the_bot_began_do_not_expire() -> None:
    """A new bot answers those that it finds as expired: they were not for it. Without a bot nothing is judged."""
    chains = (chain(-6, "skipped", "expired"), chain(-5, None, None))
    assert judge(look(one=strategy(chains=chains, bot_since=NOON - 2 * MINUTE)), Rules()).problems == ()
    verdict = judge(look(one=strategy(chains=chains, bot_since=None)), alone("signal_expired"))
    assert (verdict.problems, verdict.judged) == ((), frozenset())


def test_two_bots_of_one_strategy_have_problems_of_their_own() -> None:
    """What research does wrong is one problem for both, what a bot does wrong is its own."""
    other = WATCHED.model_copy(update={"consumer": "second"})
    both = look(
        strategies=(
            strategy(research=research(recorded=(export(50.0),)), chains=(chain(-4, "skipped", "expired"),)),
            strategy(watched=other, research=research(recorded=(export(50.0),)), chains=(chain(0),)),
        )
    )
    assert [(one.rule, one.subject) for one in judge(both, Rules()).problems] == [
        ("signal_expired", "bot BTC/USDT 1m"),
        ("signal_late", "1m"),
    ]


def test_a_rule_that_is_off_judges_nothing() -> None:
    """Its problems are neither found nor over."""
    late = strategy(research=research(recorded=(export(50.0),)))
    found = only(judge(look(one=late), Rules()), "signal_late")
    off = Rules.model_validate({"signal_late": {"enabled": False}})
    assert judge(look(one=late), off).problems == ()
    assert not judge(look(), off).covers(found.key)


def test_limits_are_those_of_the_file() -> None:
    """A tenth of a bar is 6 s."""
    late = strategy(research=research(recorded=(export(7.0),)))
    assert judge(look(one=late), Rules()).problems == ()
    found = only(judge(look(one=late), alone("signal_late", bars=0.1, severity="critical")), "signal_late")
    assert (found.severity, found.at) == (Severity.CRITICAL, NOON + SECOND / 10)
    assert timedelta(seconds=6) == 0.1 * MINUTE
