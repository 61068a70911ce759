"""Looks, judges and tells, again and again, whatever happens in between."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag

import structlog
from pymongo.errors import PyMongoError

from monitoring.alerts.alert_book import Event
from monitoring.alerts.alert_desk import AlertDesk
from monitoring.alerts.channels import Channels
from monitoring.alerts.rules import judge
from monitoring.alerts.rules_silent import Unheard, note_silence
from monitoring.alerts.verdict import Verdict
from monitoring.facts import Look
from monitoring.watch_file import Rules
from schemas.collections import Store, ensure_collections
from schemas.errors import StoreError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of the loop found and told; `seconds` is how long the look took, machine time."""

    look: Look
    verdict: Verdict
    told: Sequence[Event]
    seconds: float


@dataclass
class WatchLoop:
    """Turns one look after the other into problems and messages.

    Attributes
    ----------
    look : callable
        Takes a look; it does not fail where a side is away.
    db : Database
        Whose collections are made when it answers for the first time.
    rules : Rules
    desk : AlertDesk
    channels : Channels
        What single ones of them did not take is tried again before each look.
    show : callable
        Is given each turn; an error of it ends the loop no more than one of a look does.
    failed : callable
        Is called where a look ends in an error that nobody expected.
    """

    look: Callable[[], Look]
    db: Store
    rules: Rules
    desk: AlertDesk
    channels: Channels
    show: Callable[[Turn], None]
    failed: Callable[[], None] = lambda: None
    _unheard: Unheard = field(default_factory=dict)
    _has_collections: bool = False
    _last_error: str = ""

    def run(self, stop: Flag, every_s: float, looks: int | None = None, seconds: float | None = None) -> None:
        """Look each `every_s` seconds of machine time, until `stop` is set, or so many looks or seconds have passed.

        A look that takes longer than that is followed by the next one at once; none is made up for.
        """
        end = None if seconds is None else time.monotonic() + seconds
        done = 0
        while not stop.is_set():
            began = time.monotonic()
            self._turn_safely()
            done += 1
            wait_s = max(0.0, every_s - (time.monotonic() - began))
            if done == looks or (end is not None and time.monotonic() + wait_s >= end):
                return
            stop.wait(wait_s)

    def turn(self) -> Turn:
        """Look once, and tell what is new."""
        self.channels.retry()
        began = time.monotonic()
        look = self.look()
        seconds = time.monotonic() - began
        answers = look.store.error is None
        if answers and not self._has_collections:
            self._make_collections()
        self._unheard = note_silence(look, self.rules.silent, self._unheard)
        verdict = judge(look, self.rules, self._unheard)
        # One that can tell nobody must not take a problem from another monitor that can: it keeps its own account.
        told = self.desk.turn(verdict, look.at, store_answers=answers and bool(self.channels.names))
        return Turn(look, verdict, told, seconds)

    def _turn_safely(self) -> None:
        # What must watch everything else must not end by a fault of its own: it says so, and looks again.
        try:
            self.show(self.turn())
        except Exception as error:  # noqa: BLE001 - the loop of a process
            self.failed()
            said = repr(error)
            if said != self._last_error:
                _log.exception("look_failed", then="the next look is taken as if nothing had happened")
            self._last_error = said
            return
        self._last_error = ""

    def _make_collections(self) -> None:
        """Make what is missing; a user who may not is told once, as others may have made what alerts need."""
        try:
            ensure_collections(self.db)
        except StoreError as error:
            _log.warning("collections_not_made", reason=str(error))
        except PyMongoError as error:
            _log.warning("collections_not_made", reason=str(error).split(", full error")[0])
            return
        self._has_collections = True
