"""Lays chains and findings out, as tables for people and as plain values for machines."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import STAGES, SignalChain, percentile

_PERCENTS = (50, 95, 100)
_BALANCE_PARTS = ("held", "in_trades", "dust", "besides", "unexplained", "allowed")
_TITLES = ("bars ms", "export ms", "seen ms", "order ms", "fill ms")


def chains_object(chains: Sequence[SignalChain]) -> dict[str, Any]:
    """Return every chain, and the percentiles of each stage, as plain JSON values."""
    return {
        "signals": [
            {
                "pair": chain.pair,
                "ts": _iso(chain.ts),
                "content": chain.content,
                "decision": chain.decision,
                "reason": chain.reason,
                **{f"{stage}_ms": chain.ms(stage) for stage in STAGES},
                "order_ids": [str(fill["order_id"]) for fill in chain.fills],
            }
            for chain in chains
        ],
        "stages_ms": {
            stage: {f"p{percent}": percentile(_stage(chains, stage), percent) for percent in _PERCENTS}
            for stage in STAGES
        },
        "decisions": dict(Counter(str(chain.decision or "no receipt") for chain in chains)),
    }


def chains_table(chains: Sequence[SignalChain]) -> Table:
    """Return a row for each signal with the milliseconds from its bar's close to each stage, then percentiles."""
    several = len({chain.pair for chain in chains}) > 1
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in (["pair"] if several else []) + ["bar close (UTC)", "signal"]:
        table.add_column(title, no_wrap=True)
    for title in _TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("decision", overflow="fold")
    table.add_column("price", justify="right", no_wrap=True)
    for chain in chains:
        table.add_row(*([chain.pair] if several else []), *_cells(chain))
    for percent in _PERCENTS:
        label = {50: "median", 100: "slowest"}.get(percent, f"{percent} %")
        figures = [_ms(percentile(_stage(chains, stage), percent)) for stage in STAGES]
        table.add_row(*([""] if several else []), label, "", *figures, "", "", style="dim", end_section=percent == 0)
    return table


def reconciliation_object(result: Reconciliation) -> dict[str, Any]:
    """Return what was compared and found as plain JSON values; amounts are texts, to the last digit."""
    return {
        "agrees": result.agrees,
        "since": _iso(result.since) if result.since else None,
        "until": _iso(result.until) if result.until else None,
        "pairs": list(result.pairs),
        "signals": result.signals,
        "receipts": result.receipts,
        "fills": result.fills,
        "freqtrade_orders": result.freqtrade_orders,
        "positions": result.positions,
        "venue_orders": result.venue_orders,
        "balances": [
            {
                "asset": one.asset,
                **{name: f"{getattr(one, name):f}" for name in _BALANCE_PARTS},
                "compared": one.is_compared,
                "differs": one.differs,
            }
            for one in result.balances
        ],
        "not_compared": list(result.not_compared),
        "findings": [
            {
                "kind": one.kind,
                "pair": one.pair,
                "ts": _iso(one.ts) if one.ts else None,
                "order_id": one.order_id,
                "what": one.what,
            }
            for one in result.findings
        ],
    }


def reconciliation_text(result: Reconciliation) -> RenderableType:
    """Return what each side was compared by, a line for each finding, and one that sums up."""
    parts: list[RenderableType] = [f"{name:<10} {text}" for name, text in _other_sides(result)]
    if result.balances:
        parts.append(_balances_table(result))
    parts += [
        f"[red]{escape(one.kind)}[/red] {one.pair}{f' {one.ts:%Y-%m-%d %H:%M}' if one.ts else ''}: {escape(one.what)}"
        for one in result.findings
    ]
    orders = "" if result.venue_orders is None else f", {result.venue_orders:,} orders at the venue"
    verdict = "nothing missing, nothing double." if result.agrees else f"findings: {len(result.findings):,}."
    parts.append(f"{result.signals:,} signals, {result.receipts:,} receipts, {result.fills:,} fills{orders}: {verdict}")
    return Group(*parts)


def _other_sides(result: Reconciliation) -> list[tuple[str, str]]:
    """Say what the sides beside the store gave, one line each."""
    if result.freqtrade_orders is None:
        return []
    waiting = [one.asset for one in result.balances if not one.is_compared]
    lines = [
        ("Freqtrade", f"{result.freqtrade_orders:,} orders of that time, {result.positions or 0:,} pairs in position")
    ]
    if waiting:
        lines.append(("balances", f"not compared while orders are on their way: {', '.join(waiting)}"))
    return lines


def _balances_table(result: Reconciliation) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("balance", no_wrap=True)
    for title in ("at the venue", "in trades", "dust, fees", "besides", "unexplained"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in result.balances:
        amounts = (one.held, one.in_trades, one.dust, one.besides, one.unexplained)
        table.add_row(one.asset, *(f"{amount:,.8f}" for amount in amounts), style="red" if one.differs else None)
    return table


def _cells(chain: SignalChain) -> list[str]:
    decision = chain.decision or "no receipt"
    price = ", ".join(_price(fill["price"].to_decimal()) for fill in chain.fills)
    shown = f"{decision}: {chain.reason}" if chain.reason else decision
    return [
        f"{chain.close:%Y-%m-%d %H:%M}",
        chain.content,
        *(_ms(chain.ms(stage)) for stage in STAGES),
        shown,
        price or "–",
    ]


def _price(price: Decimal) -> str:
    """A mean of several fills has more digits than anybody reads; small prices keep theirs."""
    return f"{price:,.2f}" if price >= 100 else f"{price:.6g}"


def _stage(chains: Sequence[SignalChain], stage: str) -> list[float]:
    """The figures of signals that a bot has seen: what was exported before it began says nothing of its way."""
    return [ms for chain in chains if chain.seen is not None and (ms := chain.ms(stage)) is not None]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
