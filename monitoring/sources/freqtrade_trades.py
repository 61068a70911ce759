"""Reads trades and orders as Freqtrade's REST API tells them, and keeps count of what closed ones left behind."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from monitoring.chain.books import BotOrder, BotTrade, base_of
from schemas.bot.trade_facts import money

CLOCKS_APART = timedelta(minutes=5)  # a trade's close is the venue's time of its last fill, or the bot's own
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 500
_STOP_ORDER = "stoploss"


class Ask(Protocol):
    """Asks the API for a path."""

    def __call__(self, path: str, **query: Any) -> Any:
        """Return the answer."""


class ClosedTrades:
    """The closed trades of a bot, newest first; what is known of older ones is their dust, which is kept as a sum."""

    def __init__(self, get: Ask) -> None:
        self._get = get
        self._dust: dict[str, Decimal] = {}
        self._counted: dict[int, datetime] = {}  # those of the newest moments; older ones are in the sums alone
        self._count = 0
        self._newest = _EPOCH

    def since(self, since: datetime) -> list[BotTrade]:
        """Return those closed from `since` on, and add the dust of those that are new."""
        found: list[BotTrade] = []
        total = 0
        for trade, total in self._newest_first():  # noqa: B007 - the last total is the newest
            closed = trade.closed_at or _EPOCH
            if closed < since and closed < self._newest - CLOCKS_APART:
                break
            found.append(trade)
        fresh = [one for one in found if one.trade_id not in self._counted and self._is_new(one)]
        if self._count + len(fresh) != total:
            # The first time; or the bot's database was replaced, or trades were deleted in it.
            fresh = self._start_again()
        self._add(fresh)
        return [one for one in found if (one.closed_at or _EPOCH) >= since]

    def dust(self) -> dict[str, Decimal]:
        """Return what the closed trades left of each base asset, as of the last reading."""
        return dict(self._dust)

    def _is_new(self, trade: BotTrade) -> bool:
        return (trade.closed_at or _EPOCH) >= self._newest - CLOCKS_APART

    def _start_again(self) -> list[BotTrade]:
        self._dust, self._counted, self._count, self._newest = {}, {}, 0, _EPOCH
        return [trade for trade, _ in self._newest_first()]

    def _add(self, trades: list[BotTrade]) -> None:
        for trade in trades:
            base = base_of(trade.pair)
            self._dust[base] = self._dust.get(base, Decimal(0)) + trade.base_change
            self._counted[trade.trade_id] = trade.closed_at or _EPOCH
        self._count += len(trades)
        self._newest = max(self._counted.values(), default=_EPOCH)
        if self._counted:
            oldest = self._newest - CLOCKS_APART
            self._counted = {number: closed for number, closed in self._counted.items() if closed >= oldest}

    def _newest_first(self) -> Iterator[tuple[BotTrade, int]]:
        offset, seen = 0, set[int]()  # one that closes while pages are read moves all others by one
        while True:
            page = self._get("/trades", limit=_PAGE, offset=offset, order_by_id=False)
            for one in page["trades"]:
                if one["trade_id"] not in seen:
                    seen.add(one["trade_id"])
                    yield read_trade(one), page["total_trades"]
            offset += len(page["trades"])
            if not page["trades"] or offset >= page["total_trades"]:
                return


def read_trade(told: Mapping[str, Any]) -> BotTrade:
    """Return a trade as `/status` and `/trades` tell it."""
    return BotTrade(
        trade_id=int(told["trade_id"]),
        pair=str(told["pair"]),
        is_open=bool(told["is_open"]),
        is_short=bool(told["is_short"]),
        amount=money(told["amount"]),
        opened_at=read_time(told["open_timestamp"]),
        closed_at=read_time(told["close_timestamp"]) if told.get("close_timestamp") else None,
        orders=tuple(_order(told, order) for order in told["orders"]),
    )


def _order(trade: Mapping[str, Any], order: Mapping[str, Any]) -> BotOrder:
    is_entry = order["ft_order_side"] == ("sell" if trade["is_short"] else "buy")
    placed = read_time(order.get("order_timestamp") or trade["open_timestamp"])
    filled = order.get("order_filled_timestamp")
    return BotOrder(
        order_id=str(order["order_id"]),
        side=_side(order["ft_order_side"], is_short=trade["is_short"]),
        amount=money(order.get("filled") or 0.0),
        is_open=bool(order["is_open"]),
        placed_at=placed,
        updated_at=max(placed, read_time(filled)) if filled else placed,
        tag=order.get("ft_order_tag") or trade.get("enter_tag" if is_entry else "exit_reason"),
        fee_base=_fee_base(trade, order, is_entry=is_entry),
        is_stop=order["ft_order_side"] == _STOP_ORDER,
    )


def _side(side: str, *, is_short: bool) -> Literal["buy", "sell"]:
    if side == _STOP_ORDER:
        return "buy" if is_short else "sell"
    return "sell" if side == "sell" else "buy"


def _fee_base(trade: Mapping[str, Any], order: Mapping[str, Any], *, is_entry: bool) -> Decimal:
    """Return what the venue kept of the base; where the account held enough, Freqtrade leaves it out of its amounts."""
    if order.get("ft_fee_base"):
        return money(order["ft_fee_base"])
    part = "open" if is_entry else "close"
    rate = trade.get(f"fee_{part}")
    if rate is None or trade.get(f"fee_{part}_currency") != base_of(str(trade["pair"])):
        return Decimal(0)
    return money((order.get("filled") or 0.0) * rate)


def read_time(epoch_ms: float) -> datetime:
    """Return a time that is told in milliseconds."""
    return _EPOCH + timedelta(milliseconds=round(epoch_ms))
