"""A look at which everything is known, so that every metric has a value: for tests of metrics and their readers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from monitoring.chain.reconciliation import Finding, Reconciliation
from monitoring.chain.signal_chain import SignalChain
from monitoring.facts import (
    BarGapFacts,
    BotHealth,
    ExportFacts,
    FailedRun,
    Look,
    ResearchHealth,
    SeriesHealth,
    StoreHealth,
    StrategyLook,
    VenueHealth,
)
from monitoring.problem import Problem, Severity
from monitoring.watch_file import WatchedStrategy

MINUTE = timedelta(minutes=1)
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
WATCHED = WatchedStrategy(strategy_id="btc_momentum", timeframe="1m", consumer="bot", pairs=("BTC/USDT",))
PROBLEM = Problem("signal_late", "BTC/USDT", Severity.WARNING, "It is late.", NOON, "btc_momentum", "bot", "BTC/USDT")


def chain(minute: int = 0, pair: str = "BTC/USDT", **other: Any) -> SignalChain:
    """A signal of the bar that opened `minute` minutes after noon, followed to its fill 2.25 s after the close."""
    opened = NOON + minute * MINUTE
    close = opened + MINUTE
    fill = {
        "order_id": f"{pair}-{minute}",
        "side": "buy",
        "price": Decimal128("100.2"),
        "quoted": Decimal128("100"),
        "ordered_at": close + timedelta(milliseconds=1_100),
        "filled_at": close + timedelta(milliseconds=2_250),
    }
    whole = SignalChain(
        pair=pair,
        ts=opened,
        close=close,
        content="enter_long",
        available=close + timedelta(milliseconds=40),
        exported=close + timedelta(milliseconds=80),
        seen=close + timedelta(milliseconds=540),
        ordered=close + timedelta(milliseconds=1_100),
        filled=close + timedelta(milliseconds=2_250),
        decision="entered",
        reason=None,
        fills=(fill,),
    )
    return replace(whole, **other)


def export(minute: int = 0, **other: Any) -> ExportFacts:
    """The export of the bar that opened `minute` minutes after noon, which ended 90 ms after the close."""
    ended = NOON + (minute + 1) * MINUTE + timedelta(milliseconds=90)
    whole = ExportFacts(f"run-{minute}", ended, 2, 1, 3, 1, 0, 0.09)
    return replace(whole, **other)


def research(*recorded: ExportFacts, **other: Any) -> ResearchHealth:
    """Research that exported 9 of 10 closes, the newest one two minutes and 90 ms after noon."""
    whole = ResearchHealth(
        last_export_at=NOON + MINUTE + timedelta(milliseconds=90),
        last_bar=NOON,
        exports=10,
        closes=10,
        closes_exported=9,
        failed_runs=(FailedRun("run-9", "btc_momentum", NOON, "It failed."),),
        inserted=2,
        changed=1,
        unchanged=3,
        retracted=1,
        refused=0,
        missing_bars=4,
        delay_s=(0.09,),
        recorded=recorded,
    )
    return replace(whole, **other)


def bot(*rate_limited_at: datetime) -> BotHealth:
    """A bot that answers within 12 ms, with 950.5 USDT free and 100 for the next entry."""
    return BotHealth(
        ping_ms=12.0,
        state="running",
        last_process=NOON + timedelta(seconds=55),
        stake_quote=Decimal("100"),
        free_quote=Decimal("950.5"),
        stake_currency="USDT",
        open_trades=1,
        max_open_trades=3,
        rate_limited_at=rate_limited_at,
    )


def reconciliation() -> Reconciliation:
    """Two findings of one kind among 10 signals, 9 receipts and 7 fills; the venue was not asked."""
    finding = Finding("no receipt", "BTC/USDT", NOON, "There is none.")
    return Reconciliation(signals=10, receipts=9, fills=7, venue_orders=None, findings=(finding, finding))


def strategy(*chains: SignalChain, **other: Any) -> StrategyLook:
    """Everything of one strategy."""
    whole = StrategyLook(WATCHED, research(export()), chains, bot(), VenueHealth(30.0), reconciliation())
    return replace(whole, **other)


def look(*strategies: StrategyLook, minute: int = 2, **other: Any) -> Look:
    """A look `minute` minutes after noon at one series with two gaps of four bars together, and at strategies."""
    at = NOON + minute * MINUTE
    gaps = (
        BarGapFacts(NOON - 60 * MINUTE, NOON - 58 * MINUTE),
        BarGapFacts(NOON - 30 * MINUTE, NOON - 30 * MINUTE),
    )
    series = SeriesHealth("BINANCE:BTCUSDT", "1m", at - 2 * MINUTE, 60.0, gaps)
    whole = Look(at, at - timedelta(hours=2), StoreHealth(0.8, is_replica_set=True), (series,), strategies)
    return replace(whole, **other)
