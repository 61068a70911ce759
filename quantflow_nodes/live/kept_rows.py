"""The newest rows of a node's output, as far back as later rows can depend on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantflow_nodes.ports import SymbolFrame
from research.bars import symbol_starts

Span = tuple[int, int]
_SLACK_ROWS = 256


class KeptRows:
    """Rows of one output, sorted by symbol and time, to which the rows of new bars are added.

    Parameters
    ----------
    frame : SymbolFrame
        The rows to begin with; its kind and timeframe are those of every window.
    known_from : mapping of str to int
        For a symbol of which earlier rows have been left out: its rows that closed from this time on, in ms, are all
        here. A symbol that is not named is here from the start of its history.
    """

    def __init__(self, frame: SymbolFrame, known_from: Mapping[str, int]) -> None:
        self._kind = frame
        self._length_ms = frame.timeframe.seconds * 1000
        self.known_from = dict(known_from)
        self._set(frame.data.reset_index(drop=True), frame.closes_ms, spans_of(frame.data))

    def _set(self, data: pd.DataFrame, closes: npt.NDArray[np.int64], spans: dict[str, Span]) -> None:
        self._data, self._closes, self.spans = data, closes, spans

    def __len__(self) -> int:
        return len(self._data)

    @property
    def length_ms(self) -> int:
        """Length of a bar."""
        return self._length_ms

    @property
    def frame(self) -> SymbolFrame:
        """All rows."""
        return self._kind.with_rows(self._data)

    def closes_of(self, symbol: str) -> npt.NDArray[np.int64]:
        """Return the closes of a symbol's rows, ascending, ms."""
        start, stop = self.spans.get(symbol, (0, 0))
        return self._closes[start:stop]

    def row_at(self, symbol: str, close_ms: int) -> Mapping[str, Any] | None:
        """Return the row of a symbol's bar that closed at a time, or None where there is none."""
        closes = self.closes_of(symbol)
        place = int(np.searchsorted(closes, close_ms))
        if place == closes.size or closes[place] != close_ms:
            return None
        row = self._data.iloc[self.spans[symbol][0] + place]
        return {str(name): value for name, value in row.items()}

    def rows_after(self, since_ms: int) -> dict[str, int]:
        """Return how many rows of each symbol closed after a time; symbols with none are left out."""
        counts = {symbol: stop - self._place(symbol, since_ms) for symbol, (_, stop) in self.spans.items()}
        return {symbol: count for symbol, count in counts.items() if count}

    def is_deep_enough(self, since_ms: int, before: int | None) -> bool:
        """Tell whether each symbol with rows after a time has `before` rows until then, or all that there are."""
        for symbol in self.rows_after(since_ms):
            known_from = self.known_from.get(symbol)
            if known_from is None:
                continue
            kept = self._place(symbol, since_ms) - self.spans[symbol][0]
            if before is None or kept < before or known_from > since_ms + 1:
                return False
        return True

    def window(self, since_ms: int, before: int | None) -> tuple[SymbolFrame, set[str]]:
        """Return the rows that closed after a time with `before` rows of each symbol until then (None: all).

        Returns
        -------
        SymbolFrame
            The rows.
        set of str
            The symbols of which there are earlier rows that are not in the window.
        """
        firsts = {
            symbol: start if before is None else max(start, self._place(symbol, since_ms) - before)
            for symbol, (start, _) in self.spans.items()
        }
        cut = {symbol for symbol, first in firsts.items() if first > self.spans[symbol][0]} | set(self.known_from)
        ranges = [(firsts[symbol], stop) for symbol, (_, stop) in self.spans.items()]
        return self._kind.with_rows(self._rows(ranges)[0]), cut

    def append(self, frame: SymbolFrame) -> None:
        """Add rows that are later than all rows of their symbol here."""
        added = frame.data.reset_index(drop=True)
        if len(added) == 0:
            return
        data, closes = pd.concat([self._data, added], ignore_index=True), frame.closes_ms
        closes = np.concatenate([self._closes, closes])
        new = {symbol: (a + len(self._data), b + len(self._data)) for symbol, (a, b) in spans_of(added).items()}
        if self.spans.keys() == new.keys() and len(new) == 1:
            self._set(data, closes, {symbol: (0, len(data)) for symbol in new})
            return
        ranges, spans, at = [], {}, 0
        for symbol in sorted(self.spans.keys() | new.keys()):
            own = [part for part in (self.spans.get(symbol), new.get(symbol)) if part is not None]
            ranges += own
            count = sum(stop - start for start, stop in own)
            spans[symbol] = (at, at + count)
            at += count
        order = np.concatenate([np.arange(start, stop) for start, stop in ranges])
        self._set(data.take(order).reset_index(drop=True), closes[order], spans)

    def drop_after(self, since_ms: int) -> None:
        """Forget the rows that closed after a time."""
        self._keep({symbol: (start, self._place(symbol, since_ms)) for symbol, (start, _) in self.spans.items()})

    def drop_before(self, symbol: str, close_ms: int) -> None:
        """Forget a symbol's rows that closed before a time; it is known from then on."""
        start, stop = self.spans.get(symbol, (0, 0))
        first = start + int(np.searchsorted(self._closes[start:stop], close_ms))
        self.known_from[symbol] = close_ms
        if first > start:
            self._keep(self.spans | {symbol: (first, stop)})

    def trim(self, rows: int) -> None:
        """Forget old rows of symbols that have far more than `rows`; some slack is left for a bar that comes late."""
        kept = dict(self.spans)
        for symbol, (start, stop) in self.spans.items():
            if stop - start > 2 * rows + 2 * _SLACK_ROWS:
                first = stop - rows - _SLACK_ROWS
                kept[symbol] = (first, stop)
                self.known_from[symbol] = int(self._closes[first])
        if kept != self.spans:
            self._keep(kept)

    def _place(self, symbol: str, since_ms: int) -> int:
        start, stop = self.spans[symbol]
        return start + int(np.searchsorted(self._closes[start:stop], since_ms, side="right"))

    def _keep(self, ranges: dict[str, Span]) -> None:
        ranges = {symbol: (start, stop) for symbol, (start, stop) in ranges.items() if stop > start}
        data, closes = self._rows(list(ranges.values()))
        spans, at = {}, 0
        for symbol, (start, stop) in ranges.items():
            spans[symbol] = (at, at + stop - start)
            at += stop - start
        self._set(data, closes, spans)

    def _rows(self, ranges: list[Span]) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
        if len(ranges) == 1:
            ((start, stop),) = ranges
            return self._data.iloc[start:stop].reset_index(drop=True), self._closes[start:stop]
        rows = np.concatenate([np.empty(0, np.int64), *(np.arange(start, stop) for start, stop in ranges)])
        if len(rows) == len(self._data):
            return self._data, self._closes
        return self._data.take(rows).reset_index(drop=True), self._closes[rows]


def spans_of(data: pd.DataFrame) -> dict[str, Span]:
    """Return where each symbol's rows begin and end in a frame that is sorted by symbol."""
    if len(data) == 0:
        return {}
    bounds = [*symbol_starts(data["symbol"]).tolist(), len(data)]
    names = [str(data["symbol"].iloc[start]) for start in bounds[:-1]]
    return {name: (start, stop) for name, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True)}
