"""Reads all sides of a bot's trading and holds them against each other: once, or again and again at little cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from monitoring.chain.books import BotBook, VenueBook
from monitoring.chain.order_findings import Span
from monitoring.chain.reconciliation import Reconciliation, Sides, reconcile
from monitoring.chain.signal_chain import USABLE_BARS, Scope, first_seen, read_stored
from monitoring.chain.unseen_bot import unseen_bot
from schemas.clock import Clock, process_clock
from schemas.collections import POSITIONS, Store
from schemas.errors import QuantFlowError
from schemas.timeframes import Timeframe

_GRACE = timedelta(seconds=60)  # Freqtrade tries a refused request again for up to 20 s before its loop goes on
_REPLAY_GRACE_S = 3.0  # of the machine's time: in a replay the market's runs away from what programs need


class AsksBot(Protocol):
    """Freqtrade's side; `sources.freqtrade_api.BotApi` answers."""

    def book(self, since: datetime, until: datetime) -> BotBook:
        """Return the trades of a stretch of time; raise a QuantFlowError where it does not answer."""


class AsksVenue(Protocol):
    """The venue's side; `sources.venue_account.VenueAccount` answers."""

    def book(self, pairs: Iterable[str], since: datetime, until: datetime, *, holdings: bool = True) -> VenueBook:
        """Return orders and holdings; raise a QuantFlowError where it does not answer."""


@dataclass(frozen=True, slots=True)
class Counterparts:
    """Who is asked beside the store, and what must be known about the account.

    Attributes
    ----------
    bot : AsksBot or None
    venue : AsksVenue or None
    pairs : tuple of str
        Pairs that are always asked for, also where no signal or trade names them.
    balances : bool
        Whether the account's balances are compared; an account that others trade too has none to compare.
    besides : mapping of str to Decimal
        What the account holds of an asset for other purposes.
    explained : frozenset of str
        Orders that a person has accounted for, as 'BTC/USDT 17': what is found of them is not told any more.
    """

    bot: AsksBot | None = None
    venue: AsksVenue | None = None
    pairs: tuple[str, ...] = ()
    balances: bool = True
    besides: Mapping[str, Decimal] = field(default_factory=dict)
    explained: frozenset[str] = frozenset()


def grace_of(clock: Clock) -> timedelta:
    """Return how long what happened may be on its way to the other sides: a minute, in a replay 3 s of real time."""
    return max(_GRACE, timedelta(seconds=_REPLAY_GRACE_S * clock.speed)) if clock.is_replay else _GRACE


def reconcile_all(
    db: Store, scope: Scope, counterparts: Counterparts, now: datetime, grace: timedelta | None = None
) -> Reconciliation:
    """Return what does not fit between the store, the bot and the venue.

    A side that does not answer is not compared, and the result says so in a sentence; only MongoDB's errors are raised.
    Nor is anything compared with a bot that has never been seen: all signals and orders would be findings.

    Parameters
    ----------
    db : Database
    scope : Scope
        Whose signals, and of which time.
    counterparts : Counterparts
    now : datetime
        The market's time, such as `server_time(db)`.
    grace : timedelta, optional
        What happened within it may be on its way; by default that of the process's clock.
    """
    stored = read_stored(db, scope)
    positions = list(db[POSITIONS].find({"consumer": scope.consumer, "state": "open"}))
    due_from = first_seen(db, scope)
    if due_from is None and (sentence := unseen_bot(db, scope.strategy_id, scope.consumer)) is not None:
        return Reconciliation(len(stored.signals), 0, 0, None, (), not_compared=(sentence,))
    settled = now - (grace_of(process_clock()) if grace is None else grace)
    span = Span(scope.since, scope.orders_until, settled)
    documents = (*stored.signals, *stored.fills, *stored.ordered, *positions)
    pairs = {*counterparts.pairs, *(str(one["pair"]) for one in documents)}
    not_compared: list[str] = []
    bot = venue = None
    if counterparts.bot is not None:
        try:
            bot = counterparts.bot.book(span.since, span.until)
            pairs |= {trade.pair for trade in bot.trades}
        except QuantFlowError as error:
            not_compared.append(str(error))
    if counterparts.venue is not None:
        try:
            venue = counterparts.venue.book(sorted(pairs), span.since, span.until, holdings=counterparts.balances)
        except QuantFlowError as error:
            not_compared.append(str(error))
    sides = Sides(bot, venue, positions, counterparts.besides, tuple(not_compared))
    found = reconcile(stored, span, now - USABLE_BARS * scope.timeframe.delta, due_from, sides)
    told = tuple(one for one in found.findings if f"{one.pair} {one.order_id}" not in counterparts.explained)
    return replace(found, pairs=tuple(sorted(pairs)), findings=told)


class Reconciler:
    """Reconciles the last hours of one strategy and bot again and again.

    Most looks read the bars since the look before, and those that were not settled then. Everything within `span` is
    read while there are findings, so that each is told until it is mended or that old; and each `full_every`, so that
    documents which were lost afterwards, such as by a backup that was played back, are missed too.

    Parameters
    ----------
    strategy_id, consumer : str
    timeframe : Timeframe
    counterparts : Counterparts
    span : timedelta
        How far back findings are told.
    full_every : timedelta
        Market's time.
    """

    def __init__(
        self,
        strategy_id: str,
        consumer: str,
        timeframe: Timeframe,
        counterparts: Counterparts,
        *,
        span: timedelta = timedelta(hours=24),
        full_every: timedelta = timedelta(minutes=15),
    ) -> None:
        self._of, self._timeframe, self._counterparts = (strategy_id, consumer), timeframe, counterparts
        self._span, self._full_every = span, full_every
        self._full_at: datetime | None = None
        self._agreed_at: datetime | None = None  # the last look at which all sides answered and nothing was found

    def look(self, db: Store, now: datetime) -> Reconciliation:
        """Return what does not fit now; see `reconcile_all` for the errors."""
        is_full = self._agreed_at is None or self._full_at is None or now - self._full_at >= self._full_every
        since = now - self._span
        if self._agreed_at is not None and not is_full:
            unsettled = (USABLE_BARS + 1) * self._timeframe.delta + grace_of(process_clock())
            since = max(since, self._agreed_at - unsettled)
        scope = Scope(*self._of, self._timeframe, self._timeframe.floor(since), now)
        found = reconcile_all(db, scope, self._counterparts, now)
        # A pair that has no signal in the next stretch may still be traded at the venue, beside the bot.
        self._counterparts = replace(self._counterparts, pairs=tuple(sorted({*self._counterparts.pairs, *found.pairs})))
        is_complete = not found.not_compared
        if is_full and is_complete:
            self._full_at = now
        if not found.agrees:
            self._agreed_at = None
        elif is_complete:
            self._agreed_at = now
        return found
