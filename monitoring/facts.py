"""What one look at the chain found: plain facts, read once, judged by rules, shown in tables, served as metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import SignalChain
from monitoring.watch_file import WatchedStrategy


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether MongoDB answers.

    Attributes
    ----------
    ping_ms : float or None
        How long it took to answer, machine time; None where it did not.
    error : str or None
        Why it did not, as a sentence without a password.
    """

    ping_ms: float | None
    is_replica_set: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BarGapFacts:
    """A stretch of bars that are missing: opens of the first and the last."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SeriesHealth:
    """How fresh the stored bars of one symbol and timeframe are.

    Attributes
    ----------
    last_open : datetime or None
        Open of the newest bar; None where there is none.
    age_s : float or None
        How long ago that bar closed, in seconds of the market's time.
    open_gaps : tuple of BarGapFacts
        Of state 'open' in `bar_gaps`, oldest first.
    """

    symbol: str
    timeframe: str
    last_open: datetime | None
    age_s: float | None
    open_gaps: tuple[BarGapFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The newest run of a graph that exports the strategy, where it failed."""

    run_id: str
    graph: str
    ended_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """One recorded export; run and time tell it from every other of its strategy.

    Attributes
    ----------
    delay_s : float or None
        From its newest close to its end; None where it had no bar, or was catching up.
    """

    run_id: str
    exported_at: datetime
    inserted: int
    changed: int
    unchanged: int
    retracted: int
    refused: int
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class ResearchHealth:
    """How research did in the span that was looked at.

    Attributes
    ----------
    last_export_at : datetime or None
        When the newest export ended: the heartbeat. Also exports that changed nothing count.
    last_bar : datetime or None
        Open of the newest bar that was exported.
    exports : int
        Exports that were recorded in the span.
    closes : int
        Closes of the span since the strategy's first export, each of which wants to be exported.
    closes_exported : int
        Those of them that an export covers.
    failed_runs : tuple of FailedRun
        Of each graph that exports the strategy and whose newest run failed, oldest first.
    inserted, changed, unchanged, retracted, refused, missing_bars : int
        Sums over the exports.
    delay_s : tuple of float
        From each export's newest close to its end, oldest first, of exports that were not catching up.
    last_signals : mapping of str to datetime
        For each pair, `ts` of its newest signal, of whatever age.
    recorded : tuple of ExportFacts
        Each export of the span, oldest first, by which those that come new from look to look can be counted.
    first_export_at : datetime or None
        When the first export of the strategy and timeframe ended, of whatever age: nothing was due before.
    """

    last_export_at: datetime | None
    last_bar: datetime | None
    exports: int
    closes: int
    closes_exported: int
    failed_runs: tuple[FailedRun, ...]
    inserted: int
    changed: int
    unchanged: int
    retracted: int
    refused: int
    missing_bars: int
    delay_s: tuple[float, ...]
    last_signals: Mapping[str, datetime] = field(default_factory=dict)
    recorded: tuple[ExportFacts, ...] = ()
    first_export_at: datetime | None = None

    @property
    def failed_run(self) -> FailedRun | None:
        """The newest of the failed runs, where one is shown."""
        return self.failed_runs[-1] if self.failed_runs else None

    @property
    def success(self) -> float | None:
        """The share of closes that were exported; None where there were none."""
        return self.closes_exported / self.closes if self.closes else None


@dataclass(frozen=True, slots=True)
class BotHealth:
    """What Freqtrade says of itself over its REST API.

    Attributes
    ----------
    ping_ms : float or None
        None where it did not answer.
    state : str or None
        'running', 'stopped', 'paused' ...
    last_process : datetime or None
        When its last loop ended, by its own clock.
    stake_quote, free_quote : Decimal or None
        What the next entry would spend, and what is free; None where that is not told, or 'unlimited'.
    stake_currency : str or None
    open_trades, max_open_trades : int or None
    rate_limited_at : tuple of datetime
        Times of log lines in which the venue limited it, oldest first, as far back as its log reaches.
    error : str or None
        Why it did not answer, as a sentence.
    """

    ping_ms: float | None
    state: str | None = None
    last_process: datetime | None = None
    stake_quote: Decimal | None = None
    free_quote: Decimal | None = None
    stake_currency: str | None = None
    open_trades: int | None = None
    max_open_trades: int | None = None
    rate_limited_at: tuple[datetime, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class VenueHealth:
    """Whether the venue answers, and when it limited us last; while it does it is not asked: no ping, and no error."""

    ping_ms: float | None
    rate_limited_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StrategyLook:
    """All that was found of one watched strategy; what was not asked for, or did not answer, is None.

    Attributes
    ----------
    watched : WatchedStrategy
        As the watch file has it, with what it left out as it was found: pairs, symbols, consumer.
    since : datetime or None
        Where its span begins: so many bars of its own before `Look.at`, on the grid.
    chains : tuple of SignalChain
        Signals of the span, oldest first.
    reconciliation : Reconciliation or None
        Of the last time that all sides were held against each other, which is not at each look.
    bot_since : datetime or None
        When the bot saw a signal of the strategy for the first time: earlier ones were not for it. None: never.
    """

    watched: WatchedStrategy
    research: ResearchHealth | None = None
    chains: tuple[SignalChain, ...] = ()
    bot: BotHealth | None = None
    venue: VenueHealth | None = None
    reconciliation: Reconciliation | None = None
    bot_since: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything that is watched.

    Attributes
    ----------
    at : datetime
        MongoDB's clock, or where it did not answer the machine's; in a replay the market's time.
    since : datetime
        Where the span begins that chains and research were read for, the earliest of all strategies; it ends at `at`.
    store_commands : mapping of str to int
        Commands that the monitor has sent to MongoDB since it started, by name.
    """

    at: datetime
    since: datetime
    store: StoreHealth
    series: tuple[SeriesHealth, ...] = ()
    strategies: tuple[StrategyLook, ...] = ()
    store_commands: Mapping[str, int] = field(default_factory=dict)
