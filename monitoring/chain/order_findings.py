"""Holds fills against the orders that Freqtrade and the venue have: what was ordered and is not stored, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.chain.books import BotBook, BotOrder, BotTrade, VenueBook, VenueOrder
from monitoring.chain.findings import Finding
from monitoring.chain.signal_chain import Stored
from schemas.signal_tag import SignalTag

# The bot looks for an order that it lost in the same stretch around its claim: it leaves within one loop.
_BEFORE, _AFTER = timedelta(seconds=2), timedelta(seconds=60)

OrderKey = tuple[str, str]
SignalKey = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time whose orders are compared, and when what happened may still be on its way.

    Attributes
    ----------
    since, until : datetime
        Orders placed from `since` (included) to `until` (excluded) are compared.
    settled : datetime
        What happened from here on is left for the next time: it need not have reached every side.
    """

    since: datetime
    until: datetime
    settled: datetime

    def has(self, moment: datetime) -> bool:
        """Tell whether an order placed then is compared."""
        return self.since <= moment < self.until


class Orders:
    """All orders of a stretch of time by (pair, order id): stored as fills, in Freqtrade's book, in the venue's.

    A venue numbers the orders of each symbol by themselves.
    """

    def __init__(self, stored: Stored, bot: BotBook | None, venue: VenueBook | None, span: Span) -> None:
        self.span, self.bot, self.venue = span, bot, venue
        self.fills = {_fill_key(fill): fill for fill in (*stored.fills, *stored.ordered)}
        self.in_span = {_fill_key(fill): fill for fill in stored.ordered}
        self.of_bot: dict[OrderKey, tuple[BotTrade, BotOrder]] = {
            (trade.pair, order.order_id): (trade, order)
            for trade in (bot.trades if bot is not None else ())
            for order in trade.orders
        }
        self.of_venue: dict[OrderKey, VenueOrder] = {
            (order.pair, order.order_id): order for order in (venue.orders if venue is not None else ())
        }

    @property
    def is_witnessed(self) -> bool:
        """Whether somebody but the store was asked for orders."""
        return self.bot is not None or self.venue is not None

    def is_on_its_way(self, order: BotOrder | VenueOrder) -> bool:
        """Whether its end may not have reached the others: it is open, or something happened to it just now.

        The venue's word counts: an order that ended there and is open for Freqtrade alone is one that Freqtrade lost
        sight of.
        """
        return order.is_open or order.updated_at >= self.span.settled

    def ordered_for(self, receipt: Mapping[str, Any]) -> list[OrderKey]:
        """Return the orders that a receipt led to.

        Freqtrade's name the signal. Those of which only the venue knows do not: an order is taken for the receipt's
        where it was placed right around its claim, on the side that it asked for, and nobody else explains it.
        """
        pair = receipt["pair"]
        own = [key for key, (_, order) in self.of_bot.items() if key[0] == pair and _names(order.tag, receipt)]
        if own:
            return own
        claimed = receipt.get("updated_at") or receipt["seen_at"]
        begin, end = min(claimed, receipt["seen_at"]) - _BEFORE, claimed + _AFTER
        return [
            key
            for key, order in self.of_venue.items()
            if key[0] == pair
            and begin <= order.placed_at <= end
            and key not in self.of_bot
            and key not in self.fills
            and (self._trades_short or order.side == ("buy" if receipt["decision"] == "entered" else "sell"))
        ]

    def unsettled_pairs(self, positions: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
        """Return the pairs whose positions, and those whose balances, may be on their way."""
        settled = self.span.settled
        pairs = {pair for (pair, _), fill in self.fills.items() if fill["filled_at"] >= settled}
        pairs |= {one["pair"] for one in positions if one["updated_at"] >= settled}
        pairs |= {key[0] for key, (_, order) in self.of_bot.items() if self._moves(key, order)}
        changed = {pair for (pair, _), order in self.of_venue.items() if order.updated_at >= settled}
        return pairs, pairs | changed

    def _moves(self, key: OrderKey, order: BotOrder) -> bool:
        """Whether an order of Freqtrade may have changed what is held, and not all know it yet."""
        last = self.last_word(key)
        if max(order.updated_at, last.updated_at) >= self.span.settled:
            return True
        if not order.is_open:
            return False
        return last.amount > 0 if key in self.of_venue else not order.is_stop

    @property
    def _trades_short(self) -> bool:
        return self.bot is not None and any(trade.is_short for trade in self.bot.trades)

    def last_word(self, key: OrderKey) -> BotOrder | VenueOrder:
        """Return what is known of an order: by the venue where it was asked, else by Freqtrade."""
        return self.of_venue[key] if key in self.of_venue else self.of_bot[key][1]


def order_findings(orders: Orders, explained: Iterable[OrderKey]) -> list[Finding]:
    """Return what does not fit between stored fills, Freqtrade's orders and the venue's.

    Parameters
    ----------
    orders : Orders
    explained : iterable of (pair, order id)
        Orders that are part of another finding: what a signal led to is told once.
    """
    told = set(explained)
    found: list[Finding] = []
    if orders.bot is not None:
        found += _lost_fills(orders, told)
        found += _unknown_to_freqtrade(orders)
    if orders.venue is not None:
        found += _against_venue(orders, told)
    return found


def lost_fill(orders: Orders, key: OrderKey, ts: datetime | None = None) -> Finding:
    """Return the finding of an order that executed something of which no fill is stored, or nothing at all."""
    pair, order_id = key
    order = orders.last_word(key)
    who = "the venue's" if key in orders.of_venue else "Freqtrade's"
    what = f"{who} {order.side} order {order_id}, placed {order.placed_at:%Y-%m-%d %H:%M:%S} UTC, "
    what += f"executed {order.amount}, of which no fill is stored" if order.amount else "executed nothing"
    return Finding("order without fill", pair, ts, what, order_id)


def _lost_fills(orders: Orders, told: set[OrderKey]) -> list[Finding]:
    """Fills that Freqtrade has and the store has not."""
    found = []
    for key, (_, order) in orders.of_bot.items():
        if key in orders.fills or key in told or not orders.span.has(order.placed_at):
            continue
        last = orders.last_word(key)
        if last.amount > 0 and not orders.is_on_its_way(last) and not orders.is_on_its_way(order):
            told.add(key)
            found.append(lost_fill(orders, key, _signal_time(order.tag)))
    return found


def _unknown_to_freqtrade(orders: Orders) -> list[Finding]:
    return [
        Finding(
            "fill unknown to Freqtrade",
            pair,
            fill.get("ts"),
            f"the fill of {fill['side']} order {order_id} ({fill['amount']}) is stored, and Freqtrade has no such "
            "order: nothing watches over what it bought or sold",
            order_id,
        )
        for (pair, order_id), fill in orders.in_span.items()
        if (pair, order_id) not in orders.of_bot and fill["filled_at"] < orders.span.settled
    ]


def _against_venue(orders: Orders, told: set[OrderKey]) -> list[Finding]:
    found = []
    for key, order in orders.of_venue.items():
        pair, order_id = key
        fill = orders.fills.get(key)
        if orders.is_on_its_way(order) or not orders.span.has(order.placed_at):
            continue
        if fill is not None:
            if fill["amount"].to_decimal() != order.amount or fill["side"] != order.side:
                what = (
                    f"order {order_id}: the venue says {order.side} {order.amount}, the stored fill says "
                    f"{fill['side']} {fill['amount']}"
                )
                found.append(Finding("amount", pair, fill.get("ts"), what, order_id))
        elif key not in told and order.amount > 0:
            found.append(_unknown_order(orders, key, order))
    found += [
        Finding(
            "unknown fill",
            pair,
            fill.get("ts"),
            f"a fill is stored of order {order_id}, unknown to the venue",
            order_id,
        )
        for (pair, order_id), fill in orders.in_span.items()
        if (pair, order_id) not in orders.of_venue
    ]
    return found


def _unknown_order(orders: Orders, key: OrderKey, order: VenueOrder) -> Finding:
    pair, order_id = key
    if key in orders.of_bot:  # Freqtrade has it, and not that it was executed
        return lost_fill(orders, key, _signal_time(orders.of_bot[key][1].tag))
    nobody = "neither Freqtrade nor the store knows it" if orders.bot is not None else "of which no fill is stored"
    when = f"{order.placed_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"the venue executed {order.side} order {order_id} ({order.amount}), placed {when}"
    return Finding("unknown order", pair, None, f"{what}: {nobody}", order_id)


def _names(text: str | None, receipt: Mapping[str, Any]) -> bool:
    tag = SignalTag.parse(text)
    return tag is not None and tag.strategy_id == receipt["strategy_id"] and _tag_time(tag) == receipt["ts"]


def _signal_time(tag: str | None) -> datetime | None:
    parsed = SignalTag.parse(tag)
    return None if parsed is None else _tag_time(parsed)


def _tag_time(tag: SignalTag) -> datetime:
    return datetime.fromtimestamp(tag.ts_ms // 1000, UTC)


def _fill_key(fill: Mapping[str, Any]) -> OrderKey:
    return fill["pair"], fill["order_id"]
