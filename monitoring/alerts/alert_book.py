"""Which messages a look calls for: what began, worsened, lasts and is over, each told once; pure, without a clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from monitoring.alerts.verdict import Verdict
from monitoring.problem import Problem, ProblemKey, Severity
from monitoring.watch_file import Alerts
from schemas.monitor_documents import AlertSeverity, MonitorAlert
from schemas.run_id import new_run_id

EventKind = Literal["fired", "worse", "repeated", "over", "passed"]

REFRESH_AFTER = timedelta(minutes=10)
UNWATCHED_AFTER = timedelta(days=1)
_SUBJECT_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell, and the alerts as they are once it is told.

    Attributes
    ----------
    kind : str
        'fired', 'worse', 'repeated' or 'over' of one alert; 'passed' of all that came and went while nobody was told.
    at : datetime
        Time of the look, the market's.
    severity : Severity
        The worst that it tells of.
    before, after : tuple of MonitorAlert
        In the same order.
    """

    kind: EventKind
    at: datetime
    severity: Severity
    before: tuple[MonitorAlert, ...]
    after: tuple[MonitorAlert, ...]


def key_of(alert: MonitorAlert) -> ProblemKey:
    """Return the key of the problem that an alert stands for."""
    return ProblemKey(alert.rule, alert.strategy_id or "", alert.subject)


def severity_of(word: str | None) -> Severity:
    """Return the severity that a document names; HEALTHY where it names none."""
    return Severity.HEALTHY if word is None else Severity[word.upper()]


def word_of(severity: Severity) -> AlertSeverity:
    """Return the word that documents have for a severity."""
    return "critical" if severity is Severity.CRITICAL else "warning"


def observe(
    verdict: Verdict, alerts: Iterable[MonitorAlert], now: datetime, over_after: timedelta = timedelta(0)
) -> list[MonitorAlert]:
    """Return the alerts that are new or not the same any more, as they are now; nothing is told by that yet.

    Parameters
    ----------
    verdict : Verdict
        Of the look at hand.
    alerts : iterable of MonitorAlert
        All that are not settled.
    now : datetime
        Time of the look.
    over_after : timedelta
        How long a problem must not have been found until it is over; its end is when that began.
    """
    lasting = {key_of(alert): alert for alert in alerts if alert.over_at is None}
    changed = []
    problems = {_stored_key(problem): problem for problem in verdict.problems}
    for key, problem in problems.items():
        known = lasting.get(key)
        if known is None:
            changed.append(_opened(problem, key, now))
        elif (
            known.severity != word_of(problem.severity)
            or known.gone_at is not None
            or now - known.seen_at >= REFRESH_AFTER
        ):
            seen = {"severity": word_of(problem.severity), "text": problem.text, "pair": problem.pair, "seen_at": now}
            changed.append(known.model_copy(update=seen | {"gone_at": None}))
    for key, alert in lasting.items():
        if key in problems:
            continue
        if verdict.covers(key):
            gone_at = alert.gone_at or now
            if now - gone_at >= over_after:
                changed.append(_ended(alert, gone_at, "over"))
            elif alert.gone_at is None:
                changed.append(alert.model_copy(update={"gone_at": now}))
        elif now - alert.seen_at >= UNWATCHED_AFTER:
            changed.append(_ended(alert, now, "unwatched"))
    return changed


def due(verdict: Verdict, alerts: Iterable[MonitorAlert], now: datetime, settings: Alerts) -> list[Event]:
    """Return what is to be told now, worst first.

    Parameters
    ----------
    verdict : Verdict
        Of the look at hand: what could not be judged is not repeated.
    alerts : iterable of MonitorAlert
        All that are not settled, after `observe`.
    now : datetime
        Time of the look.
    settings : Alerts
        When it is told again, and when it has to wait.
    """
    problems = {_stored_key(problem): problem for problem in verdict.problems}
    events, passed = [], []
    for alert in alerts:
        if alert.over_at is not None:
            if alert.told_at is None:
                passed.append(alert)
            elif not _waits(settings, severity_of(alert.told_severity), now):
                events.append(_over(alert, now))
            continue
        problem = problems.get(key_of(alert))
        kind = None if problem is None else _news(alert, problem, now, settings)
        if problem is not None and kind is not None and not _waits(settings, problem.severity, now):
            events.append(_told(kind, alert, problem, now))
    if passed and not _waits(settings, Severity.WARNING, now):
        events.append(_passed(passed, now))
    return sorted(events, key=lambda event: (event.kind in ("over", "passed"), -event.severity))


def merged(stored: MonitorAlert, mine: MonitorAlert) -> MonitorAlert:
    """Return one alert of what is stored and what this monitor did while MongoDB was away: told by one is told."""
    tolds = [one for one in (stored.told_at, mine.told_at) if one is not None]
    worst = max(severity_of(stored.told_severity), severity_of(mine.told_severity))
    ended = stored if stored.over_at is not None else mine
    return stored.model_copy(
        update={
            "told_at": max(tolds, default=None),
            "told_severity": word_of(worst) if worst else None,
            "times_told": max(stored.times_told, mine.times_told),
            "seen_at": max(stored.seen_at, mine.seen_at),
            "severity": mine.severity,
            "text": mine.text,
            "gone_at": mine.gone_at,
            "over_at": ended.over_at,
            "ended": ended.ended,
            "slot": stored.alert_id if ended.over_at is not None else stored.slot,
            "settled": stored.settled or mine.settled,
        }
    )


def slot_of(key: ProblemKey) -> str:
    """Return the text under which the one alert of a problem lies for as long as it lasts."""
    return "|".join(key)


def _stored_key(problem: Problem) -> ProblemKey:
    return problem.key._replace(subject=problem.subject[:_SUBJECT_LENGTH])


def _opened(problem: Problem, key: ProblemKey, now: datetime) -> MonitorAlert:
    return MonitorAlert(
        alert_id=new_run_id(),
        slot=slot_of(key),
        rule=problem.rule,
        strategy_id=problem.strategy_id,
        consumer=problem.consumer,
        subject=key.subject,
        pair=problem.pair,
        severity=word_of(problem.severity),
        text=problem.text,
        began_at=problem.at,
        noticed_at=now,
        seen_at=now,
    )


def _ended(alert: MonitorAlert, now: datetime, how: str) -> MonitorAlert:
    return alert.model_copy(update={"over_at": now, "ended": how, "slot": alert.alert_id})


def _news(alert: MonitorAlert, problem: Problem, now: datetime, settings: Alerts) -> EventKind | None:
    if alert.told_at is None:
        return "fired"
    if problem.severity > severity_of(alert.told_severity):
        return "worse"
    return "repeated" if now - alert.told_at >= settings.repeat_after else None


def _told(kind: EventKind, alert: MonitorAlert, problem: Problem, now: datetime) -> Event:
    told: dict[str, Any] = {
        "severity": word_of(problem.severity),
        "text": problem.text,
        "seen_at": now,
        "told_at": now,
        "told_severity": word_of(max(problem.severity, severity_of(alert.told_severity))),
        "times_told": alert.times_told + 1,
    }
    return Event(kind, now, problem.severity, (alert,), (alert.model_copy(update=told),))


def _over(alert: MonitorAlert, now: datetime) -> Event:
    after = alert.model_copy(update={"settled": True, "times_told": alert.times_told + 1})
    return Event("over", now, severity_of(alert.told_severity), (alert,), (after,))


def _passed(alerts: Sequence[MonitorAlert], now: datetime) -> Event:
    worst = max(severity_of(alert.severity) for alert in alerts)
    after = tuple(alert.model_copy(update={"settled": True, "times_told": 1}) for alert in alerts)
    return Event("passed", now, worst, tuple(alerts), after)


def _waits(settings: Alerts, severity: Severity, now: datetime) -> bool:
    return settings.quiet_hours is not None and settings.quiet_hours.holds(severity, now)
