"""Lays a reconciliation out, as text and tables for people and as plain values for machines."""

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from monitoring.chain.reconciliation import Reconciliation
from monitoring.report.json_time import json_time

_BALANCE_PARTS = ("held", "in_trades", "dust", "besides", "unexplained", "allowed")


def reconciliation_object(result: Reconciliation) -> dict[str, Any]:
    """Return what was compared and found as plain JSON values; amounts are texts, to the last digit."""
    return {
        "agrees": result.agrees,
        "since": json_time(result.since) if result.since else None,
        "until": json_time(result.until) if result.until else None,
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
                "ts": json_time(one.ts) if one.ts else None,
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
