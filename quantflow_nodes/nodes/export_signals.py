"""export_signals: where a graph's decisions leave it, into crypto_signals."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.ports import Factor, Position, SymbolFrame
from quantflow_nodes.publish import Batch, ExportCounts, Opinion, publish_signals
from schemas.documents import Signal
from schemas.errors import InputError, SignalError
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_FIRST_LOOK_BARS = 16


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
        return ExportSignalsOutputs(signals=_as_frame(batch.signals), counts=counts)

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
    opinions, signals = [], []
    data, values = frame.data.reset_index(drop=True), values.reset_index(drop=True)
    opens_ms = frame.times_ms
    first_open = None if closed_after_ms is None else closed_after_ms - frame.timeframe.seconds * 1000 + 1
    for name, rows in data.loc[values.notna()].groupby("symbol", sort=True):
        symbol = Symbol.parse(str(name))
        own = values.loc[rows.index].to_numpy(np.float64)
        opens = opens_ms[rows.index.to_numpy()]
        first = 0 if first_open is None else int(np.searchsorted(opens, first_open))
        opinions.append(Opinion(symbol.pair, opens[first:]))
        emitted = np.arange(own.size) if params.emit == "every_bar" else _changes(own, params.value)
        times = rows["datetime"].iloc
        signals += [
            _signal(symbol, times[row].to_pydatetime(), own[row], frame.timeframe, params, source)
            for row in emitted[emitted >= first]
        ]
    return Batch(params.strategy_id, frame.timeframe, signals, opinions, _stretch(opens_ms, first_open))


def _stretch(opens_ms: npt.NDArray[np.int64], first_open: int | None) -> tuple[int, int] | None:
    """Return the first and the last open among the rows of the batch."""
    opens = opens_ms if first_open is None else opens_ms[opens_ms >= first_open]
    return (int(opens.min()), int(opens.max())) if opens.size else None


def _changes(values: npt.NDArray[Any], value: str) -> npt.NDArray[np.int64]:
    decisions = (values > 0).astype(np.float64) if value == "action" else values
    return np.flatnonzero(np.diff(decisions, prepend=0.0) != 0)


def _signal(
    symbol: Symbol, ts: Any, value: float, timeframe: Timeframe, params: ExportSignalsParams, source: str
) -> Signal:
    content: dict[str, Any] = {params.value: float(value)}
    if params.value == "action":
        content = {"action": "enter_long" if value > 0 else "exit_long"}
    if params.valid_for_bars is not None:
        content["valid_until"] = ts + timeframe.delta * (1 + params.valid_for_bars)
    try:
        return Signal(
            strategy_id=params.strategy_id,
            symbol=str(symbol),
            pair=symbol.pair,
            timeframe=timeframe.name,
            ts=ts,
            note=params.note,
            source=source,
            **content,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SignalError(f"The signal of {symbol} at {ts} can not be published: {reason}") from None


def _as_frame(signals: Any) -> pd.DataFrame:
    columns = ["ts", "symbol", "pair", "action", "weight", "score"]
    return pd.DataFrame([[getattr(signal, name) for name in columns] for signal in signals], columns=columns)
