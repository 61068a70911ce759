"""Remembers what was counted, so that a fact which many looks show is counted once; its memory has a bound."""

from collections.abc import Hashable
from datetime import datetime

Owner = tuple[str, ...]


class Once:
    """Marks of each owner (a strategy and its bot) by the time that they belong to, such as a bar's open."""

    def __init__(self) -> None:
        self._marks: dict[Owner, dict[datetime, set[Hashable]]] = {}
        self._oldest: dict[Owner, datetime] = {}

    def is_new(self, owner: Owner, time: datetime, mark: Hashable) -> bool:
        """Tell whether a mark was not there yet, and set it; what is older than all that is remembered is not new."""
        oldest = self._oldest.get(owner)
        if oldest is not None and time < oldest:
            return False
        marks = self._marks.setdefault(owner, {}).setdefault(time, set())
        before = len(marks)
        marks.add(mark)
        return len(marks) > before

    def is_known(self, owner: Owner, time: datetime, mark: Hashable) -> bool:
        """Tell whether a mark is set."""
        return mark in self._marks.get(owner, {}).get(time, ())

    def forget_before(self, owner: Owner, time: datetime) -> None:
        """Drop marks of before a time, which looks do not show any more; nothing of before it is new from now on."""
        if time <= self._oldest.get(owner, time) and owner in self._oldest:
            return
        self._oldest[owner] = time
        marks = self._marks.get(owner, {})
        for old in [one for one in marks if one < time]:
            del marks[old]

    def forget_owner(self, owner: Owner) -> None:
        """Drop all that is remembered of an owner."""
        self._marks.pop(owner, None)
        self._oldest.pop(owner, None)

    def __len__(self) -> int:
        return sum(len(marks) for times in self._marks.values() for marks in times.values())
