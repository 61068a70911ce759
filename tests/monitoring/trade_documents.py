"""Positions, fills, bars and signals as they are stored, for tests of what live trades and backtest have in common."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.decimal128 import Decimal128

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
OWN: dict[str, Any] = {
    "consumer": "bot", "strategy_id": "s", "pair": "BTC/USDT", "symbol": "BINANCE:BTCUSDT", "timeframe": "1m",
}  # fmt: skip


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def fill(
    side: str, amount: str, cost: str, ts: float | None, *, quoted: str | None = None, fee: str | None = None,
    asset: str = "USDT", trade: int = 1, order: str | None = None, seconds: float = 2.0, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A fill two seconds after its signal's close; `ts` is in minutes after noon."""
    ordered = at(0 if ts is None else ts + 1) + timedelta(seconds=seconds)
    document = OWN | {
        "order_id": order or f"{trade}{side}", "trade_id": trade, "side": side, "amount": Decimal128(amount),
        "cost": Decimal128(cost), "price": Decimal128("1"), "ordered_at": ordered, "filled_at": ordered,
    }  # fmt: skip
    if ts is not None:
        document["ts"] = at(ts)
    if quoted is not None:
        document["quoted"] = Decimal128(quoted)
    if fee is not None:
        document |= {"fee": Decimal128(fee), "fee_asset": asset}
    return document | more


def position(ts: float | None, exit_ts: float | None = None, *, trade: int = 1, **more: Any) -> dict[str, Any]:
    """A long one, closed where there is an exit signal; rates are such that nobody should need them."""
    opened = at(0 if ts is None else ts + 1) + timedelta(seconds=2)
    document = OWN | {
        "entry_order_id": f"{trade}buy", "trade_id": trade, "side": "long", "state": "open", "opened_at": opened,
        "amount": Decimal128("2"), "open_rate": Decimal128("101.5"), "stake": Decimal128("203"),
    }  # fmt: skip
    if ts is not None:
        document["ts"] = at(ts)
    if exit_ts is not None:
        closed = at(exit_ts + 1) + timedelta(seconds=2)
        document |= {"state": "closed", "exit_ts": at(exit_ts), "closed_at": closed, "close_rate": Decimal128("108.5")}
    return document | more


def bars(opens: Sequence[float], symbol: str = "BINANCE:BTCUSDT", start: float = 0) -> list[dict[str, Any]]:
    """Bars of 1m from noon on; each closes where the next one opens, the last one where it opened."""
    closes = [*opens[1:], opens[-1]]
    return [
        {"symbol": symbol, "datetime": at(start + minute), "open": float(opened), "close": float(closed),
         "high": float(max(opened, closed)), "low": float(min(opened, closed)), "volume": 1.0}
        for minute, (opened, closed) in enumerate(zip(opens, closes, strict=True))
    ]  # fmt: skip


def signal(ts: float, action: str, **more: Any) -> dict[str, Any]:
    own = {name: value for name, value in OWN.items() if name != "consumer"}
    written = at(ts + 1) + timedelta(milliseconds=80)
    return own | {"ts": at(ts), "action": action, "version": 1, "run_id": "r", "created_at": written} | more


def receipt(ts: float, decision: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    document = OWN | {"ts": at(ts), "decision": decision, "seen_at": at(ts + 1) + timedelta(seconds=1)}
    return document | ({} if reason is None else {"reason": reason}) | more
