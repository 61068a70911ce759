"""Takes one look after the other at all that is watched: the store, the bars, research, the bots and their venues."""

import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymongo.errors import PyMongoError

from monitoring.chain.reconciliation import Reconciliation
from monitoring.facts import BotHealth, Look, StrategyLook, VenueHealth
from monitoring.sources.chain_feed import WINDOW_BARS
from monitoring.sources.questions import Questions
from monitoring.sources.store_health import WatchedStore, open_store, read_store_health, silence
from monitoring.sources.stored_looks import Stored, StoredLooks, name_of
from monitoring.watch_file import WatchedStrategy, WatchFile
from schemas.collections import Store
from schemas.errors import QuantFlowError
from schemas.mongo import serve
from schemas.settings import Settings

_PATIENCE_S = 3.0
_THREADS = 8
_RECONCILING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who is asked beside MongoDB: each is called in a thread, for one strategy.

    Attributes
    ----------
    bot : callable or None
        Asks Freqtrade, of strategies that name its address.
    venue : callable or None
        Asks the venue, of strategies that name one.
    reconcile : callable or None
        Holds all sides against each other at a time of the market, for strategies whose bot is known. It is called at
        most each `rules.reconciliation.every`, machine time; the outcome is shown until there is a newer one.
    """

    bot: Callable[[WatchedStrategy], BotHealth] | None = None
    venue: Callable[[WatchedStrategy], VenueHealth] | None = None
    reconcile: Callable[[Store, WatchedStrategy, datetime], Reconciliation] | None = None


NOBODY = Witnesses()


class Looker:
    """Takes looks; what it learns at one it uses at the next.

    Parameters
    ----------
    store : WatchedStore
    file : WatchFile
    witnesses : Witnesses
    pool : ThreadPoolExecutor
        Where bots and venues are asked how they are.
    reconciling : ThreadPoolExecutor
        Where sides are held against each other: another one, since that takes long and must make no bot seem silent.
    bars : int
        How many of each strategy's newest bars a look shows.
    """

    def __init__(
        self,
        store: WatchedStore,
        file: WatchFile,
        witnesses: Witnesses,
        pool: ThreadPoolExecutor,
        reconciling: ThreadPoolExecutor,
        bars: int = WINDOW_BARS,
    ) -> None:
        self.db, self.count, self._uri = store.db, store.count, store.uri
        self.stored = StoredLooks(store.db, file.strategies, bars)
        self._witnesses, self._differs = witnesses, file.rules.reconciliation
        self._bots = Questions[BotHealth](pool)
        self._venues = Questions[VenueHealth](pool)
        self._findings = Questions[Reconciliation](
            reconciling, self._differs.every.total_seconds(), failed=lambda error: _nothing_compared(_reason(error))
        )
        self._has_read = False

    def look(self, patience_s: float = _PATIENCE_S) -> Look:
        """Return what is there now.

        A look never fails because a side is away: that is what it shows. Where MongoDB does not answer, the strategies
        known so far are shown with their bots and venues alone.

        Parameters
        ----------
        patience_s : float
            How long to wait for bots, venues and the reconciliation, from the start of the look, machine time. A bot
            or venue that has not answered since the look before is shown as silent; of reconciliations the newest that
            has ended, and before the first one has, that nothing was compared.
        """
        deadline = time.monotonic() + patience_s
        asked: set[Hashable] = set()
        if self._has_read:  # else their names may not be known yet
            self._ask(asked)
        answer = read_store_health(self.db, self._uri, has_answered=self._has_read)
        health, stored = answer.health, Stored()
        if health.error is None:
            try:
                stored = self.stored.read(answer)
                self._has_read = True
                self._ask_to_reconcile(answer.at)
            except PyMongoError as error:
                health = replace(health, error=silence(error, self.db, self._uri))
        self._ask(asked)
        self._forget_others()
        running: list[Future[Any]] = [*self._bots.running, *self._venues.running, *self._findings.running]
        wait(running, max(0.0, deadline - time.monotonic()))
        strategies = tuple(self._strategy(watched, stored, patience_s) for watched in self.stored.watched)
        since = min((one.since for one in strategies if one.since is not None), default=answer.at)
        return Look(answer.at, since, health, stored.series, strategies, self.count.sent)

    def close(self) -> None:
        """End what is open."""
        self.stored.feed.close()

    def _ask(self, asked: set[Hashable]) -> None:
        """Ask bots and venues that were not asked in this look; they answer while others are read."""
        bot, venue = self._witnesses.bot, self._witnesses.venue
        for watched in self.stored.watched:
            name = name_of(watched)
            if name not in asked and bot is not None and watched.freqtrade is not None:
                self._bots.ask(name, bot, watched)
            if name not in asked and venue is not None and watched.exchange is not None:
                self._venues.ask(name, venue, watched)
            asked.add(name)

    def _ask_to_reconcile(self, at: datetime) -> None:
        reconcile = self._witnesses.reconcile
        if reconcile is None or not self._differs.enabled:
            return
        for watched in self.stored.watched:
            if watched.consumer is not None:
                self._findings.ask(name_of(watched), reconcile, self.db, watched, at)

    def _strategy(self, watched: WatchedStrategy, stored: Stored, patience_s: float) -> StrategyLook:
        """Return what the store told of a strategy, with what the others said."""
        name = name_of(watched)
        look = stored.looks.get(name)
        silent = f"No answer that could be used came within {patience_s:g} s."
        return replace(
            look or StrategyLook(watched),
            bot=self._bots.answer(name, BotHealth(None, error=silent)),
            venue=self._venues.answer(name, VenueHealth(None, error=silent)),
            reconciliation=None if look is None else self._reconciliation(name, patience_s),
        )

    def _reconciliation(self, name: Hashable, patience_s: float) -> Reconciliation | None:
        found = self._findings.answer(name)
        if found is None and self._findings.was_asked(name):
            return _nothing_compared(f"The first comparison of all sides did not end within {patience_s:g} s.")
        return found

    def _forget_others(self) -> None:
        names = set(map(name_of, self.stored.watched))
        for questions in (self._bots, self._venues, self._findings):
            questions.keep_only(names)


def _nothing_compared(why: str) -> Reconciliation:
    return Reconciliation(signals=0, receipts=0, fills=0, venue_orders=None, findings=(), not_compared=(why,))


def _reason(error: Exception) -> str:
    if isinstance(error, QuantFlowError):
        return str(error)
    if isinstance(error, PyMongoError):
        return f"MongoDB did not answer: {str(error).split(', full error')[0].rstrip('.')}."
    return f"The comparison failed by a fault of its own, {type(error).__name__}, which the log shows."


@contextmanager
def _threads(many: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that at its end waits only for what has begun."""
    pool = ThreadPoolExecutor(many, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def open_looker(
    settings: Settings, file: WatchFile, witnesses: Witnesses = NOBODY, bars: int = WINDOW_BARS
) -> Iterator[Looker]:
    """Give what takes looks, for the length of a `with` block; MongoDB need not be there.

    Parameters
    ----------
    settings : Settings
        Without a URI the embedded server is started, or shared.
    file : WatchFile
    witnesses : Witnesses
    bars : int
        How many of each strategy's newest bars a look shows.

    Raises
    ------
    SettingsError
        Where the URI can not be read.
    StoreError
        Where no embedded server can run.
    """
    with serve(settings) as served, open_store(served) as store, looker_at(store, file, witnesses, bars) as looker:
        yield looker


@contextmanager
def looker_at(
    store: WatchedStore, file: WatchFile, witnesses: Witnesses = NOBODY, bars: int = WINDOW_BARS
) -> Iterator[Looker]:
    """Give what takes looks at a store that is open already; see `open_looker`."""
    with _threads(_THREADS, "look") as pool, _threads(_RECONCILING_THREADS, "reconcile") as reconciling:
        looker = Looker(store, file, witnesses, pool, reconciling, bars)
        try:
            yield looker
        finally:
            looker.close()
