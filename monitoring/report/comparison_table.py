"""Lays a comparison of live trades with the backtest out: a table for people, plain values for machines."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from monitoring.chain.comparison import ComparedTrade, Comparison
from monitoring.report.json_time import json_time

PARTS = {
    "delay": "delay",
    "other_exit": "other exit",
    "price": "price",
    "fees": "fees",
    "skipped": "skipped trades",
    "only_live": "trades of live alone",
}
_SOURCES = {
    "given": "as given",
    "paid": "what the bot paid on average",
    "assumed": "assumed, as no fill tells its fee",
}


def comparison_object(found: Comparison) -> dict[str, Any]:
    """Return every trade with its parts, and the totals, as plain JSON values; ratios are fractions."""
    totals = found.totals
    return {
        "strategy_id": found.scope.strategy_id,
        "consumer": found.scope.consumer,
        "timeframe": found.scope.timeframe.name,
        "since": json_time(found.scope.since),
        "until": json_time(found.scope.until),
        "fee": found.fee,
        "fee_source": found.fee_source,
        "trades": [_trade_object(trade) for trade in found.trades],
        "totals": {
            "live": totals.live,
            "backtest": totals.backtest,
            "difference": totals.difference,
            "parts": totals.parts,
            "profit_quote": str(found.profit_quote),
        },
        "counts": {
            "both": len(found.both),
            "skipped": len(found.skipped),
            "only_live": len(found.only_live),
            "too_new": found.too_new,
            "shorts": found.shorts,
            "missing_bars": found.missing_bars,
        },
        "skip_reasons": found.skip_reasons,
        "without_bars": list(found.without_bars),
    }


def comparison_text(found: Comparison) -> RenderableType:
    """Return the trades of both sides with their parts, those of one side with the reason, and what it adds up to."""
    parts: list[RenderableType] = []
    if found.both:
        parts += [_both_table(found), ""]
    alone = [*found.skipped, *found.only_live]
    if alone:
        parts += [_alone_table(alone), ""]
    return Group(*parts, *comparison_sentences(found))


def comparison_sentences(found: Comparison) -> list[str]:
    """Return what the comparison adds up to, and what a reader must know of it, as sentences."""
    scope, totals = found.scope, found.totals
    if not found.trades:
        return [
            f"Neither {scope.consumer} nor the backtest traded signals of {scope.strategy_id} {scope.timeframe} from "
            f"{scope.since:%Y-%m-%d %H:%M} to {scope.until:%Y-%m-%d %H:%M} UTC.",
            *_notes(found),
        ]
    told = ", ".join(f"{PARTS[name]} {bps(value)}" for name, value in totals.parts.items() if abs(value) >= 5e-7)
    return [
        f"Live {percent(totals.live)} and backtest {percent(totals.backtest)}, as sums of profit ratios. The "
        f"difference in basis points: {bps(totals.difference)}{f' = {told}' if told else ''}.",
        f"{_count(len(found.both), 'trade')} on both sides, {len(found.skipped):,} in the backtest alone, "
        f"{len(found.only_live):,} in live alone. The backtest pays {found.fee * 1e4:.4g} bps a fill, "
        f"{_SOURCES[found.fee_source]}.",
        *_notes(found),
    ]


def percent(value: float | None) -> str:
    """Return a ratio in percent, with its sign."""
    return "–" if value is None else f"{value * 100:+,.3f} %"


def bps(value: float) -> str:
    """Return a ratio in basis points, with its sign; what rounds to nothing has none."""
    return f"{value * 1e4:+,.2f}" if abs(value) >= 5e-7 else "0.00"


def _both_table(found: Comparison) -> Table:
    several = len({trade.pair for trade in found.both}) > 1
    other_exit = any(trade.split is not None and trade.split.other_exit for trade in found.both)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in (["pair"] if several else []) + ["signal (UTC)"]:
        table.add_column(title, no_wrap=True)
    columns = ["live", "backtest", "bps apart", "delay", *(["exit"] if other_exit else []), "price", "fees"]
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for trade in found.both:
        if trade.split is None or trade.ts is None:
            continue
        split = trade.split
        table.add_row(
            *([trade.pair] if several else []),
            f"{trade.ts:%m-%d %H:%M}",
            percent(trade.live_ratio),
            percent(trade.backtest_ratio),
            bps(trade.difference),
            bps(split.delay),
            *([bps(split.other_exit)] if other_exit else []),
            bps(split.price),
            bps(split.fees),
        )
    return table


def _alone_table(trades: Sequence[ComparedTrade]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("pair", "signal (UTC)"):
        table.add_column(title, no_wrap=True)
    for title in ("live", "backtest"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("why on one side", overflow="fold")
    for trade in trades:
        table.add_row(
            trade.pair,
            "–" if trade.ts is None else f"{trade.ts:%m-%d %H:%M}",
            percent(trade.live_ratio),
            percent(trade.backtest_ratio),
            escape(trade.reason or ""),
        )
    return table


def _notes(found: Comparison) -> list[str]:
    unquoted = sum(1 for trade in found.both if trade.live is not None and not trade.live.is_quoted)
    assumed = sum(1 for trade in found.both if trade.live is not None and trade.live.fees == "assumed")
    held = sum(1 for trade in found.both if trade.live is not None and trade.live.closed_at is None)
    notes = [
        (held, "is held at the end and worth the last close", "are held at the end and worth the last close"),
        (unquoted, "has no quote: its price is part of the delay", "have no quote: their price is part of the delay"),
        (assumed, "does not tell its fees: those of the backtest are taken",
         "do not tell their fees: those of the backtest are taken"),
        (found.too_new, "is newer than the stored bars and left out", "are newer than the stored bars and left out"),
        (found.shorts, "is short, which the backtest is not, and left out",
         "are short, which the backtest is not, and left out"),
    ]  # fmt: skip
    sentences = [f"{_count(count, 'trade')} {one if count == 1 else more}." for count, one, more in notes if count]
    if found.missing_bars:
        sentences.append(f"{_count(found.missing_bars, 'bar')} lack: the backtest fills at the next one that exists.")
    if found.without_bars:
        sentences.append(f"No bars are stored of {', '.join(found.without_bars)}: left out.")
    return sentences


def _trade_object(trade: ComparedTrade) -> dict[str, Any]:
    live, backtest, split = trade.live, trade.backtest, trade.split
    return {
        "pair": trade.pair,
        "ts": json_time(trade.ts),
        "live": None
        if live is None
        else {
            "profit_ratio": trade.live_ratio,
            "profit_quote": str(live.profit_quote),
            "trade_id": live.trade_id,
            "opened_at": json_time(live.opened_at),
            "closed_at": json_time(live.closed_at),
            "exit_ts": json_time(live.exit_ts),
            "exit_reason": live.exit_reason,
            "open_quoted": None if live.open_quoted is None else str(live.open_quoted),
            "open_rate": str(live.open_rate),
            "close_quoted": None if live.close_quoted is None else str(live.close_quoted),
            "close_rate": str(live.close_rate),
            "fees": live.fees,
        },
        "backtest": None
        if backtest is None
        else {
            "profit_ratio": trade.backtest_ratio,
            "opened_at": json_time(backtest.opened_at),
            "closed_at": json_time(backtest.closed_at),
            "exit_ts": json_time(backtest.exit_ts),
            "open_rate": backtest.rates.open_rate,
            "close_rate": backtest.rates.close_rate,
        },
        "difference": trade.difference,
        "parts": None
        if split is None
        else {"delay": split.delay, "other_exit": split.other_exit, "price": split.price, "fees": split.fees},
        "reason": trade.reason,
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
