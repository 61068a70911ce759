"""Opens those who are asked beside MongoDB, bots and venues, as the watch file names them."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from monitoring.chain.reconciler import Counterparts, Reconciler
from monitoring.chain.reconciliation import Reconciliation
from monitoring.facts import BotHealth, VenueHealth
from monitoring.look import Witnesses
from monitoring.watch_file import WatchedStrategy, WatchFile
from schemas.collections import Store
from schemas.settings import Settings
from schemas.timeframes import Timeframe

if TYPE_CHECKING:
    from monitoring.sources.freqtrade_api import BotApi
    from monitoring.sources.venue_account import VenueAccount, VenueLimits


class _Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


@contextmanager
def open_witnesses(settings: Settings, file: WatchFile) -> Iterator[Witnesses]:
    """Give those who are asked, for the length of a `with` block; none of them is asked yet.

    Raises
    ------
    InputError
        Where the watch file names a bot and the settings hold no password for it, or a venue that ccxt does not know.
    """
    with ExitStack() as stack:
        opened = _Opened(settings, file.rules.reconciliation.within, stack)
        for watched in file.strategies:
            opened.open(watched)
        yield Witnesses(opened.bot_health, opened.venue_health, opened.reconcile)


class _Opened:
    """One connection to each bot; to each venue one for its health and one for each strategy's account.

    ccxt's clients are not made for several threads, and a long list of orders must not make the venue seem slow.
    """

    def __init__(self, settings: Settings, within: timedelta, stack: ExitStack) -> None:
        self._settings, self._within, self._stack = settings, within, stack
        self._lock = Lock()
        self._bots: dict[Hashable, BotApi] = {}
        self._venues: dict[Hashable, VenueAccount] = {}
        self._venue_locks: dict[Hashable, Lock] = {}
        self._limits: dict[Hashable, VenueLimits] = {}
        self._reconcilers: dict[Hashable, Reconciler] = {}

    def open(self, watched: WatchedStrategy) -> None:
        """Open what a strategy names."""
        if watched.freqtrade is not None:
            self._bot(watched)
        if watched.exchange is not None:
            self._venue(watched, "health")

    def bot_health(self, watched: WatchedStrategy) -> BotHealth:
        """Ask a bot how it is."""
        return self._bot(watched).health()

    def venue_health(self, watched: WatchedStrategy) -> VenueHealth:
        """Ask a venue whether it answers."""
        venue = self._venue(watched, "health")
        with self._venue_locks[id(venue)]:
            return venue.health()

    def reconcile(self, db: Store, watched: WatchedStrategy, at: datetime) -> Reconciliation:
        """Hold all sides of a strategy's bot against each other."""
        key = (watched.strategy_id, watched.timeframe, watched.consumer)
        if key not in self._reconcilers:
            self._reconcilers[key] = self._reconciler(watched)
        return self._reconcilers[key].look(db, at)

    def _reconciler(self, watched: WatchedStrategy) -> Reconciler:
        bot = None if watched.freqtrade is None else self._bot(watched)
        venue = None if watched.exchange is None else self._venue(watched, watched)
        counterparts = Counterparts(
            bot,
            venue,
            pairs=watched.pairs,
            balances=watched.balances and bot is not None,
            besides=watched.held_besides,
            explained=frozenset(watched.explained),
        )
        return Reconciler(
            watched.strategy_id,
            watched.consumer or "",
            Timeframe.parse(watched.timeframe),
            counterparts,
            span=self._within,
        )

    def _bot(self, watched: WatchedStrategy) -> "BotApi":
        from monitoring.sources.freqtrade_api import BotApi  # here, not above: httpx takes a while to import

        address = watched.freqtrade or ""
        return self._once(self._bots, address, lambda: BotApi.of(self._settings, address))

    def _venue(self, watched: WatchedStrategy, purpose: Hashable) -> "VenueAccount":
        from monitoring.sources.venue_account import VenueAccount, VenueKeys, VenueLimits

        keys = VenueKeys.of(self._settings, watched.exchange, watched.exchange_url)
        place = (watched.exchange, watched.exchange_url)
        limits = self._limits.setdefault(place, VenueLimits())  # what one of us was refused, none of us asks again
        venue = self._once(self._venues, (*place, purpose), lambda: VenueAccount(keys, limits=limits))
        self._venue_locks.setdefault(id(venue), Lock())
        return venue

    def _once(self, opened: dict[Hashable, T], key: Hashable, make: Callable[[], T]) -> T:
        """Return what is open under a key, opened when it is asked for the first time."""
        with self._lock:
            if key not in opened:
                opened[key] = make()
                self._stack.callback(opened[key].close)
            return opened[key]
