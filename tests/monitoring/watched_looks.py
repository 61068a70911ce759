"""Looks made by hand: one at which all is well, to which a test does what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from monitoring.alerts.rules import judge
from monitoring.alerts.verdict import Verdict
from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import SignalChain
from monitoring.facts import (
    BotHealth,
    ExportFacts,
    Look,
    ResearchHealth,
    SeriesHealth,
    StoreHealth,
    StrategyLook,
    VenueHealth,
)
from monitoring.problem import Problem
from monitoring.watch_file import Rules, WatchedStrategy

MINUTE = timedelta(minutes=1)
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)  # the bar that closed at noon is the newest of each look
SECOND = timedelta(seconds=1)
PAIR = "BTC/USDT"
WATCHED = WatchedStrategy(
    strategy_id="s",
    timeframe="1m",
    consumer="bot",
    pairs=(PAIR,),
    every_bar=True,
    freqtrade="http://127.0.0.1:8080",
    exchange="binance",
)
AT = NOON + 40 * SECOND


def chain(
    minute: int, decision: str | None = "skipped", reason: str | None = "in_position", **other: Any
) -> SignalChain:
    """A signal whose bar closed so many minutes after noon; a receipt came half a second after the close."""
    close = NOON + minute * MINUTE
    seen = None if decision is None else close + SECOND / 2
    whole = SignalChain(PAIR, close - MINUTE, close, "enter_long", close, seen, None, None, decision, reason, ())
    return replace(whole, **other)


def filled(minute: int, price: str = "100", quoted: str | None = "100", side: str = "buy", **other: Any) -> SignalChain:
    """A signal that was bought or sold on, a second after its close."""
    at = NOON + minute * MINUTE + SECOND
    fill = {"pair": PAIR, "order_id": f"{minute}", "side": side, "price": Decimal128(price), "filled_at": at}
    fill |= {} if quoted is None else {"quoted": Decimal128(quoted)}
    return chain(minute, "entered", None, ordered=at, filled=at, fills=(fill,), **other)


def research(**other: Any) -> ResearchHealth:
    """Research that exported the bar that closed at noon, 0.1 s after the close."""
    ended = NOON + SECOND / 10
    whole = ResearchHealth(
        last_export_at=ended, last_bar=NOON - MINUTE, exports=10, closes=10, closes_exported=10, failed_runs=(),
        inserted=1, changed=0, unchanged=0, retracted=0, refused=0, missing_bars=0, delay_s=(0.1,),
        last_signals={PAIR: NOON - MINUTE}, recorded=(export(0.1),), first_export_at=NOON - 10 * MINUTE,
    )  # fmt: skip
    return replace(whole, **other)


def export(delay_s: float | None, ended: datetime = NOON + SECOND / 10) -> ExportFacts:
    return ExportFacts("run", ended, 1, 0, 0, 0, 0, delay_s)


BOT = BotHealth(
    ping_ms=5.0, state="running", last_process=NOON + 38 * SECOND, stake_quote=Decimal(100), free_quote=Decimal(250),
    stake_currency="USDT", open_trades=1, max_open_trades=3,
)  # fmt: skip
AGREES = Reconciliation(signals=1, receipts=1, fills=1, venue_orders=1, findings=())
SERIES = SeriesHealth("BINANCE:BTCUSDT", "1m", NOON - MINUTE, 40.0)


def strategy(**other: Any) -> StrategyLook:
    whole = StrategyLook(
        WATCHED, research(), (filled(-3), chain(0)), BOT, VenueHealth(20.0), AGREES, bot_since=NOON - 60 * MINUTE
    )
    return replace(whole, **other)


def look(at: datetime = AT, one: StrategyLook | None = None, **other: Any) -> Look:
    """A look at which all is well, 40 s after noon, but for what is said otherwise."""
    strategies = (strategy() if one is None else one,)
    return replace(Look(at, NOON - 120 * MINUTE, StoreHealth(1.0, True), (SERIES,), strategies), **other)


def only(verdict: Verdict, rule: str) -> Problem:
    """The only problem of a verdict, which is of that rule."""
    (problem,) = verdict.problems
    assert problem.rule == rule
    return problem


def alone(rule: str, **settings: Any) -> Rules:
    """All rules but one are off."""
    off = {name: {"enabled": False} for name in Rules.model_fields if name != rule}
    return Rules.model_validate(off | {rule: settings})


def is_judged(rule: str, key_of: Problem, now: Look, rules: Rules | None = None) -> bool:
    """Whether a look would have found that problem again."""
    return judge(now, alone(rule) if rules is None else rules, {}).covers(key_of.key)
