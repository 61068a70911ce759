"""Lays out how long signals took: figures of each stage, and a row for each signal, for people and for machines."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from monitoring.chain.latency import EXPORT_LIMIT_BARS, SEEN_LIMIT_BARS, Figures, Latency, Share
from monitoring.chain.signal_chain import STAGES, SignalChain
from monitoring.report.json_time import json_time
from monitoring.sources.span_signals import SpanSignals

_FIGURES = ("p50", "p95", "p99", "worst")
_LONG_MS = 99_999.5  # from here on a row names the unit
_TITLES = {"available": "bars", "exported": "export", "seen": "seen", "ordered": "order", "filled": "fill"}


def latency_object(found: Iterable[SpanSignals], *, with_signals: bool) -> dict[str, Any]:
    """Return the figures, the number of each decision and, if asked, every signal, as plain JSON values."""
    spans = list(found)
    figures = {
        "latency": [_own(span) | _latency_object(one) for span in spans for one in span.latencies],
        "decisions": dict(Counter(str(chain.decision or "no receipt") for span in spans for chain in span.chains)),
    }
    if not with_signals:
        return figures
    return figures | {"signals": [_own(span) | _chain_object(chain) for span in spans for chain in span.chains]}


def latency_page(found: Iterable[SpanSignals], *, with_signals: bool) -> RenderableType:
    """Return for each strategy and bot the figures of each pair, and below them, if asked, a row for each signal."""
    parts: list[RenderableType] = []
    for span in found:
        for one in span.latencies:
            parts += [*([""] if parts else []), _heading(one, span), figures_table(one)]
        if with_signals and span.chains:
            parts += [*([""] if parts else []), _rows_heading(span), chains_table(span.chains)]
    return Group(*parts)


def figures_table(latency: Latency) -> Table:
    """Return a row for each stage: percentiles of the time after the close, and of the step from the stage before."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("stage", no_wrap=True)
    for title in _FIGURES:
        table.add_column(f"{title}", justify="right", no_wrap=True, min_width=7)
    for number, title in enumerate(_FIGURES):
        table.add_column(f"step {title}" if number == 0 else title, justify="right", no_wrap=True, min_width=7)
    for stage, times in latency.stages.items():
        table.add_row(stage, *_durations(times.after_close), *_durations(times.step))
    return table


def chains_table(chains: Sequence[SignalChain]) -> Table:
    """Return a row for each signal with the milliseconds from its bar's close to each stage."""
    several = len({chain.pair for chain in chains}) > 1
    day = _only_day(chains)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in (["pair"] if several else []) + ["close" if day else "close (UTC)", "signal"]:
        table.add_column(title, no_wrap=True)
    for stage in STAGES:
        table.add_column(_TITLES[stage], justify="right", no_wrap=True)
    table.add_column("decision", overflow="fold")
    table.add_column("price", justify="right", overflow="fold")
    for chain in chains:
        table.add_row(*([chain.pair] if several else []), *_cells(chain, f"{'' if day else '%Y-%m-%d '}%H:%M"))
    return table


def duration(ms: float) -> str:
    """Return a duration as people read it, with about three digits: '80 ms', '1.18 s', '4.2 min', '3.1 h', '2.0 d'."""
    size = abs(ms)
    if size < 999.5:
        return f"{ms:.0f} ms"
    for limit, unit, part in ((59_950, "s", 1_000), (3_597_000, "min", 60_000), (86_220_000, "h", 3_600_000)):
        if size < limit:
            value = ms / part
            return f"{value:.2f} {unit}" if unit == "s" and abs(value) < 9.995 else f"{value:.1f} {unit}"
    return f"{ms / 86_400_000:.1f} d"


def _own(span: SpanSignals) -> dict[str, Any]:
    scope = span.scope
    return {"strategy_id": scope.strategy_id, "timeframe": scope.timeframe.name, "consumer": span.consumer}


def _latency_object(latency: Latency) -> dict[str, Any]:
    return {
        "pair": latency.pair,
        "signals": latency.signals,
        "stages": {
            stage: {
                "after_close": None if times.after_close is None else asdict(times.after_close),
                "step": None if times.step is None else asdict(times.step),
            }
            for stage, times in latency.stages.items()
        },
        "in_time": {
            "exported": _share_object(latency.exported, EXPORT_LIMIT_BARS),
            "seen": _share_object(latency.seen, SEEN_LIMIT_BARS),
        },
    }


def _share_object(share: Share, limit_bars: float) -> dict[str, Any]:
    return {"limit_bars": limit_bars, "within": share.within, "of": share.of, "ratio": share.ratio}


def _chain_object(chain: SignalChain) -> dict[str, Any]:
    return {
        "pair": chain.pair,
        "ts": json_time(chain.ts),
        "content": chain.content,
        "decision": chain.decision,
        "reason": chain.reason,
        **{f"{stage}_ms": chain.ms(stage) for stage in STAGES},
        "order_ids": [str(fill["order_id"]) for fill in chain.fills],
    }


def _heading(latency: Latency, span: SpanSignals) -> Text:
    bar_ms = span.scope.timeframe.seconds * 1000
    name = f"{latency.strategy_id} {latency.pair or 'all pairs'} {latency.timeframe}"
    bot = f", as {span.consumer} saw them" if span.consumer else ", read by no bot"
    exported = _in_time("exported", latency.exported, EXPORT_LIMIT_BARS * bar_ms)
    seen = _in_time("seen", latency.seen, SEEN_LIMIT_BARS * bar_ms)
    signals = f"{latency.signals:,} signal{'' if latency.signals == 1 else 's'}"
    return Text.assemble((name, "bold"), f": {signals}{bot}\n{exported}, {seen}")


def _in_time(stage: str, share: Share, limit_ms: float) -> str:
    if share.ratio is None:
        return f"{stage}: none yet"
    # A share of 99.96 % must not read as if all had been in time.
    percent = "100" if share.within == share.of else f"{min(share.ratio * 100, 99.9):.1f}"
    limit = duration(limit_ms).replace(".0 ", " ")
    return f"{stage} within {limit}: {percent} % ({share.within:,} of {share.of:,})"


def _rows_heading(span: SpanSignals) -> Text:
    day = _only_day(span.chains)
    on = f" on {day}" if day else ""
    bot = f" ({span.consumer})" if span.consumer else ""
    scope = span.scope
    return Text.assemble((f"{scope.strategy_id} {scope.timeframe}{bot}", "bold"), f"{on}, UTC; ms after the close")


def _only_day(chains: Sequence[SignalChain]) -> str | None:
    days = {f"{chain.close:%Y-%m-%d}" for chain in chains}
    return days.pop() if len(days) == 1 else None


def _cells(chain: SignalChain, time_form: str) -> list[str]:
    decision = chain.decision or "no receipt"
    price = ", ".join(_price(fill["price"].to_decimal()) for fill in chain.fills)
    return [
        f"{chain.close:{time_form}}",
        chain.content,
        *(_ms(chain.ms(stage)) for stage in STAGES),
        escape(f"{decision}: {chain.reason}" if chain.reason else decision),
        price or "–",
    ]


def _price(price: Decimal) -> str:
    """A mean of several fills has more digits than anybody reads; small prices keep theirs."""
    return f"{price:,.2f}" if price >= 100 else f"{price:.6g}"


def _durations(figures: Figures | None) -> list[str]:
    if figures is None:
        return ["–"] * len(_FIGURES)
    return [duration(getattr(figures, f"{title}_ms")) for title in _FIGURES]


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) < _LONG_MS else duration(value)
