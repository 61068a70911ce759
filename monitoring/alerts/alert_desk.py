"""Sees a verdict through: what it changes is stored, what is to be told is told, also while MongoDB is away."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from pymongo.errors import PyMongoError

from monitoring.alerts.alert_book import Event, due, merged, observe
from monitoring.alerts.alert_store import AlertStore
from monitoring.alerts.verdict import Verdict
from monitoring.watch_file import Alerts
from schemas.monitor_documents import MonitorAlert

_log = structlog.get_logger(__name__)

Tell = Callable[[Sequence[Event]], bool]
"""Sends events as one message; False where no channel took it."""

SETTLED_KEPT = 1_000
"""So many alerts that are settled wait in memory for MongoDB; of a user who may not write, they would for ever."""

ONE_BY_ONE = 5
"""So many events of one look are told one by one; more become one message."""


class AlertDesk:
    """The alerts of one monitor, from look to look.

    While MongoDB is away they are kept in memory, and stored when it is back. Until then several monitors can not
    agree, and each of them tells.

    Parameters
    ----------
    store : AlertStore
        Where alerts are kept.
    settings : Alerts
        When to repeat and when to wait.
    tell : callable
        Sends events.
    """

    def __init__(self, store: AlertStore, settings: Alerts, tell: Tell) -> None:
        self._store, self._settings, self._tell = store, settings, tell
        self._alerts: dict[str, MonitorAlert] = {}
        self._unstored: set[str] = set()
        self._online = False
        self._is_lost = False
        self._has_dropped = False

    def turn(self, verdict: Verdict, now: datetime, *, store_answers: bool) -> list[Event]:
        """Bring the alerts up to a verdict, and return what was told.

        Parameters
        ----------
        verdict : Verdict
            Of the look at hand.
        now : datetime
            Time of the look.
        store_answers : bool
            Whether MongoDB answered during the look; where it did not, it is not asked again.
        """
        self._online = store_answers
        self._read()
        for alert in observe(verdict, list(self._alerts.values()), now, self._settings.over_after):
            self._keep(alert)
        events = due(verdict, [one for one in self._alerts.values() if not one.settled], now, self._settings)
        told = self._tell_all([claimed for event in events if (claimed := self._claimed(event)) is not None])
        self._alerts = {
            one.alert_id: one for one in self._alerts.values() if not one.settled or one.alert_id in self._unstored
        }
        self._drop_oldest()
        return told

    def _drop_oldest(self) -> None:
        """Give up the record of what ended longest ago; what lasts, or is still to be told, is kept."""
        settled = [one for one in self._alerts.values() if one.settled]
        settled.sort(key=lambda one: (one.over_at or one.seen_at, one.alert_id))
        for alert in settled[: max(0, len(settled) - SETTLED_KEPT)]:
            del self._alerts[alert.alert_id]
            self._unstored.discard(alert.alert_id)
            if not self._has_dropped:
                self._has_dropped = True
                _log.error("alert_record_dropped", alert=alert.slot, why=f"{SETTLED_KEPT:,} ended later", then="so on")

    def _read(self) -> None:
        if not self._online:
            return
        try:
            for alert_id in sorted(self._unstored):
                self._store_late(self._alerts[alert_id])
            self._alerts = {alert.alert_id: alert for alert in self._store.read()} | {
                alert_id: self._alerts[alert_id] for alert_id in self._unstored
            }
            self._is_lost = False
        except PyMongoError as error:
            self._lose_store(error)

    def _store_late(self, mine: MonitorAlert) -> None:
        """Store what became of an alert while MongoDB was away; where another monitor has it now, wait a look."""
        stored = self._store.read_one(mine)
        if stored is None:
            done = self._store.add(mine)
        else:
            both = merged(stored, mine)
            done = both == stored or self._store.change(both) is not None
        if done:
            self._unstored.discard(mine.alert_id)

    def _keep(self, alert: MonitorAlert) -> None:
        """Store a change; one that another monitor made first is left to it until the next look.

        Where something lies in its place that nobody can read, it is kept in memory: it must not stay untold.
        """
        if self._online and alert.alert_id not in self._unstored:
            try:
                kept = self._stored(alert)
                is_blocked = kept is None and self._store.read_one(alert) is None
            except PyMongoError as error:
                self._lose_store(error)
            else:
                self._alerts.pop(alert.alert_id, None)
                if kept is not None:
                    self._alerts[alert.alert_id] = kept
                if not is_blocked:
                    return
        self._remember(alert)

    def _stored(self, alert: MonitorAlert) -> MonitorAlert | None:
        if alert.alert_id in self._alerts:
            return self._store.change(alert)
        return alert if self._store.add(alert) else None

    def _claimed(self, event: Event) -> Event | None:
        """Return the event with those of its alerts that this monitor may tell; None where it may tell none."""
        mine = [(before, after) for before, after in zip(event.before, event.after, strict=True) if self._claim(before)]
        if not mine:
            return None
        return replace(event, before=tuple(before for before, _ in mine), after=tuple(after for _, after in mine))

    def _claim(self, alert: MonitorAlert) -> bool:
        if not self._online or alert.alert_id in self._unstored:
            return True
        try:
            return self._store.claim(alert)
        except PyMongoError as error:
            self._lose_store(error)
            return True

    def _tell_all(self, events: Sequence[Event]) -> list[Event]:
        messages = [events] if len(events) > ONE_BY_ONE else [[event] for event in events]
        told: list[Event] = []
        for message in messages:
            taken = self._tell(message)
            for event in message:
                self._settle(event, taken=taken)
            told += message if taken else []
        return told

    def _settle(self, event: Event, *, taken: bool) -> None:
        for before, after in zip(event.before, event.after, strict=True):
            try:
                if not self._online or before.alert_id in self._unstored:
                    self._remember(after if taken else before)
                elif taken:
                    self._alerts[after.alert_id] = self._store.keep_told(after) or after
                else:
                    self._store.release(before)
            except PyMongoError as error:
                self._lose_store(error)
                self._remember(after if taken else before)

    def _lose_store(self, error: PyMongoError) -> None:
        """Go on in memory until the next look. It is said once: that MongoDB is away is a problem of its own."""
        self._online = False
        if not self._is_lost:
            self._is_lost = True
            _log.warning("alerts_not_stored", reason=str(error).split(", full error")[0], then="kept in memory")

    def _remember(self, alert: MonitorAlert) -> None:
        self._alerts[alert.alert_id] = alert
        self._unstored.add(alert.alert_id)
