"""Documents of the chain as its writers store them, for tests: signals, exports, receipts, fills."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson.decimal128 import Decimal128

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PAIR = "BTC/USDT"
STRATEGY = "s"
BOT = "bot"


def opens(minute: int) -> datetime:
    """The open of the bar so many minutes after noon."""
    return NOON + minute * MINUTE


def after_close(minute: int, ms: float) -> datetime:
    """So many milliseconds after the close of that bar."""
    return opens(minute + 1) + timedelta(milliseconds=ms)


def signal(minute: int, exported_ms: float, pair: str = PAIR, **other: Any) -> dict[str, Any]:
    written = after_close(minute, exported_ms)
    key = {"strategy_id": STRATEGY, "pair": pair, "timeframe": "1m", "ts": opens(minute)}
    given = {"symbol": f"BINANCE:{pair.replace('/', '')}", "action": "enter_long", "version": 1, "run_id": "r"}
    return key | given | {"created_at": written, "updated_at": written} | other


def export(minute: int, ended_ms: float, seen_ms: float | None = None, **other: Any) -> dict[str, Any]:
    """An export of one bar; with `seen_ms` a live session's."""
    live = {} if seen_ms is None else {"bars_seen_at": after_close(minute, seen_ms), "missing_bars": 0}
    counts = {"inserted": 1, "changed": 0, "unchanged": 0, "retracted": 0, "refused": 0}
    own = {"run_id": "r", "strategy_id": STRATEGY, "timeframe": "1m", "pairs": [PAIR]}
    times = {"first_ts": opens(minute), "last_ts": opens(minute), "exported_at": after_close(minute, ended_ms)}
    return own | counts | times | live | {"delay_s": ended_ms / 1000} | other


def receipt(minute: int, seen_ms: float, pair: str = PAIR, **other: Any) -> dict[str, Any]:
    key = {"consumer": BOT, "strategy_id": STRATEGY, "pair": pair, "timeframe": "1m", "ts": opens(minute)}
    return key | {"decision": "entered", "seen_at": after_close(minute, seen_ms), "version": 1} | other


def fill(minute: int, ordered_ms: float, filled_ms: float, order_id: str, **other: Any) -> dict[str, Any]:
    key = {"consumer": BOT, "strategy_id": STRATEGY, "pair": PAIR, "timeframe": "1m", "ts": opens(minute)}
    what = {"order_id": order_id, "side": "buy", "amount": Decimal128("0.5"), "price": Decimal128("43000.10")}
    times = {"ordered_at": after_close(minute, ordered_ms), "filled_at": after_close(minute, filled_ms)}
    return key | what | times | other
