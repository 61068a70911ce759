"""Publishes the new rows of an export node, and tells what that did and how long it took after the close."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quantflow_nodes.live.bar_history import milliseconds, time_of
from quantflow_nodes.node import Ports, RunContext
from quantflow_nodes.nodes.export_signals import ExportSignalsInputs, ExportSignalsParams, make_batch, wanted_values
from quantflow_nodes.plan import PlannedNode
from quantflow_nodes.publish import Arrival, ExportCounts, publish_signals
from schemas.documents import Signal
from schemas.errors import LockedError
from schemas.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class Exported:
    """One export of a live session.

    Attributes
    ----------
    node, strategy_id : str
    timeframe : Timeframe
    first_ts, last_ts : datetime
        Opens of the first and the last bar that it speaks for.
    seen_s : float
        From the last bar's close until it was seen, seconds of the market's time.
    arrival : Arrival
    counts : ExportCounts
        Its `delay_s` is the time from the last bar's close until the export was done.
    signals : sequence of Signal
        What research says of these bars.
    seconds : float
        From the start of the graph to the end of the export, seconds of this machine.
    catching_up : bool
        Whether it made up for a time in which no session ran.
    """

    node: str
    strategy_id: str
    timeframe: Timeframe
    first_ts: datetime
    last_ts: datetime
    seen_s: float
    arrival: Arrival
    counts: ExportCounts
    signals: Sequence[Signal]
    seconds: float = 0.0
    catching_up: bool = False

    @property
    def close(self) -> datetime:
        """When the last bar closed."""
        return self.last_ts + self.timeframe.delta

    @property
    def bars(self) -> int:
        """How many bars the stretch is long."""
        return (self.last_ts - self.first_ts) // self.timeframe.delta + 1

    @property
    def of_the_last_bar(self) -> list[Signal]:
        """What research says of the last bar."""
        return [signal for signal in self.signals if signal.ts == self.last_ts]

    @property
    def is_late(self) -> bool:
        """Whether more than half a bar had passed since the close."""
        return not self.catching_up and (self.counts.delay_s or 0.0) > self.timeframe.seconds / 2


def publish_new(
    node: PlannedNode, inputs: Ports, context: RunContext, closed_after_ms: int, arrival: Arrival
) -> Exported:
    """Publish what an export node says of the bars that closed after a time.

    Raises
    ------
    LockedError
        Where another run exports the strategy, or the server's clock says that a bar has not closed: try again.
    QuantFlowError
        Where the values can not be published.
    """
    params, given = node.params, inputs
    if not (isinstance(params, ExportSignalsParams) and isinstance(given, ExportSignalsInputs)):
        raise TypeError(f"An export_signals node was needed, found {node.type}.")
    frame, values = wanted_values(params, given)
    batch = make_batch(frame, values, params, f"graph {context.graph}", closed_after_ms)
    settings = context.settings
    counts = publish_signals(
        context.db,
        batch,
        context.run_id,
        skew_s=settings.clock_skew_s,
        lease_s=settings.export_lease_s,
        arrival=arrival,
    )
    if counts.refused:
        raise LockedError(f"{counts.refused} bars of {params.strategy_id} have not closed yet by the server's clock.")
    first, last = batch.stretch_ms or (closed_after_ms, closed_after_ms)
    closed = last + frame.timeframe.seconds * 1000
    seen_s = (milliseconds(arrival.seen_at) - closed) / 1000
    return Exported(
        node.name,
        params.strategy_id,
        frame.timeframe,
        time_of(first),
        time_of(last),
        seen_s,
        arrival,
        counts,
        batch.signals,
    )
