"""Writes some hours of research and trading of two pairs, as the programs would, for tests of what is shown of them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from bson.decimal128 import Decimal128
from trade_documents import NOON, at, fill, position, receipt, signal

from schemas.collections import (
    BAR_GAPS,
    FILLS,
    MINUTE_BARS,
    MONITOR_ALERTS,
    POSITIONS,
    SIGNAL_EXPORTS,
    SIGNAL_RECEIPTS,
    SIGNALS,
    Store,
)
from schemas.monitor_documents import MonitorAlert

PAIRS = {"BTC/USDT": 40_000.0, "ETH/USDT": 3_000.0}
_HOLD_BARS, _EVERY_BARS = 6, 10


def write_day(db: Store, minutes: int = 240, seed: int = 3) -> None:
    """Store it: every tenth bar of each pair enters and leaves six bars later; each seventh entry is skipped."""
    random = np.random.default_rng(seed)
    for number, (pair, price) in enumerate(PAIRS.items()):
        own = {"pair": pair, "symbol": f"BINANCE:{pair.replace('/', '')}"}
        opens = np.round(price * np.exp(np.cumsum(random.normal(0, 4e-4, minutes + 2))), 2)
        db[MINUTE_BARS].insert_many(_bars(own["symbol"], opens))
        entries = list(range(number, minutes - _HOLD_BARS - 2, _EVERY_BARS))
        for trade, entry in enumerate(entries, 1):
            _write_trade(db, random, own, opens, entry, trade + 1_000 * number)
    db[SIGNAL_EXPORTS].insert_many(_exports(random, minutes))
    db[BAR_GAPS].insert_one(
        {"symbol": "BINANCE:ETHUSDT", "timeframe": "1m", "start": at(50), "end": at(52), "state": "filled"}
    )
    db[MONITOR_ALERTS].insert_many(_alerts())


def _bars(symbol: str, opens: Any) -> list[dict[str, Any]]:
    return [
        {"symbol": symbol, "datetime": at(minute), "open": float(opens[minute]), "close": float(opens[minute + 1]),
         "high": float(max(opens[minute : minute + 2])), "low": float(min(opens[minute : minute + 2])), "volume": 1.0}
        for minute in range(len(opens) - 1)
    ]  # fmt: skip


def _write_trade(db: Store, random: Any, own: dict[str, Any], opens: Any, entry: int, trade: int) -> None:
    leave = entry + _HOLD_BARS
    written = {ts: {"created_at": at(ts + 1) + timedelta(seconds=float(random.gamma(2, 0.2)))} for ts in (entry, leave)}
    db[SIGNALS].insert_many(
        [signal(entry, "enter_long", **own, **written[entry]), signal(leave, "exit_long", **own, **written[leave])]
    )
    if trade % 7 == 0:
        skipped = [receipt(entry, "skipped", "risk", **own), receipt(leave, "skipped", "no_position", **own)]
        db[SIGNAL_RECEIPTS].insert_many(skipped)
        return
    fills, receipts = [], []
    for side, ts, sign, decision in (("buy", entry, 1, "entered"), ("sell", leave, -1, "exited")):
        seen = written[ts]["created_at"] + timedelta(seconds=float(random.gamma(2, 0.3)))
        receipts.append(receipt(ts, decision, seen_at=seen, **own))
        quoted = round(float(opens[ts + 1]) * (1 + sign * abs(random.normal(0, 2e-4))), 2)
        price = round(quoted * (1 + sign * abs(random.normal(0, 1e-4))), 2)
        ordered = seen + timedelta(seconds=float(random.gamma(2, 0.4)))
        times = {"ordered_at": ordered, "filled_at": ordered + timedelta(seconds=float(random.gamma(2, 0.1)))}
        fee = {"quoted": f"{quoted:.2f}", "fee": f"{price * 0.00075:.8f}", "trade": trade}
        fills.append(fill(side, "1", f"{price:.2f}", ts, **fee) | own | times | {"price": Decimal128(f"{price:.2f}")})
    db[SIGNAL_RECEIPTS].insert_many(receipts)
    db[FILLS].insert_many(fills)
    times = {"opened_at": fills[0]["filled_at"], "closed_at": fills[1]["filled_at"]}
    db[POSITIONS].insert_one(position(entry, leave, trade=trade) | own | times)


def _exports(random: Any, minutes: int) -> list[dict[str, Any]]:
    exports = []
    for minute in range(minutes):
        if minute in (100, 101):  # a session that was away for two bars
            continue
        delay = float(random.gamma(3, 0.25)) + (40.0 if minute == 170 else 0.0)
        close = at(minute + 1)
        exports.append(
            {
                "run_id": "r", "strategy_id": "s", "timeframe": "1m", "pairs": list(PAIRS), "first_ts": at(minute),
                "last_ts": at(minute), "inserted": 1, "changed": 0, "unchanged": 1, "retracted": 0, "refused": 0,
                "missing_bars": 0, "bars_seen_at": close + timedelta(seconds=delay / 3), "delay_s": delay,
                "exported_at": close + timedelta(seconds=delay),
            }
        )  # fmt: skip
    return exports


def _alerts() -> list[dict[str, Any]]:
    def alert(name: str, rule: str, severity: str, text: str, since: datetime, over: datetime | None) -> dict[str, Any]:
        return MonitorAlert(
            alert_id=name, slot=name, rule=rule, strategy_id="s", consumer="bot", subject=name, severity=severity,  # type: ignore[arg-type]
            text=text, began_at=since, noticed_at=since, seen_at=over or since, told_at=since, over_at=over,
            ended=None if over is None else "over", settled=over is not None,
        ).to_mongo()  # fmt: skip

    return [
        alert(
            "missing", "signal_missing", "critical", "s has had no signal of BTC/USDT 1m for 3 bars.", at(103), at(104)
        ),
        alert("slippage", "slippage", "warning", "A fill of ETH/USDT was 25 bps worse than the market.", at(200), None),
        alert("before", "gap_open", "warning", "This one ended before the span.", NOON - timedelta(hours=3), at(-60)),
    ]
