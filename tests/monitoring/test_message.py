"""What a message tells is known apart from its words, which change from look to look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitoring.alerts.alert_book import due, observe
from monitoring.alerts.message import Message, message_of
from monitoring.alerts.verdict import Judged, Verdict
from monitoring.problem import Problem, Severity
from monitoring.watch_file import Alerts

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATE = Problem("signal_late", "1m", Severity.WARNING, "It was late by 1 min.", NOON, "s")


def told_of(problem: Problem, now: datetime) -> Message:
    """What is told of the alert that began at noon while nobody has been told yet."""
    verdict = Verdict((problem,), frozenset({Judged("signal_late", "s")}))
    return message_of(due(verdict, ALERTS, now, Alerts()))


ALERTS = observe(Verdict((LATE,), frozenset({Judged("signal_late", "s")})), [], NOON)


def test_the_same_news_at_a_later_look_is_no_other_message() -> None:
    """Its sentence and the time of the look are others; one that has become critical is news."""
    first = told_of(LATE, NOON)
    later = told_of(replace(LATE, text="It was late by 2 min."), NOON + MINUTE)
    worse = told_of(replace(LATE, severity=Severity.CRITICAL), NOON + MINUTE)
    assert first.body != later.body
    assert later.says_no_more_than([first])
    assert not worse.says_no_more_than([first, later])


def test_without_news_the_words_must_be_the_same() -> None:
    """A test message stands for no alert."""
    one = Message("T", "B", Severity.HEALTHY)
    assert one.says_no_more_than([Message("T", "B", Severity.HEALTHY)])
    assert not one.says_no_more_than([Message("T", "C", Severity.HEALTHY), told_of(LATE, NOON)])
