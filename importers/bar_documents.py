"""How a bar lies in MongoDB, byte by byte: bars become BSON rows of one width without a Python object each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.objectid import ObjectId
from numpy.typing import NDArray

from importers.bars import OHLCV, Bars, Milliseconds
from schemas.collections import bars_collection
from schemas.raw_shape import DocumentShape, Rows
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
_DATE_BYTES = 8  # YYYYMMDD


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
    def _shape(self) -> DocumentShape:
        return self._shape_of({})

    @cached_property
    def stored_shape(self) -> DocumentShape:
        """A stored document, which begins with an ObjectId; holes are `_id`, the key and the values."""
        return self._shape_of({"_id": ObjectId()})

    def _shape_of(self, head: dict[str, Any]) -> DocumentShape:
        document = {**head, self.key_field: self.key(0), "symbol": str(self.symbol), **dict.fromkeys(OHLCV, 0.0)}
        return DocumentShape.of(bson.encode(document), {"_id", self.key_field, *OHLCV})

    @property
    def width(self) -> int:
        """Bytes of one document without its `_id`."""
        return self._shape.width

    def rows(self, bars: Bars) -> Rows:
        """Return the bars as BSON documents without `_id`, one a row; shape (n, width)."""
        columns = dict(zip(OHLCV, bars.ohlcv, strict=True))
        return self._shape.rows({self.key_field: self._keys(bars), **columns}, len(bars))

    def _keys(self, bars: Bars) -> NDArray[Any]:
        if self.key_field == "datetime":
            return bars.open_ms
        days = np.datetime_as_string((bars.open_ms // _DAY_MS).astype("datetime64[D]"))
        return np.char.replace(days, "-", "").astype(f"S{_DATE_BYTES}")

    def opens_ms(self, stored: Rows) -> Milliseconds:
        """Return the opens of stored documents of `stored_shape`'s width; -1 where a key is none of this layout."""
        keys = self.stored_shape.column(stored, self.key_field)
        if self.key_field == "datetime":
            return keys.astype(np.int64)
        opens = [self.open_ms(key.decode(errors="replace")) for key in keys.tolist()]
        return np.array([-1 if open_ms is None else open_ms for open_ms in opens], np.int64)


def decoded(row: Rows) -> dict[str, Any]:
    """Return one document from its bytes, with aware times."""
    return bson.decode(row.tobytes(), _AWARE)
