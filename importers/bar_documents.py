"""How a bar lies in MongoDB, byte by byte: bars become BSON rows of one width without a Python object each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from importers.bars import OHLCV, Bars
from schemas.collections import bars_collection
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

Rows = NDArray[np.uint8]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
_DATE_BYTES = 8  # YYYYMMDD; the same width as a BSON date, so that both kinds of key fit one kind of hole


@dataclass(frozen=True)
class BarLayout:
    """The documents of one symbol and timeframe: constant bytes with holes for the key and five doubles.

    The order of fields never changes: readers recognise a bar by its constant bytes.
    """

    symbol: Symbol
    timeframe: Timeframe

    @property
    def collection(self) -> str:
        """The collection that holds these bars."""
        return bars_collection(self.timeframe)

    @property
    def key_field(self) -> str:
        """The field of a bar's open: `date` in daily bars, `datetime` in those of a minute."""
        return "date" if self.timeframe.name == "1d" else "datetime"

    def key(self, open_ms: int) -> str | datetime:
        """Return the key field's value of the bar that opens at `open_ms`."""
        time = _EPOCH + timedelta(milliseconds=int(open_ms))
        return f"{time:%Y%m%d}" if self.key_field == "date" else time

    def open_ms(self, key: object) -> int | None:
        """Return the open of a stored key, or None where the value is no key of this layout."""
        if self.key_field == "date":
            try:
                time = datetime.strptime(key, "%Y%m%d").replace(tzinfo=UTC) if isinstance(key, str) else None
            except ValueError:
                return None
        else:
            time = key if isinstance(key, datetime) else None
        return None if time is None else (time - _EPOCH) // timedelta(milliseconds=1)

    def range_filter(self, first_ms: int, last_ms: int) -> dict[str, Any]:
        """Return the query for the bars that open from `first_ms` to `last_ms`, both included."""
        return {"symbol": str(self.symbol), self.key_field: {"$gte": self.key(first_ms), "$lte": self.key(last_ms)}}

    @cached_property
    def _template(self) -> Rows:
        key = "0" * _DATE_BYTES if self.key_field == "date" else _EPOCH
        document = {self.key_field: key, "symbol": str(self.symbol), **dict.fromkeys(OHLCV, 0.0)}
        return np.frombuffer(bson.encode(document), np.uint8)

    @property
    def width(self) -> int:
        """Bytes of one document without its `_id`."""
        return len(self._template)

    @cached_property
    def key_hole(self) -> int:
        """Where the key's eight bytes begin."""
        return 4 + 1 + len(self.key_field) + 1 + (4 if self.key_field == "date" else 0)

    @cached_property
    def _value_holes(self) -> tuple[int, ...]:
        # Doubles end the document: from its end (one NUL) backwards each takes its name, a NUL, a type and 8 bytes.
        ends = np.cumsum([0, *(1 + len(name) + 1 + 8 for name in reversed(OHLCV))])[:-1]
        return tuple(int(self.width - 1 - end - 8) for end in reversed(ends))

    def rows(self, bars: Bars) -> Rows:
        """Return the bars as BSON documents without `_id`, one a row; shape (n, width)."""
        rows = np.empty((len(bars), self.width), np.uint8)
        rows[:] = self._template
        rows[:, self.key_hole : self.key_hole + 8] = self._keys(bars)
        for hole, column in zip(self._value_holes, bars.ohlcv, strict=True):
            rows[:, hole : hole + 8] = np.ascontiguousarray(column, "<f8").view(np.uint8).reshape(-1, 8)
        return rows

    def _keys(self, bars: Bars) -> Rows:
        if self.key_field == "datetime":
            return np.ascontiguousarray(bars.open_ms, "<i8").view(np.uint8).reshape(-1, 8)
        days = np.datetime_as_string((bars.open_ms // _DAY_MS).astype("datetime64[D]"))
        dates = np.char.replace(days, "-", "").astype(f"S{_DATE_BYTES}")
        return np.ascontiguousarray(dates).view(np.uint8).reshape(-1, _DATE_BYTES)


def documents(rows: Rows) -> list[RawBSONDocument]:
    """Return rows as documents that the driver sends as they are; MongoDB adds the `_id`."""
    width, data = rows.shape[1], rows.tobytes()
    return [RawBSONDocument(data[start : start + width]) for start in range(0, len(data), width)]


def decoded(row: Rows) -> dict[str, Any]:
    """Return one document from its bytes, with aware times."""
    return bson.decode(row.tobytes(), _AWARE)
