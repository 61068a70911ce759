"""Timelines made by hand: what is told when, and what has to wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.alerts.alert_book import Event, due, merged, observe
from monitoring.alerts.message import message_of, text_of, title_of
from monitoring.alerts.verdict import Judged, Verdict
from monitoring.problem import Problem, Severity
from monitoring.watch_file import Alerts
from schemas.monitor_documents import MonitorAlert

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATE = Problem("signal_late", "1m", Severity.WARNING, "It was late.", NOON, "s")
GONE = Problem("silent", "mongodb", Severity.CRITICAL, "MongoDB is away.", NOON)
ALL = frozenset({Judged("signal_late", "s"), Judged("silent"), Judged("gap_open")})
AT_ONCE = Alerts.model_validate({"over_after": "0s"})
NIGHT: dict[str, Any] = {"start": "22:00", "end": "07:00"}


def verdict(*problems: Problem, judged: frozenset[Judged] = ALL) -> Verdict:
    return Verdict(problems, judged)


class Timeline:
    """A monitor without store and channels: what is due is told at once."""

    def __init__(self, alerts: Alerts | None = None, start: datetime = NOON) -> None:
        self.settings, self.start = alerts or AT_ONCE, start
        self.alerts: dict[str, MonitorAlert] = {}

    def look(self, minute: float, *problems: Problem, judged: frozenset[Judged] = ALL, taken: bool = True) -> list[str]:
        """What is told at a look so many minutes after the start."""
        return [f"{one.kind} {one.after[0].rule}" for one in self.events(minute, *problems, judged=judged, taken=taken)]

    def events(
        self, minute: float, *problems: Problem, judged: frozenset[Judged] = ALL, taken: bool = True
    ) -> list[Event]:
        now, seen = self.start + minute * MINUTE, verdict(*problems, judged=judged)
        self._keep(observe(seen, self.alerts.values(), now, self.settings.over_after))
        events = due(seen, self.alerts.values(), now, self.settings)
        if taken:
            self._keep([alert for event in events for alert in event.after])
        return events

    def _keep(self, alerts: list[MonitorAlert]) -> None:
        self.alerts |= {alert.alert_id: alert for alert in alerts}
        self.alerts = {name: alert for name, alert in self.alerts.items() if not alert.settled}


def test_a_problem_is_told_when_it_begins_and_when_it_is_over() -> None:
    """And not in between."""
    line = Timeline()
    told = [line.look(0, LATE), line.look(1, LATE), line.look(2, LATE), line.look(3), line.look(4)]
    assert told == [["fired signal_late"], [], [], ["over signal_late"], []]
    assert line.alerts == {}


def test_a_problem_that_lasts_is_told_again_each_hour() -> None:
    """An hour after it was told last."""
    line = Timeline()
    told = [line.look(minute, LATE) for minute in (0, 59, 60, 61, 119, 121)]
    assert told == [["fired signal_late"], [], ["repeated signal_late"], [], [], ["repeated signal_late"]]


def test_what_could_not_be_judged_is_neither_over_nor_repeated() -> None:
    """MongoDB is away for two hours: its silence is told, the late signal waits."""
    line = Timeline()
    blind = frozenset({Judged("silent")})
    assert line.look(0, LATE) == ["fired signal_late"]
    assert line.look(1, GONE, judged=blind) == ["fired silent"]
    assert line.look(70, GONE, judged=blind) == ["repeated silent"]
    assert line.look(120, LATE) == ["repeated signal_late", "over silent"]
    assert line.look(121) == ["over signal_late"]


def test_a_problem_that_comes_back_is_a_new_one() -> None:
    """It was over, and was told to be."""
    line = Timeline()
    assert [line.look(0, LATE), line.look(1), line.look(2, LATE)] == [
        ["fired signal_late"],
        ["over signal_late"],
        ["fired signal_late"],
    ]


def test_what_comes_and_goes_is_told_once() -> None:
    """A graph that fails, is started and fails again: it is over when it has not been found for a minute."""
    line = Timeline(Alerts())
    assert line.look(0, LATE) == ["fired signal_late"]
    assert [line.look(0.5), line.look(1.4), line.look(1.45, LATE), line.look(2), line.look(2.9)] == [[]] * 5
    (over,) = line.events(3)
    assert text_of(over) == "It ended 2022-01-15 12:02 UTC after 2 min. It was: It was late."


def test_what_can_not_be_judged_meanwhile_is_over_later() -> None:
    """The minute passes, but only a look that can tell ends it."""
    line = Timeline(Alerts())
    nobody: frozenset[Judged] = frozenset()
    assert [line.look(0, LATE), line.look(1), line.look(5, judged=nobody), line.look(6)] == [
        ["fired signal_late"],
        [],
        [],
        ["over signal_late"],
    ]


def test_worse_is_told_at_once_and_better_is_not() -> None:
    """The repeat interval counts from then on; back to critical within it is no news."""
    line, worse = Timeline(), replace(LATE, severity=Severity.CRITICAL)
    assert line.look(0, LATE) == ["fired signal_late"]
    assert line.look(1, worse) == ["worse signal_late"]
    assert line.look(2, LATE) == []
    assert line.look(3, worse) == []
    assert line.look(61, LATE) == ["repeated signal_late"]


def test_what_no_channel_took_is_told_at_the_next_look() -> None:
    """It stays untold until one takes it; what came and went meanwhile is told as that."""
    line = Timeline()
    assert line.look(0, LATE, taken=False) == ["fired signal_late"]
    assert line.look(1, LATE, GONE, taken=False) == ["fired silent", "fired signal_late"]
    assert line.look(2, GONE) == ["fired silent", "passed signal_late"]
    assert line.look(3) == ["over silent"]


def test_another_monitors_strategies_are_left_alone() -> None:
    """A monitor that does not watch the strategy does not end its alert; after a day nobody does."""
    line = Timeline()
    other = frozenset({Judged("signal_late", "another strategy")})
    assert line.look(0, LATE) == ["fired signal_late"]
    assert line.look(1, judged=other) == []
    assert line.look(1_439, judged=other) == []
    (event,) = line.events(1_440, judged=other)
    assert (event.kind, event.after[0].ended) == ("over", "unwatched")
    assert text_of(event).startswith("Nobody has watched it since 2022-01-15 12:00 UTC")


def at_night(let_through: str = "critical") -> Timeline:
    """It is 21:00, and quiet from 22:00 to 07:00 UTC."""
    alerts = Alerts.model_validate({"over_after": "0s", "quiet_hours": NIGHT | {"let_through": let_through}})
    return Timeline(alerts, NOON.replace(hour=21))


def test_at_night_only_what_is_critical_is_told() -> None:
    """At 23:00, also its end; `nothing` lets nothing through."""
    line = at_night()
    assert line.look(120, LATE, GONE) == ["fired silent"]
    assert line.look(121, LATE) == ["over silent"]
    assert at_night("nothing").look(120, LATE, GONE) == []


def test_what_still_lasts_in_the_morning_is_told_then() -> None:
    """The end of the night, 07:00, is not quiet any more."""
    line = at_night()
    assert [line.look(minute, LATE) for minute in (120, 599.9, 600)] == [[], [], ["fired signal_late"]]


def test_what_was_told_before_the_night_and_ends_in_it_is_over_in_the_morning() -> None:
    """The message says when it really ended; the repeat of the night is left out."""
    line = at_night()
    assert line.look(0, LATE) == ["fired signal_late"]
    assert [line.look(120, LATE), line.look(180), line.look(240)] == [[], [], []]
    (over,) = line.events(600)
    assert over.kind == "over"
    assert text_of(over) == "It ended 2022-01-16 00:00 UTC after 12 h. It was: It was late."


def test_what_came_and_went_in_the_night_is_one_message_in_the_morning() -> None:
    """All of it in one; nothing is lost, and nobody is woken."""
    line = at_night()
    gap = Problem("gap_open", "BINANCE:BTCUSDT 1m", Severity.WARNING, "Bars are missing.", NOON.replace(hour=23))
    assert [line.look(120, LATE), line.look(121, gap), line.look(122)] == [[], [], []]
    (passed,) = line.events(600)
    assert title_of(passed) == "PASSED: 2 problems that nobody was told of"
    assert text_of(passed) == (
        "signal_late s 1m (warning), 2022-01-15 12:00 UTC, for 11 h: It was late. gap_open BINANCE:BTCUSDT 1m "
        "(warning), 2022-01-15 23:00 UTC, for 2 min: Bars are missing."
    )
    assert line.alerts == {}


def test_worse_passes_in_the_night() -> None:
    """A warning that waits and becomes critical is told as what it is."""
    line = at_night()
    assert line.look(120, LATE) == []
    assert line.look(121, replace(LATE, severity=Severity.CRITICAL)) == ["fired signal_late"]


@pytest.mark.parametrize(
    ("stored", "mine", "told_at"),
    [(None, NOON, NOON), (NOON, None, NOON), (NOON + MINUTE, NOON, NOON + MINUTE), (None, None, None)],
)
def test_told_by_one_monitor_is_told(stored: datetime | None, mine: datetime | None, told_at: datetime | None) -> None:
    """What this one told while MongoDB was away and what another one stored are brought together."""
    (alert,) = observe(verdict(LATE), [], NOON)
    one = alert.model_copy(update={"told_at": stored, "told_severity": "warning" if stored else None})
    other = alert.model_copy(update={"told_at": mine, "told_severity": "critical" if mine else None, "alert_id": "x"})
    both = merged(one, other)
    assert (both.alert_id, both.told_at) == (alert.alert_id, told_at)
    assert both.told_severity == ("critical" if mine else "warning" if stored else None)


def test_an_end_that_one_monitor_saw_is_an_end() -> None:
    """The slot is free for the next alert of that problem."""
    (alert,) = observe(verdict(LATE), [], NOON)
    (over,) = observe(verdict(), [alert], NOON + MINUTE)
    both = merged(alert, over)
    assert (both.over_at, both.ended, both.slot) == (NOON + MINUTE, "over", alert.alert_id)
    assert merged(over, alert).over_at == NOON + MINUTE


def test_a_message_names_strategy_bot_pair_and_times() -> None:
    """Whoever reads it on a telephone needs no other page."""
    problem = replace(LATE, pair="BTC/USDT", consumer="bot", at=NOON - MINUTE)
    (event,) = Timeline().events(0, problem)
    message = message_of([event])
    assert message.title == "WARNING: signal_late s 1m"
    assert message.body.splitlines() == [
        "It was late.",
        "Strategy: s",
        "Bot: bot",
        "Pair: BTC/USDT",
        "Since: 2022-01-15 11:59 UTC",
        "Seen: 2022-01-15 12:00 UTC",
        f"Alert: {event.after[0].alert_id}",
    ]


def test_many_at_once_are_one_message() -> None:
    """A line each, with how many began and ended; of very many only the first."""
    line = Timeline()
    gaps = [replace(LATE, rule="gap_open", strategy_id=None, subject=f"gap {n:02}") for n in range(25)]
    fired = message_of(line.events(0, *gaps[:3]))
    assert fired.title == "WARNING: 3 problems"
    assert fired.body.count("Alert: ") == 3
    over = message_of(line.events(1, judged=frozenset({Judged("gap_open")})))
    assert (over.title, over.severity) == ("OVER: 3 problems", Severity.HEALTHY)
    assert "... and 5 more" in message_of(line.events(2, *gaps)).body
    mixed = message_of(line.events(3, LATE, GONE, judged=ALL))
    assert mixed.title == "CRITICAL: 2 problems, 25 over"


def test_a_very_long_subject_is_cut_and_still_one_alert() -> None:
    """A document's fields have their lengths."""
    line, endless = Timeline(), replace(LATE, subject="x" * 900)
    assert [line.look(0, endless), line.look(1, endless)] == [["fired signal_late"], []]
