"""Holds signals, receipts, fills and the venue's own orders against each other: nothing missing, nothing double."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from monitoring.chain.signal_chain import Stored


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it: what was executed of it, in the base asset, and for how much of the quote."""

    order_id: str
    pair: str
    side: str
    amount: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit, as a kind (for counting), where, and a sentence."""

    kind: str
    pair: str
    ts: datetime | None
    what: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and all that does not fit; `venue_orders` is None where the venue was not asked."""

    signals: int
    receipts: int
    fills: int
    venue_orders: int | None
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing is missing and nothing double."""
        return not self.findings


def reconcile(
    stored: Stored, due_before: datetime, orders: Sequence[VenueOrder] | None = None, due_from: datetime | None = None
) -> Reconciliation:
    """Return what does not fit among stored documents, and between them and the venue's orders.

    Parameters
    ----------
    stored : Stored
        Signals, receipts and fills of one scope.
    due_before : datetime
        Signals of bars that opened before this must have a receipt; younger ones may still be on their way.
    orders : sequence of VenueOrder, optional
        All orders that the account placed from `since` to `orders_until` of the scope and of which something was
        executed. Each fill that was ordered in that time must be one of them, with the same amount, and each of them
        must be a fill.
    due_from : datetime, optional
        When the bot saw a signal for the first time: what was exported of bars that opened before that was not for it.
    """
    findings = [
        *_signals_without_receipt(stored, due_from, due_before),
        *_receipts_without_fill(stored),
        *_fills_without_cause(stored),
        *_entered_twice(stored),
    ]
    if orders is not None:
        findings += _against_venue(stored, orders)
    return Reconciliation(
        signals=len(stored.signals),
        receipts=len(stored.receipts),
        fills=len({(fill["pair"], fill["order_id"]) for fill in (*stored.fills, *stored.ordered)}),
        venue_orders=None if orders is None else len(orders),
        findings=tuple(findings),
    )


def _signals_without_receipt(stored: Stored, due_from: datetime | None, due_before: datetime) -> list[Finding]:
    seen = {_key(receipt) for receipt in stored.receipts}
    return [
        Finding("no receipt", signal["pair"], signal["ts"], "no bot says what it did with this signal")
        for signal in stored.signals
        if signal["ts"] < due_before and (due_from is None or signal["ts"] >= due_from) and _key(signal) not in seen
    ]


def _receipts_without_fill(stored: Stored) -> list[Finding]:
    filled = {_key(fill) for fill in stored.fills}
    return [
        Finding("no fill", receipt["pair"], receipt["ts"], f"the bot {receipt['decision']}, and nothing was filled")
        for receipt in stored.receipts
        if receipt["decision"] != "skipped" and _key(receipt) not in filled
    ]


def _fills_without_cause(stored: Stored) -> list[Finding]:
    receipts = {_key(receipt): receipt for receipt in stored.receipts}
    found = []
    for fill in stored.fills:
        receipt = receipts.get(_key(fill))
        order = f"order {fill['order_id']} was filled"
        if receipt is None:
            found.append(Finding("no receipt", fill["pair"], fill["ts"], f"{order} without a receipt"))
        elif receipt["decision"] == "skipped":
            what = f"{order}, but the bot says that it skipped the signal ({receipt['reason']})"
            found.append(Finding("skipped and filled", fill["pair"], fill["ts"], what))
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


def _against_venue(stored: Stored, orders: Sequence[VenueOrder]) -> list[Finding]:
    # A venue numbers the orders of each symbol by themselves.
    known: dict[tuple[str, str], Mapping[str, Any]] = {(one["pair"], one["order_id"]): one for one in stored.ordered}
    found = []
    for order in orders:
        fill = known.pop((order.pair, order.order_id), None)
        if fill is None:
            what = (
                f"the venue executed {order.side} order {order.order_id} ({order.amount}), of which no fill is stored"
            )
            found.append(Finding("unknown order", order.pair, None, what))
        elif fill["amount"].to_decimal() != order.amount or fill["side"] != order.side:
            what = (
                f"order {order.order_id}: the venue says {order.side} {order.amount}, the stored fill says "
                f"{fill['side']} {fill['amount']}"
            )
            found.append(Finding("amount", order.pair, fill.get("ts"), what))
    found += [
        Finding("unknown fill", pair, fill.get("ts"), f"the venue does not know order {order_id}")
        for (pair, order_id), fill in known.items()
    ]
    return found


def _key(document: Mapping[str, Any]) -> tuple[str, datetime]:
    return document["pair"], document["ts"]
