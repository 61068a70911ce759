"""A time as JSON has it."""

from datetime import datetime
from typing import overload


@overload
def json_time(time: datetime) -> str: ...
@overload
def json_time(time: datetime | None) -> str | None: ...
def json_time(time: datetime | None) -> str | None:
    """Return '2022-01-15T12:00:00Z' for an aware UTC time, and None for None."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")
