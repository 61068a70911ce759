"""export_signals: where a graph's decisions leave it, into crypto_signals."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Factor, Position, SymbolFrame
from quantflow_nodes.publish import Batch, ExportCounts, Opinion, publish_signals
from quantflow_nodes.signal_columns import NO_TIME, Label, SignalColumns, joined
from schemas.documents import Action
from schemas.errors import InputError, SignalError
from schemas.symbols import Symbol

_FIRST_LOOK_BARS = 16
_LONGEST_S = 10_000 * 366 * 86_400  # beyond the years that a time has


class ExportSignalsParams(Params):
    """Under which name and in which form the decisions are published."""

    strategy_id: str = Field(min_length=1, max_length=200, description="Name that the consumer reads the signals by.")
    emit: Literal["changes", "every_bar"] = Field(
        "changes", description="changes: a signal where the decision differs from the bar before; every_bar: always."
    )
    value: Literal["action", "weight", "score"] = Field(
        "action", description="action: enter_long and exit_long; weight: the position; score: the factor's value."
    )
    valid_for_bars: int | None = Field(
        None, ge=1, description="The signal is void this many bars after it became available. Without: no end."
    )
    note: str | None = Field(None, max_length=1_000, description="A remark stored with each signal.")

    @model_validator(mode="after")
    def _scores_have_no_changes(self) -> "ExportSignalsParams":
        if self.value == "score" and self.emit == "changes":
            raise ValueError("a score is a number for each bar: set emit to every_bar")
        return self


class ExportSignalsInputs(Ports):
    """A position for actions and weights, a factor for scores."""

    position: Position | None = None
    factor: Factor | None = None


class ExportSignalsOutputs(Ports):
    """What was published, and what the export did."""

    signals: pd.DataFrame
    counts: ExportCounts


class ExportSignals(Node[ExportSignalsParams, ExportSignalsInputs, ExportSignalsOutputs]):
    """Publishes decisions as signals: the same again changes nothing, other content adds a revision."""

    type_name = "export_signals"
    lookback = "one opinion"
    publishes = True

    def lookback_bars(self, params: ExportSignalsParams) -> int:
        """Where to begin to look for the opinion before, from which a change is told."""
        return 0 if params.emit == "every_bar" else _FIRST_LOOK_BARS

    def unsettled(self, params: ExportSignalsParams, inputs: ExportSignalsInputs) -> SymbolFrame | None:
        """The first opinion of each symbol: what the one before it was is not seen."""
        if params.emit == "every_bar":
            return None
        frame, values = wanted_values(params, inputs)
        known = values.notna().to_numpy()
        before: npt.NDArray[np.int64] = np.cumsum(known) - known  # opinions of all symbols above
        starts = frame.symbol_starts
        above: npt.NDArray[np.int64] = np.repeat(before[starts], np.diff([*starts, len(known)]))
        return frame.with_rows(frame.data[known & (before == above)])

    def run(
        self, params: ExportSignalsParams, inputs: ExportSignalsInputs, context: RunContext
    ) -> ExportSignalsOutputs:
        frame, values = wanted_values(params, inputs)
        batch = make_batch(frame, values, params, source=f"graph {context.graph}")
        counts = publish_signals(
            context.db,
            batch,
            context.run_id,
            skew_s=context.settings.clock_skew_s,
            lease_s=context.settings.export_lease_s,
        )
        if counts.refused:
            raise SignalError(
                f"{counts.refused} signals of {params.strategy_id} are of bars that have not closed yet and were "
                f"refused; the other {len(batch.signals) - counts.refused} are published. End the bars before now."
            )
        return ExportSignalsOutputs(signals=batch.columns().frame(), counts=counts)

    def summary(self, params: ExportSignalsParams, outputs: ExportSignalsOutputs) -> dict[str, Any]:
        """What the export did."""
        counts = outputs.counts
        return {
            "strategy_id": params.strategy_id,
            "inserted": counts.inserted,
            "changed": counts.changed,
            "unchanged": counts.unchanged,
            "retracted": counts.retracted,
            "refused": counts.refused,
            "delay_s": counts.delay_s,
        }


def wanted_values(params: ExportSignalsParams, inputs: ExportSignalsInputs) -> tuple[SymbolFrame, "pd.Series[float]"]:
    """Return the input that is published, and its value for each row.

    Raises
    ------
    InputError
        Where that input is not connected, or a position lies outside of [0, 1].
    """
    wanted: SymbolFrame | None = inputs.factor if params.value == "score" else inputs.position
    port = "factor" if params.value == "score" else "position"
    if wanted is None:
        raise InputError(f"A {params.value} is published from the input {port}, which is not connected.")
    values = wanted.data[port].astype("float64")
    if port == "position" and bool((values > 1).any() or (values < 0).any()):
        raise InputError(f"A position lies in [0, 1], found {values.min():g} to {values.max():g}.")
    return wanted, values


def make_batch(
    frame: SymbolFrame,
    values: "pd.Series[float]",
    params: ExportSignalsParams,
    source: str,
    closed_after_ms: int | None = None,
) -> Batch:
    """Return the signals that a frame's values mean, and the bars that they speak for.

    A NaN is no opinion: it gives no signal, and what is stored for its bar stays. Before its first opinion a symbol
    counts as flat, so that a first position of 0 gives no exit. With `closed_after_ms` the batch is about the bars that
    closed after that time; those before only tell what the opinion was.
    """
    opens_ms, decided = frame.times_ms, np.asarray(values, np.float64)
    first_open = None if closed_after_ms is None else closed_after_ms - frame.timeframe.seconds * 1000 + 1
    opinions: list[Opinion] = []
    labels: list[Label] = []
    rows, label = [], []
    known = ~np.isnan(decided)
    for name, start, stop in _symbol_rows(frame):
        own = start + np.flatnonzero(known[start:stop])
        if not own.size:
            continue
        symbol = Symbol.parse(name)
        first = 0 if first_open is None else int(np.searchsorted(opens_ms[own], first_open))
        opinions.append(Opinion(symbol.pair, opens_ms[own[first:]]))
        emitted = np.arange(own.size) if params.emit == "every_bar" else _changes(decided[own], params.value)
        emitted = own[emitted[emitted >= first]]
        rows.append(emitted)
        label.append(len(labels) + _is_exit(decided[emitted], params))
        labels += _labels(symbol, params, source)
    signals = _columns(frame, decided, params, tuple(labels), joined(rows), joined(label))
    signals.check()
    return Batch(params.strategy_id, frame.timeframe, signals, opinions, _stretch(opens_ms, first_open))


def _symbol_rows(frame: SymbolFrame) -> list[tuple[str, int, int]]:
    """Return each symbol with its first row and the one behind its last."""
    starts = frame.symbol_starts
    names = frame.data["symbol"].iloc[starts].astype(str)
    return list(zip(names, starts.tolist(), [*starts[1:].tolist(), len(frame.data)], strict=True))


def _labels(symbol: Symbol, params: ExportSignalsParams, source: str) -> list[Label]:
    """Return what a symbol's signals say in words: two of them where they say to enter or to exit."""
    actions: tuple[Action | None, ...] = ("enter_long", "exit_long") if params.value == "action" else (None,)
    return [Label(str(symbol), symbol.pair, action, params.note, source) for action in actions]


def _is_exit(values: npt.NDArray[np.float64], params: ExportSignalsParams) -> npt.NDArray[np.int64]:
    """Return the place of each value's label among those of its symbol."""
    return ((params.value == "action") & ~(values > 0)).astype(np.int64)


def _columns(
    frame: SymbolFrame,
    values: npt.NDArray[np.float64],
    params: ExportSignalsParams,
    labels: tuple[Label, ...],
    rows: npt.NDArray[np.int64],
    label: npt.NDArray[np.int64],
) -> SignalColumns:
    ts_us = frame.data["datetime"].dt.as_unit("us").astype("int64").to_numpy(np.int64)[rows]
    nothing, chosen = np.full(rows.size, np.nan), values[rows]
    ends = np.full(rows.size, NO_TIME)
    if params.valid_for_bars is not None:
        ends = ts_us + min(frame.timeframe.seconds * (1 + params.valid_for_bars), _LONGEST_S) * 1_000_000
    return SignalColumns(
        params.strategy_id,
        frame.timeframe,
        labels,
        label,
        ts_us,
        score=chosen if params.value == "score" else nothing,
        weight=chosen if params.value == "weight" else nothing,
        valid_until_us=ends,
    )


def _stretch(opens_ms: npt.NDArray[np.int64], first_open: int | None) -> tuple[int, int] | None:
    """Return the first and the last open among the rows of the batch."""
    opens = opens_ms if first_open is None else opens_ms[opens_ms >= first_open]
    return (int(opens.min()), int(opens.max())) if opens.size else None


def _changes(values: npt.NDArray[Any], value: str) -> npt.NDArray[np.int64]:
    decisions = (values > 0).astype(np.float64) if value == "action" else values
    return np.flatnonzero(np.diff(decisions, prepend=0.0) != 0)
