"""Runs a graph bar by bar: each node on its window, only the new rows kept, equal to a run over the whole history."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog

from quantflow_nodes.live.bar_history import BarHistory, milliseconds, time_of
from quantflow_nodes.live.kept_rows import KeptRows
from quantflow_nodes.live.live_plan import LivePlan
from quantflow_nodes.node import Ports, RunContext, TooFewBarsError
from quantflow_nodes.nodes.read_bars import no_bars
from quantflow_nodes.plan import PlannedNode, Source
from quantflow_nodes.ports import SymbolFrame
from quantflow_nodes.runner import NodeFailedError, run_node
from research.stored.stored_bars import BAR_FIELDS

log = structlog.get_logger()
NOTHING_YET = -1


class _TooShallowError(Exception):
    """The rows that are kept do not reach back far enough for a node's window."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What a node is given: its inputs, and the symbols of which they leave out earlier rows."""

    inputs: Ports
    frames: dict[str, KeptRows]
    cut: set[str]


class LiveGraph:
    """The state of a graph at a time: of each output the rows that later rows can depend on.

    The rows of new bars are computed from windows of the kept ones, each as long as its node declares. By induction
    every row equals that of one run over the whole history, as long as no node sees the future.

    Parameters
    ----------
    live : LivePlan
    history : BarHistory
        Where bars come from.
    context : RunContext
        What nodes are lent.
    """

    def __init__(self, live: LivePlan, history: BarHistory, context: RunContext) -> None:
        self._live, self._history, self.context = live, history, context
        self._windows = dict(live.lookbacks)
        self._depth = 1
        self._kept: dict[Source, KeptRows] = {}
        self._plain: dict[Source, Any] = {}
        self._made_at_ms = NOTHING_YET
        self.through_ms = NOTHING_YET

    def has_seen(self, node: str, symbol: str, close_ms: int, values: tuple[float, ...] | None) -> bool:
        """Tell whether a bar of a source was run on, with these values (None: with whichever).

        Of bars from before the state was made that is not known, and the answer is no: an earlier session may have run
        without them.
        """
        if close_ms <= self._made_at_ms:
            return False
        kept = self._kept.get(Source(node, "bars"))
        row = kept.row_at(symbol, close_ms) if kept is not None else None
        if row is None:
            return False
        return values is None or np.array_equal([row[name] for name in BAR_FIELDS], values, equal_nan=True)

    def kept_rows(self) -> dict[str, int]:
        """Return how many rows are kept of each node, at most, whatever the output."""
        counts: dict[str, int] = {}
        for source, kept in self._kept.items():
            counts[source.node] = max(counts.get(source.node, 0), len(kept))
        return counts

    def missing(self, expected: set[tuple[str, str]], close_ms: int) -> set[tuple[str, str]]:
        """Return which of the bars expected at a close, as collection and symbol, are not among the kept ones."""
        seen = {
            (source.collection, symbol)
            for source in self._live.sources.values()
            for symbol in source.symbols
            if self.has_seen(source.node, symbol, close_ms, None)
        }
        return expected - seen

    def start(self, through_ms: int) -> None:
        """Stand where every bar that closed until a time has been seen; without enough bars, at the very beginning."""
        self._made_at_ms = through_ms
        first = min(milliseconds(source.start) for source in self._live.sources.values())
        if through_ms > first:
            try:
                self._seed(through_ms)
                return
            except TooFewBarsError:
                log.info("live_from_the_start", graph=self._live.plan.graph.name)
        self._forget(NOTHING_YET)

    def rewind(self, through_ms: int) -> None:
        """Stand at an earlier time again, to see what has changed since."""
        if through_ms >= self.through_ms:
            return
        for kept in self._kept.values():
            kept.drop_after(through_ms)
        self.through_ms = through_ms
        self._made_at_ms = min(self._made_at_ms, through_ms)
        if any(from_ms > through_ms + 1 for kept in self._kept.values() for from_ms in kept.known_from.values()):
            self.start(through_ms)

    def advance(self, until_ms: int, exported_ms: int) -> dict[str, Ports]:
        """Compute the rows of the bars that closed until a time, and return each export node's inputs.

        Parameters
        ----------
        until_ms : int
            Closes up to this time are seen; then the graph stands there.
        exported_ms : int
            Rows that closed until this time are published already: the inputs hold those after it, and before them as
            many as the node needs. A node whose input has no new row is left out.

        Raises
        ------
        TooFewBarsError
            Where a node needs more bars than there are; nothing has changed then.
        QuantFlowError
            Where the store or a node fails; nothing has changed then.
        """
        while True:
            since = self.through_ms
            try:
                self._read(until_ms)
                for node in self._live.steps:
                    self._step(node, since, until_ms)
                inputs = {node.name: self._given(node, min(since, exported_ms)) for node in self._live.exports}
            except _TooShallowError:
                self._back_to(since)
                self._depth *= 2
                self.start(since)
                continue
            except BaseException:
                self._back_to(since)
                raise
            self.through_ms = until_ms
            self._trim()
            return {name: given.inputs for name, given in inputs.items() if given is not None}

    def _forget(self, through_ms: int) -> None:
        self._kept.clear()
        self._plain.clear()
        self.through_ms = through_ms

    def _back_to(self, since: int) -> None:
        if since == NOTHING_YET:
            self._forget(NOTHING_YET)
        for kept in self._kept.values():
            kept.drop_after(since)

    # ---- from the store to the kept rows

    def _seed(self, through_ms: int) -> None:
        """Read what lies behind a time, run the nodes over it, and keep the rows that are as in the whole history."""
        self._forget(through_ms)
        rows = self._live.rows_needed(self._windows)
        for name, source in self._live.sources.items():
            needed = rows[name]
            bars, known_from = self._history.tail(source, through_ms, None if needed is None else needed * self._depth)
            self._kept[Source(name, "bars")] = KeptRows(bars, known_from)
        for node in self._live.steps:
            given = self._all_of(node)
            unsettled = node.node.unsettled(node.params, given.inputs) if given.cut else None
            for port, frame in self._run(node, given.inputs).items():
                rows_until = frame.with_rows(frame.data[frame.closes_ms <= through_ms])
                kept = KeptRows(rows_until, {})
                for symbol, from_ms in self._known_from(node, given, kept).items():
                    kept.drop_before(symbol, from_ms)
                _drop_unsettled(kept, unsettled)
                self._kept[Source(node.name, port)] = kept

    def _all_of(self, node: PlannedNode) -> _Given:
        frames = {port: self._kept[source] for port, source in node.sources.items() if source in self._kept}
        inputs: dict[str, Any] = {port: kept.frame for port, kept in frames.items()}
        cut = {symbol for kept in frames.values() for symbol in kept.known_from}
        return _Given(node.node.inputs_model(**inputs, **self._plain_inputs(node)), frames, cut)

    def _known_from(self, node: PlannedNode, given: _Given, output: KeptRows) -> dict[str, int]:
        """Return from which close on a node's rows are right, for each symbol for which that is not the beginning.

        A row needs the window before it, and what other symbols have at the same bar.
        """
        window = self._windows[node.name]
        common = max((at for kept in given.frames.values() for at in kept.known_from.values()), default=None)
        if common is None:
            return {}
        own: dict[str, int] = {}
        for kept in given.frames.values():
            for symbol, known_from in kept.known_from.items():
                closes = kept.closes_of(symbol)
                last = int(closes[-1]) + 1 if closes.size else known_from
                start = int(closes[window]) if window is not None and closes.size > window else last
                own[symbol] = max(own.get(symbol, 0), start)
        renamed = not output.spans.keys() <= {symbol for kept in given.frames.values() for symbol in kept.spans}
        if renamed:
            return dict.fromkeys(output.spans, max(*own.values(), common))
        return {
            symbol: max(own.get(symbol, common), common)
            for symbol in output.spans.keys() | own.keys()
            if symbol in own or output.closes_of(symbol)[0] < common
        }

    # ---- from bar to bar

    def _read(self, until_ms: int) -> None:
        for name, source in self._live.sources.items():
            bars = self._history.read(source, self.through_ms, until_ms)
            place = Source(name, "bars")
            if place in self._kept:
                self._kept[place].append(bars)
            else:
                self._kept[place] = KeptRows(bars, {})
            present = self._kept[place].spans.keys() | self._kept[place].known_from.keys()
            missing = sorted(set(source.symbols) - present)
            if missing:
                raise no_bars(missing, source.timeframe, source.start, time_of(until_ms))

    def _step(self, node: PlannedNode, since: int, until_ms: int) -> None:
        given = self._given(node, since)
        if given is None:
            return
        for port, frame in self._run(node, given.inputs).items():
            closes = frame.closes_ms
            added = frame.with_rows(frame.data[(closes > since) & (closes <= until_ms)])
            place = Source(node.name, port)
            if place in self._kept:
                self._kept[place].append(added)
            else:
                self._kept[place] = KeptRows(added, {})

    def _given(self, node: PlannedNode, since: int) -> _Given | None:
        """Return a node's window, widened until its new rows are settled; None where no input has a new row."""
        frames = {port: self._kept[source] for port, source in node.sources.items() if source in self._kept}
        plain = self._plain_inputs(node)
        waiting = sorted(node.sources.keys() - frames.keys() - plain.keys())
        if (frames or waiting) and not any(kept.rows_after(since) for kept in frames.values()):
            return None
        if waiting:
            raise TooFewBarsError(f"{node.name} waits for the first rows of its input {', '.join(waiting)}.")
        while True:
            window = self._windows[node.name]
            if not all(kept.is_deep_enough(since, window) for kept in frames.values()):
                raise _TooShallowError
            cuts = {port: kept.window(since, window) for port, kept in frames.items()}
            cut = set[str]().union(*(left_out for _, left_out in cuts.values()))
            inputs = node.node.inputs_model(**{port: frame for port, (frame, _) in cuts.items()}, **plain)
            if window is None or not cut or not _is_unsettled(node.node.unsettled(node.params, inputs), since, cut):
                return _Given(inputs, frames, cut)
            self._windows[node.name] = max(2 * window, 1)

    def _plain_inputs(self, node: PlannedNode) -> dict[str, Any]:
        return {port: self._plain[source] for port, source in node.sources.items() if source in self._plain}

    def _run(self, node: PlannedNode, inputs: Ports) -> Mapping[str, SymbolFrame]:
        """Run a node; return the frames among its outputs, and remember the others as they are."""
        given = {port: getattr(inputs, port) for port in node.sources}
        try:
            outputs, _ = run_node(node, given, replace(self.context, node=node.name))
        except TooFewBarsError as error:
            raise TooFewBarsError(f"{node.name}: {error}") from None
        except Exception as error:
            raise NodeFailedError(node.name, error) from error
        frames = {}
        for port in type(outputs).model_fields:
            value = getattr(outputs, port)
            if isinstance(value, SymbolFrame):
                frames[port] = value
            else:
                self._plain[Source(node.name, port)] = value
        return frames

    def _trim(self) -> None:
        """Forget rows that no window reaches."""
        reach: dict[Source, int | None] = {}
        for node in (*self._live.steps, *self._live.exports):
            for source in node.sources.values():
                known, window = reach.get(source, 0), self._windows[node.name]
                reach[source] = None if known is None or window is None else max(known, window)
        for source, kept in self._kept.items():
            rows = reach.get(source, 0)
            if rows is not None:
                kept.trim(rows)


def _drop_unsettled(kept: KeptRows, unsettled: SymbolFrame | None) -> None:
    """Forget rows up to the last unsettled one of each symbol of which there are earlier bars."""
    if unsettled is None:
        return
    last = dict(zip(unsettled.data["symbol"].to_numpy(), unsettled.closes_ms.tolist(), strict=True))
    for symbol, close in last.items():
        if symbol in kept.known_from:
            kept.drop_before(symbol, max(close + 1, kept.known_from[symbol]))


def _is_unsettled(unsettled: SymbolFrame | None, since: int, cut: set[str]) -> bool:
    if unsettled is None:
        return False
    new = np.asarray(unsettled.closes_ms > since)
    return any(symbol in cut for symbol in unsettled.data["symbol"].to_numpy()[new])
