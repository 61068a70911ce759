"""Holds signals, receipts and fills, Freqtrade's trades and the venue's account against each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from monitoring.chain.books import BotBook, VenueBook
from monitoring.chain.findings import Finding
from monitoring.chain.holdings import BalanceCheck, balance_checks, balance_findings, position_findings
from monitoring.chain.order_findings import OrderKey, Orders, Span, lost_fill, order_findings
from monitoring.chain.signal_chain import Stored


@dataclass(frozen=True, slots=True)
class Sides:
    """What was learnt of the sides beside the store; None stands for one that was not asked, or did not answer.

    Attributes
    ----------
    bot : BotBook or None
        Freqtrade's trades, over its REST API.
    venue : VenueBook or None
    positions : sequence of documents
        The bot's open ones of `crypto_positions`.
    besides : mapping of str to Decimal
        What the account holds of an asset for other purposes than this bot's.
    not_compared : tuple of str
        A sentence for each side, or part of one, that should have been asked and did not answer.
    """

    bot: BotBook | None = None
    venue: VenueBook | None = None
    positions: Sequence[Mapping[str, Any]] = ()
    besides: Mapping[str, Decimal] = field(default_factory=dict)
    not_compared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and all that does not fit; a number is None where that side was not asked.

    Attributes
    ----------
    signals, receipts, fills : int
        Documents in the store.
    venue_orders : int or None
        Orders of the venue that executed something.
    findings : tuple of Finding
    freqtrade_orders : int or None
        Orders of Freqtrade that were placed in the stretch of time.
    positions : int or None
        Pairs with an open position, by the store or by Freqtrade.
    balances : tuple of BalanceCheck
    not_compared : tuple of str
        A sentence for each side that should have been asked and did not answer: what is not found there is not known.
    pairs : tuple of str
        All that were asked for.
    since, until : datetime or None
        The stretch of time whose orders were compared.
    moving : frozenset of str
        Pairs with an order on its way, whose positions and balances were not compared.
    """

    signals: int
    receipts: int
    fills: int
    venue_orders: int | None
    findings: tuple[Finding, ...]
    freqtrade_orders: int | None = None
    positions: int | None = None
    balances: tuple[BalanceCheck, ...] = ()
    not_compared: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    moving: frozenset[str] = frozenset()

    @property
    def agrees(self) -> bool:
        """Whether nothing is missing and nothing double, among the sides that answered."""
        return not self.findings


def reconcile(
    stored: Stored, span: Span, due_before: datetime, due_from: datetime | None = None, sides: Sides | None = None
) -> Reconciliation:
    """Return what does not fit among stored documents, and between them, Freqtrade and the venue.

    What may still be on its way is no finding: a signal whose time is not over, and whatever happened from
    `span.settled` on. An order that is open is on its way for as long as it is; where it may have executed something,
    the positions and balances of its pair are compared when it has ended.

    Parameters
    ----------
    stored : Stored
        Signals, receipts and fills of one scope; read before the other sides were asked, so that these know all of it.
    span : Span
        The stretch of time in which the orders of its signals are placed.
    due_before : datetime
        Signals of bars that opened before this must have a receipt.
    due_from : datetime, optional
        When the bot saw a signal for the first time: what was exported of bars that opened before was not for it.
    sides : Sides, optional
        Freqtrade's and the venue's books. Each stored fill that was ordered in the span must be an order of both, with
        the venue's amount, and each of their orders that executed something must be a fill.
    """
    sides = sides or Sides()
    orders = Orders(stored, sides.bot, sides.venue, span)
    of_receipts, explained = _acted_without_fill(stored, orders)
    findings = [
        *_signals_without_receipt(stored, due_from, due_before),
        *of_receipts,
        *_fills_without_cause(stored, span.settled),
        *_entered_twice(stored),
        *order_findings(orders, explained),
    ]
    balances: list[BalanceCheck] = []
    changing: set[str] = set()
    if sides.bot is not None:
        moving, changing = orders.unsettled_pairs(sides.positions)
        findings += position_findings(sides.positions, sides.bot, moving)
        if sides.venue is not None:
            balances = balance_checks(sides.bot, sides.venue, sides.venue.pairs, changing, sides.besides)
            findings += balance_findings(balances)
    return Reconciliation(
        signals=len(stored.signals),
        receipts=len(stored.receipts),
        fills=len(orders.fills),
        venue_orders=None if sides.venue is None else sum(1 for one in sides.venue.orders if one.amount > 0),
        findings=tuple(findings),
        freqtrade_orders=None if sides.bot is None else _count_orders(orders),
        positions=None if sides.bot is None else _count_open(sides.bot, sides.positions),
        balances=tuple(balances),
        not_compared=sides.not_compared,
        since=span.since,
        until=span.until,
        moving=frozenset(changing),
    )


def _count_orders(orders: Orders) -> int:
    return sum(1 for _, order in orders.of_bot.values() if orders.span.has(order.placed_at))


def _count_open(bot: BotBook, positions: Sequence[Mapping[str, Any]]) -> int:
    return len({str(one["pair"]) for one in positions} | {trade.pair for trade in bot.open_trades})


def _signals_without_receipt(stored: Stored, due_from: datetime | None, due_before: datetime) -> list[Finding]:
    seen = {_key(receipt) for receipt in stored.receipts}
    return [
        Finding("signal without receipt", signal["pair"], signal["ts"], "no bot says what it did with this signal")
        for signal in stored.signals
        if signal["ts"] < due_before and (due_from is None or signal["ts"] >= due_from) and _key(signal) not in seen
    ]


def _acted_without_fill(stored: Stored, orders: Orders) -> tuple[list[Finding], set[OrderKey]]:
    """Return findings for receipts that say that the bot acted, and have no fill; and the orders that they tell of."""
    filled = {_key(fill) for fill in stored.fills}
    found: list[Finding] = []
    explained: set[OrderKey] = set()
    for receipt in stored.receipts:
        said_at = receipt.get("updated_at") or receipt["seen_at"]
        if receipt["decision"] == "skipped" or _key(receipt) in filled or said_at >= orders.span.settled:
            continue
        keys = orders.ordered_for(receipt)
        explained.update(keys)
        if not keys:
            found.append(_without_order(receipt, orders))
        elif not any(orders.is_on_its_way(orders.last_word(key)) for key in keys):
            executed = [key for key in keys if orders.last_word(key).amount > 0]
            found += [lost_fill(orders, key, receipt["ts"]) for key in executed or keys[-1:]]
    return found, explained


def _without_order(receipt: Mapping[str, Any], orders: Orders) -> Finding:
    pair, ts, says = receipt["pair"], receipt["ts"], f"the bot {receipt['decision']}"
    if refused := receipt.get("rejected_orders"):
        says += f", {refused:,} orders for it were refused"
    if not orders.is_witnessed:
        return Finding("receipt without fill", pair, ts, f"{says}, and nothing was filled")
    asked = [name for name, book in (("Freqtrade", orders.bot), ("the venue", orders.venue)) if book is not None]
    nobody = f"neither {asked[0]} nor {asked[1]} has" if len(asked) > 1 else f"{asked[0]} does not have"
    return Finding("receipt without order", pair, ts, f"{says}, and {nobody} an order for it")


def _fills_without_cause(stored: Stored, settled: datetime) -> list[Finding]:
    receipts = {_key(receipt): receipt for receipt in stored.receipts}
    found = []
    for fill in stored.fills:
        if fill["filled_at"] >= settled:
            continue
        receipt, order_id = receipts.get(_key(fill)), fill["order_id"]
        order = f"order {order_id} was filled"
        if receipt is None:
            what = f"{order}, and no bot says that it used the signal"
            found.append(Finding("fill without receipt", fill["pair"], fill["ts"], what, order_id))
        elif receipt["decision"] == "skipped":
            what = f"{order}, but the bot says that it skipped the signal ({receipt['reason']})"
            found.append(Finding("skipped and filled", fill["pair"], fill["ts"], what, order_id))
    return found


def _entered_twice(stored: Stored) -> list[Finding]:
    """An entry acts once; an exit may take several orders until the position is closed.

    A signal that turns a position around does both: what it filled for the trade that it closed is no entry.
    """
    entered = {_key(receipt) for receipt in stored.receipts if receipt["decision"] == "entered"}
    closing = {(one["pair"], one["exit_ts"], one["trade_id"]) for one in stored.closed}
    orders = Counter(
        _key(fill)
        for fill in stored.fills
        if _key(fill) in entered and (*_key(fill), fill.get("trade_id")) not in closing
    )
    return [
        Finding("double", pair, ts, f"{count} orders were filled for one entry signal")
        for (pair, ts), count in orders.items()
        if count > 1
    ]


def _key(document: Mapping[str, Any]) -> tuple[str, datetime]:
    return document["pair"], document["ts"]
