"""Counts what happens to signals, each of them once, although one look after the other shows the same ones again."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, get_args

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from monitoring.chain.latency import EXPORT_LIMIT_BARS, SEEN_LIMIT_BARS
from monitoring.chain.signal_chain import STAGES, SignalChain
from monitoring.facts import StrategyLook
from monitoring.metrics.gauges import strategy_labels
from monitoring.metrics.once import Once, Owner
from schemas.bot_documents import SkipReason
from schemas.timeframes import Timeframe

_OWNER = ("strategy_id", "timeframe", "consumer")
# The limits of 1m, 5m, 1h and 1d (half a bar, three bars) are edges, so the share within them can be read off exactly.
LATENCY_BUCKETS_S = (
    0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 900, 1_800, 3_600, 10_800, 43_200, 259_200,
)  # fmt: skip
SLIPPAGE_BUCKETS = (0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
LIMIT_BARS = {"exported": EXPORT_LIMIT_BARS, "seen": SEEN_LIMIT_BARS}
MAX_PAIRS = 200  # of one strategy with series of their own; further ones are counted together, as 'other'


class SignalCounts:
    """Histograms and counters of signals, of what happened since the process looked for the first time.

    What had happened before is left out: after each restart it would be counted again. A signal is told by strategy,
    bot, pair and bar, and remembered for as long as looks show it.
    """

    def __init__(self) -> None:
        self._once = Once()
        self._pairs: dict[Owner, set[str]] = {}
        self._stages = Histogram(
            "quantflow_signal_stage_seconds",
            "Time from a bar's close until its signal reached a stage; of signals that the bot has seen.",
            (*_OWNER, "pair", "stage"),
            buckets=LATENCY_BUCKETS_S,
            unit="seconds",
            registry=None,
        )
        self._steps = Histogram(
            "quantflow_signal_step_seconds",
            "Time that a signal took to a stage from the one before; a signal's steps add up to its time since close.",
            (*_OWNER, "stage"),
            buckets=LATENCY_BUCKETS_S,
            unit="seconds",
            registry=None,
        )
        self._late = Counter(
            "quantflow_signals_late",
            "Signals that reached a stage after its limit: exported half a bar, seen three bars after the close.",
            (*_OWNER, "pair", "stage"),
            registry=None,
        )
        self._decisions = Counter(
            "quantflow_signal_decisions",
            "Decisions of bots on signals; an entry that filled nothing counts as entered, then as skipped.",
            (*_OWNER, "decision", "reason"),
            registry=None,
        )
        self._fills = Counter("quantflow_fills", "Orders that filled.", (*_OWNER, "side"), registry=None)
        self._slippage = Histogram(
            "quantflow_fill_slippage_ratio",
            "How much worse than the market at its order a fill was, as a share of that price; 0 where it was better.",
            (*_OWNER, "side"),
            buckets=SLIPPAGE_BUCKETS,
            unit="ratio",
            registry=None,
        )

    def collect(self) -> Iterable[Metric]:
        """Return what was counted."""
        for metric in self._all():
            yield from metric.collect()

    def add(self, one: StrategyLook, began: datetime) -> None:
        """Count what a look shows of a strategy for the first time, of what happened after `began`."""
        owner = tuple(strategy_labels(one.watched).values())
        if owner not in self._pairs:
            self._begin(owner)
        timeframe = Timeframe.parse(one.watched.timeframe)
        for chain in one.chains:
            self._add_chain(owner, chain, timeframe, began, is_read=bool(one.watched.consumer))
        if one.chains:
            self._once.forget_before(owner, min(chain.ts for chain in one.chains))

    def keep_only(self, owners: Iterable[Owner]) -> None:
        """Drop the series of all others than these strategies."""
        for gone in set(self._pairs) - set(owners):
            del self._pairs[gone]
            self._once.forget_owner(gone)
            for metric in self._all():
                metric.remove_by_labels(dict(zip(_OWNER, gone, strict=True)))

    @property
    def remembered(self) -> int:
        """How many marks are held in memory."""
        return len(self._once)

    def _all(self) -> tuple[Histogram | Counter, ...]:
        return self._stages, self._steps, self._late, self._decisions, self._fills, self._slippage

    def _begin(self, owner: Owner) -> None:
        """Show zeros from the start: Prometheus can not see the first increase of a series that begins at one."""
        self._pairs[owner] = set()
        for decision in ("entered", "exited"):
            self._decisions.labels(*owner, decision, "")
        for reason in get_args(SkipReason):
            self._decisions.labels(*owner, "skipped", reason)
        for side in ("buy", "sell"):
            self._fills.labels(*owner, side)
            self._slippage.labels(*owner, side)

    def _add_chain(
        self, owner: Owner, chain: SignalChain, timeframe: Timeframe, began: datetime, *, is_read: bool
    ) -> None:
        if chain.seen is None and is_read:  # what was exported of old bars, before the bot began, was not for it
            return
        pair = self._pair_label(owner, chain.pair)
        for stage, took in self._new_stages(owner, chain, began):
            # Clocks of several machines differ by a little; a histogram's sum must not go down.
            since_close = max(0.0, (chain.ms(stage) or 0.0) / 1000)
            self._stages.labels(*owner, pair, stage).observe(since_close)
            self._steps.labels(*owner, stage).observe(max(0.0, took.total_seconds()))
            if stage in LIMIT_BARS:
                self._late.labels(*owner, pair, stage).inc(int(since_close > LIMIT_BARS[stage] * timeframe.seconds))
        self._add_decision(owner, chain, began)
        for fill in chain.fills:
            if fill["filled_at"] > began and self._once.is_new(owner, chain.ts, (chain.pair, "fill", fill["order_id"])):
                self._add_fill(owner, fill)

    def _new_stages(self, owner: Owner, chain: SignalChain, began: datetime) -> Iterator[tuple[str, timedelta]]:
        """Give the stages to count, with their steps; one that becomes known after the next one is within its step."""
        later = max((STAGES.index(stage) for stage in STAGES if self._is_counted(owner, chain, stage)), default=-1)
        for stage, took in chain.steps().items():
            is_new = STAGES.index(stage) > later and getattr(chain, stage) > began
            if is_new and self._once.is_new(owner, chain.ts, (chain.pair, stage)):
                yield stage, took

    def _is_counted(self, owner: Owner, chain: SignalChain, stage: str) -> bool:
        return self._once.is_known(owner, chain.ts, (chain.pair, stage))

    def _add_decision(self, owner: Owner, chain: SignalChain, began: datetime) -> None:
        if chain.decision is None or chain.seen is None or chain.seen <= began:
            return
        if self._once.is_new(owner, chain.ts, (chain.pair, "decision", chain.decision, chain.reason)):
            self._decisions.labels(*owner, chain.decision, chain.reason or "").inc()

    def _add_fill(self, owner: Owner, fill: Mapping[str, Any]) -> None:
        self._fills.labels(*owner, fill["side"]).inc()
        if fill.get("quoted") is None:
            return
        quoted, price = fill["quoted"].to_decimal(), fill["price"].to_decimal()
        if quoted > 0:
            worse = (price - quoted) / quoted * (1 if fill["side"] == "buy" else -1)
            # Negative values would leave the histogram without a sum, which OpenMetrics does not allow.
            self._slippage.labels(*owner, fill["side"]).observe(max(0.0, float(worse)))

    def _pair_label(self, owner: Owner, pair: str) -> str:
        known = self._pairs[owner]
        if pair in known:
            return pair
        label = pair if len(known) < MAX_PAIRS else "other"
        for stage in LIMIT_BARS:
            self._late.labels(*owner, label, stage)
        if label == pair:
            known.add(pair)
        return label
