"""What people read: the title and the body of a message about one event or several."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitoring.alerts.alert_book import Event, severity_of
from monitoring.alerts.verdict import length, utc
from monitoring.problem import Severity
from schemas.monitor_documents import MonitorAlert

_SHOWN = 20
_ENDED = ("over", "passed")


@dataclass(frozen=True, slots=True)
class Message:
    """A title and a body of plain text; `severity` is HEALTHY where it tells of ends only.

    `news` is what it tells in other words: two messages of the same news differ in no more than when they were written.
    """

    title: str
    body: str
    severity: Severity
    news: frozenset[str] = frozenset()

    def says_no_more_than(self, others: Iterable["Message"]) -> bool:
        """Tell whether who had the others has been told all of it; where it has no news, its text must be the same."""
        had = list(others)
        if not self.news:
            return self in had
        return self.news <= frozenset().union(*(one.news for one in had))


def message_of(events: Sequence[Event]) -> Message:
    """Return the message that tells of events; of more than one it has a line each."""
    severity = max((event.severity for event in events if event.kind not in _ENDED), default=Severity.HEALTHY)
    if len(events) == 1:
        event = events[0]
        return Message(title_of(event), _body(event), severity, _news(events))
    lines = ["\n".join([f"{title_of(event)}. {text_of(event)}", *_marks(event)]) for event in events[:_SHOWN]]
    if len(events) > _SHOWN:
        lines.append(f"... and {len(events) - _SHOWN:,} more; `signal-monitor check` lists what is wrong now.")
    return Message(_title_of_many(events, severity), "\n\n".join(lines), severity, _news(events))


def _news(events: Sequence[Event]) -> frozenset[str]:
    """Return a text for each alert and time that it is told; sentences are left out, as they grow with a delay."""
    return frozenset(
        f"{event.kind} {event.severity.name} {alert.alert_id} {alert.times_told}"
        for event in events
        for alert in event.after
    )


def _title_of_many(events: Sequence[Event], severity: Severity) -> str:
    over = sum(event.kind in _ENDED for event in events)
    if over == len(events):
        return f"OVER: {over:,} problems"
    also = f", {over:,} over" if over else ""
    return f"{severity.name}: {len(events) - over:,} problems{also}"


def title_of(event: Event) -> str:
    """Return 'CRITICAL: silent mongodb', 'WARNING, still: ...' or 'OVER: ...'."""
    if event.kind == "passed":
        count = len(event.before)
        return f"PASSED: {count:,} problem{'s' * (count != 1)} that nobody was told of"
    about = _about(event.after[0])
    if event.kind == "over":
        return f"OVER: {about}"
    again = {"fired": "", "worse": ", worse", "repeated": ", still"}[event.kind]
    return f"{event.severity.name}{again}: {about}"


def text_of(event: Event) -> str:
    """Return the sentence of an event."""
    alert = event.after[0]
    if event.kind == "passed":
        lines = [_passed_line(one) for one in event.after[:_SHOWN]]
        more = len(event.after) - _SHOWN
        return " ".join([*lines, f"And {more:,} more."] if more > 0 else lines)
    if event.kind != "over":
        return alert.text
    if alert.ended == "unwatched":
        return (
            f"Nobody has watched it since {utc(alert.seen_at)}, so it is not known how it ended. It was: {alert.text}"
        )
    over = alert.over_at or event.at
    return f"It ended {utc(over)} after {length(over - alert.began_at)}. It was: {alert.text}"


def _body(event: Event) -> str:
    lines = [text_of(event)]
    if event.kind != "passed":
        alert = event.after[0]
        named = {"Strategy": alert.strategy_id, "Bot": alert.consumer, "Pair": alert.pair}
        lines += [f"{name}: {value}" for name, value in named.items() if value]
        lines += [f"Since: {utc(alert.began_at)}", f"Seen: {utc(event.at)}"]
    return "\n".join([*lines, *_marks(event)])


def _marks(event: Event) -> list[str]:
    """The name by which a message and its end are found together, and the alert in the store."""
    return [f"Alert: {alert.alert_id}" for alert in event.after[:_SHOWN]]


def _passed_line(alert: MonitorAlert) -> str:
    over = alert.over_at or alert.seen_at
    severity = severity_of(alert.severity).name.lower()
    return f"{_about(alert)} ({severity}), {utc(alert.began_at)}, for {length(over - alert.began_at)}: {alert.text}"


def _about(alert: MonitorAlert) -> str:
    return " ".join(part for part in (alert.rule, alert.strategy_id, alert.subject) if part)
