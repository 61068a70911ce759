"""Tells how long signals took to each stage: percentiles per strategy, pair and timeframe, and the share in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.chain.signal_chain import STAGES, SignalChain, percentile
from schemas.timeframes import Timeframe

EXPORT_LIMIT_BARS = 0.5
SEEN_LIMIT_BARS = 3.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Nearest-rank percentiles of so many durations, milliseconds; `worst_ms` is the longest."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class StageLatency:
    """How long a stage took: after the bar's close, and as the step from the stage before it that is known.

    Both are None where no signal reached the stage.
    """

    after_close: Figures | None
    step: Figures | None


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some signals were in time."""

    within: int
    of: int

    @property
    def ratio(self) -> float | None:
        """The share from 0 to 1; None of none."""
        return self.within / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the signals of one strategy, pair and timeframe took.

    Attributes
    ----------
    strategy_id, timeframe : str
    pair : str or None
        None for all pairs together.
    signals : int
        How many were counted: those that somebody waited for.
    stages : mapping of str to StageLatency
        By name, in the order of STAGES.
    exported : Share
        Of those that are exported or whose time for it is over, the part exported within half a bar.
    seen : Share
        Of those that the bot saw or whose time is over, the part seen within three bars.
    """

    strategy_id: str
    timeframe: str
    pair: str | None
    signals: int
    stages: Mapping[str, StageLatency]
    exported: Share
    seen: Share


def latencies(
    strategy_id: str, timeframe: Timeframe, chains: Sequence[SignalChain], at: datetime, due_from: datetime | None
) -> list[Latency]:
    """Return the latency of each pair, sorted, and before them that of all pairs together where there are several.

    Parameters
    ----------
    strategy_id : str
    timeframe : Timeframe
    chains : sequence of SignalChain
        Signals of the strategy and timeframe, as one bot saw them.
    at : datetime
        When they were read: a signal that nobody has seen counts against the limit when its time is over then.
    due_from : datetime or None
        From when on somebody waited for signals: when the bot saw its first one, or, without a bot, when the first
        export ended. Signals of bars that had closed before count only where the bot saw them: what a catch-up
        exports of the past is no latency. None: nobody did, and only signals that were seen count.
    """
    awaited = [
        chain for chain in chains if chain.seen is not None or (due_from is not None and chain.close >= due_from)
    ]
    by_pair: dict[str, list[SignalChain]] = {}
    for chain in awaited:
        by_pair.setdefault(chain.pair, []).append(chain)
    found = [_latency(strategy_id, timeframe, pair, by_pair[pair], at) for pair in sorted(by_pair)]
    return [_latency(strategy_id, timeframe, None, awaited, at), *found] if len(found) > 1 else found


def figures(durations: Iterable[timedelta]) -> Figures | None:
    """Return the percentiles of some durations; None of none."""
    ranked = sorted(durations)
    if not ranked:
        return None
    ms = [duration / timedelta(milliseconds=1) for duration in ranked]
    p50, p95, p99, worst = (percentile(ms, percent) or 0.0 for percent in (50, 95, 99, 100))
    return Figures(len(ms), p50, p95, p99, worst)


def _latency(
    strategy_id: str, timeframe: Timeframe, pair: str | None, chains: Sequence[SignalChain], at: datetime
) -> Latency:
    steps = [chain.steps() for chain in chains]
    stages = {
        stage: StageLatency(
            after_close=figures(time for chain in chains if (time := chain.after_close(stage)) is not None),
            step=figures(step[stage] for step in steps if stage in step),
        )
        for stage in STAGES
    }
    return Latency(
        strategy_id=strategy_id,
        timeframe=timeframe.name,
        pair=pair,
        signals=len(chains),
        stages=stages,
        exported=_share(chains, "exported", EXPORT_LIMIT_BARS * timeframe.delta, at),
        seen=_share(chains, "seen", SEEN_LIMIT_BARS * timeframe.delta, at),
    )


def _share(chains: Sequence[SignalChain], stage: str, limit: timedelta, at: datetime) -> Share:
    """Count the signals that reached a stage in time, of those that reached it or can not do so in time any more."""
    within = over = 0
    for chain in chains:
        reached: datetime | None = getattr(chain, stage)
        if reached is not None and reached - chain.close <= limit:
            within += 1
        elif reached is not None or at - chain.close > limit:
            over += 1
    return Share(within, within + over)
