"""Signals as columns: checked, compared and laid out as documents without a model for each of them.

What a `Signal` may be, its model says. Here whole columns are looked at, and whatever is not plainly good is shown to
the model, which accepts it or says what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, overload

import bson
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from schemas.documents import Action, Signal
from schemas.errors import SignalError
from schemas.raw_shape import DocumentShape, Rows, grouped
from schemas.timeframes import Timeframe

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NO_TIME = int(np.iinfo(np.int64).min)  # as NumPy's NaT
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_FIRST_US, _LAST_US = ((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _US for year in (1, 9999))
_HOLES = ("ts", "score", "weight", "valid_until", "version", "created_at")


class Label(NamedTuple):
    """What a signal says in words: signals of one label differ in times and numbers only."""

    symbol: str
    pair: str
    action: Action | None = None
    note: str | None = None
    source: str | None = None


@dataclass(frozen=True, eq=False)
class SignalColumns(Sequence[Signal]):
    """Signals of one strategy and timeframe; as a sequence, it gives the model of each.

    Attributes
    ----------
    strategy_id : str
    timeframe : Timeframe
    labels : tuple of Label
    label : int64 array, shape (n,)
        The place of each signal's label among `labels`.
    ts_us : int64 array, shape (n,)
        Opens of the bars, microseconds since 1970.
    score, weight : float64 array, shape (n,)
        NaN where the signal has none.
    valid_until_us : int64 array, shape (n,)
        Microseconds since 1970, or `NO_TIME`.
    """

    strategy_id: str
    timeframe: Timeframe
    labels: tuple[Label, ...]
    label: Ints
    ts_us: Ints
    score: Floats
    weight: Floats
    valid_until_us: Ints

    @classmethod
    def of(cls, strategy_id: str, timeframe: Timeframe, signals: Sequence[Signal]) -> "SignalColumns":
        """Return signals, of this strategy and timeframe, as columns."""
        labels: dict[Label, int] = {}
        code = [
            labels.setdefault(Label(one.symbol, one.pair, one.action, one.note, one.source), len(labels))
            for one in signals
        ]
        return cls(
            strategy_id,
            timeframe,
            tuple(labels),
            np.array(code, np.int64),
            np.array([(one.ts - _EPOCH) // _US for one in signals], np.int64),
            np.array([np.nan if one.score is None else one.score for one in signals], np.float64),
            np.array([np.nan if one.weight is None else one.weight for one in signals], np.float64),
            np.array(
                [NO_TIME if (end := one.valid_until) is None else (end - _EPOCH) // _US for one in signals], np.int64
            ),
        )

    @property
    def used_labels(self) -> list[Label]:
        """The labels that some signal has."""
        counts = np.bincount(self.label, minlength=len(self.labels))
        return [label for label, count in zip(self.labels, counts, strict=True) if count]

    @property
    def ts_ms(self) -> Ints:
        """Opens of the bars, milliseconds since 1970."""
        return self.ts_us // 1000

    @property
    def valid_until_ms(self) -> Ints:
        """The same as `valid_until_us` to the millisecond, as it is stored."""
        return np.where(self.valid_until_us == NO_TIME, NO_TIME, self.valid_until_us // 1000)

    def take(self, rows: npt.NDArray[Any]) -> "SignalColumns":
        """Return the signals that positions or a mask choose."""
        columns = (self.label, self.ts_us, self.score, self.weight, self.valid_until_us)
        return SignalColumns(self.strategy_id, self.timeframe, self.labels, *(column[rows] for column in columns))

    def check(self) -> None:
        """Look at every signal.

        Raises
        ------
        SignalError
            Where one is none, by its model.
        """
        for row in np.flatnonzero(self._is_unsure()).tolist():
            try:
                self[row]
            except (ValidationError, OverflowError) as error:
                reason = "a time lies behind the year 9999."
                if isinstance(error, ValidationError):
                    reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                symbol, time = self.labels[self.label[row]].symbol, np.datetime64(int(self.ts_us[row]), "us")
                raise SignalError(f"The signal of {symbol} at {time}Z can not be published: {reason}") from None

    def _is_unsure(self) -> npt.NDArray[np.bool_]:
        """Tell which signals their model has to see: the first of each label, and all that are not plainly good."""
        has_action = np.array([label.action is not None for label in self.labels], np.bool_)[self.label]
        opinions = has_action.astype(np.int64) + ~np.isnan(self.score) + ~np.isnan(self.weight)
        bar_us, ends = self.timeframe.seconds * 1_000_000, self.valid_until_us
        origin_us = (self.timeframe.floor(_EPOCH) - _EPOCH) // _US
        is_good: npt.NDArray[np.bool_] = (opinions == 1) & ~np.isinf(self.score) & ~(np.abs(self.weight) > 1)
        is_good &= (self.ts_us - origin_us) % bar_us == 0
        is_good &= (self.ts_us >= _FIRST_US) & (self.ts_us < _LAST_US)
        is_good &= (ends == NO_TIME) | ((ends > self.ts_us + bar_us) & (ends < _LAST_US))
        is_good[np.unique(self.label, return_index=True)[1]] = False
        return ~is_good

    def frame(self) -> pd.DataFrame:
        """Return the signals as rows of ts, symbol, pair, action, weight and score."""
        texts = pd.DataFrame(self.labels, columns=list(Label._fields)).iloc[self.label].reset_index(drop=True)
        ts = pd.Series(self.ts_us.astype("datetime64[us]")).dt.tz_localize("UTC")
        return pd.DataFrame(
            {"ts": ts, **texts[["symbol", "pair", "action"]], "weight": self.weight, "score": self.score}
        )

    def documents(self, version: Ints, added: Mapping[str, Any], created_ms: Ints | None = None) -> Iterator["Laid"]:
        """Give the documents to store, in groups of one layout.

        Parameters
        ----------
        version : int64 array, shape (n,)
        added : mapping
            What the writer adds to each: `run_id`, `created_at`, `updated_at`.
        created_ms : int64 array, shape (n,), optional
            Where `created_at` differs.
        """
        has = (~np.isnan(self.score)).astype(np.int64) + 2 * ~np.isnan(self.weight)
        has += 4 * (self.valid_until_us != NO_TIME)
        keys = 8 * self.label + has
        for rows in grouped(keys):
            template = {**self[int(rows[0])].to_mongo(), "version": 1, **added}
            shape = DocumentShape.of(bson.encode(template), _HOLES)
            columns = {"ts": self.ts_ms, "score": self.score, "weight": self.weight, "valid_until": self.valid_until_ms}
            columns = {name: column[rows] for name, column in columns.items() if name in shape.holes}
            columns["version"] = version[rows]
            if created_ms is not None:
                columns["created_at"] = created_ms[rows]
            yield Laid(rows, shape.rows(columns, len(rows)))

    def __len__(self) -> int:
        return len(self.label)

    @overload
    def __getitem__(self, place: int) -> Signal: ...
    @overload
    def __getitem__(self, place: slice) -> "SignalColumns": ...
    def __getitem__(self, place: int | slice) -> "Signal | SignalColumns":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        label, end_us = self.labels[self.label[place]], int(self.valid_until_us[place])
        return Signal(
            strategy_id=self.strategy_id,
            symbol=label.symbol,
            pair=label.pair,
            timeframe=self.timeframe.name,
            ts=_time(int(self.ts_us[place])),
            action=label.action,
            score=_known(self.score[place]),
            weight=_known(self.weight[place]),
            valid_until=None if end_us == NO_TIME else _time(end_us),
            note=label.note,
            source=label.source,
        )


class Laid(NamedTuple):
    """Documents of one layout without `_id`, one a row, and which signals they are."""

    signals: npt.NDArray[np.intp]
    rows: Rows


def joined(parts: list[Ints]) -> Ints:
    """Return columns one behind the other; of none, an empty one."""
    return np.concatenate([np.empty(0, np.int64), *parts])


def milliseconds(time: datetime) -> int:
    """Return a time in whole milliseconds since 1970, as MongoDB keeps it."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(time_us: int) -> datetime:
    return _EPOCH + time_us * _US


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
