"""Timeframes: the length of a bar and the grid that its open times lie on."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.errors import InputError, TimeError

_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # weeks open on Monday, as at Binance


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A bar's length, such as 1m or 1d; its grid starts at 1970-01-01 00:00 UTC (weeks: on a Monday)."""

    name: str
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Timeframe":
        """Return the timeframe that `text` ('1m', '15m', '4h', '1d', '1w') names.

        Raises
        ------
        InputError
            Where the text names no timeframe.
        """
        match = re.fullmatch(r"([1-9][0-9]{0,3})([mhdw])", text) if isinstance(text, str) else None
        if match is None:
            raise InputError(f"A timeframe such as 1m, 15m, 4h or 1d was needed, found {text!r}.")
        return cls(text, int(match[1]) * _UNIT_SECONDS[match[2]])

    @property
    def delta(self) -> timedelta:
        """The bar's length."""
        return timedelta(seconds=self.seconds)

    @property
    def _origin(self) -> datetime:
        return _MONDAY if self.name.endswith("w") else _EPOCH

    def floor(self, time: datetime) -> datetime:
        """Return the open of the bar that contains `time`: the last point of the grid at or before it."""
        time = aware_utc(time, "time")
        return time - (time - self._origin) % self.delta

    def is_on_grid(self, time: datetime) -> bool:
        """Tell whether a bar opens at `time`."""
        return self.floor(time) == time

    def last_closed_open(self, now: datetime) -> datetime:
        """Return the open of the newest bar that has closed at `now`; a bar closes at its open + delta."""
        return self.floor(now) - self.delta

    def __str__(self) -> str:
        return self.name


def aware_utc(time: datetime, what: str) -> datetime:
    """Return `time` in UTC.

    Parameters
    ----------
    time : datetime
        Must carry a zone.
    what : str
        What the time is, for the message.

    Raises
    ------
    TimeError
        Where it is not a datetime or carries no zone: a naive time could be any zone's.
    """
    if not isinstance(time, datetime):
        raise TimeError(f"{what} must be a datetime with a zone, found {time!r}.")
    if time.tzinfo is None or time.utcoffset() is None:
        raise TimeError(
            f"{what} must carry a zone, found the naive {time.isoformat()}. Write it as {time.isoformat()}+00:00."
        )
    return time.astimezone(UTC)


def parse_time(text: str, what: str) -> datetime:
    """Return the aware UTC time that an ISO 8601 `text` gives; a date alone means its 00:00.

    This reads what a person types (a command's argument, a graph's parameter), where no zone means UTC. Times that
    come from programs go through `aware_utc`, which refuses a missing zone.

    Raises
    ------
    TimeError
        Where the text is no ISO 8601 time.
    """
    try:
        time = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise TimeError(f"{what} must be a time such as 2022-01-01 or 2022-01-01T12:00:00Z, found {text!r}.") from None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise TimeError(f"{what} must lie in the years 1 to 9999 UTC, found {text!r}.") from None
