"""Tells once that something is away, and once that it is back, however often it is tried in between."""

import time

import structlog

_log = structlog.get_logger()


class Outage:
    """The absence of one thing that several parts of a process depend on.

    Parameters
    ----------
    what : str
        The thing, from which the events are named: `venue` gives `venue_away` and `venue_back`.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._without: set[str] = set()
        self._since = 0.0
        self.count = 0

    @property
    def is_on(self) -> bool:
        """Whether it is away now."""
        return bool(self._without)

    def begin(self, who: str, error: str) -> None:
        """Note that `who` does without it; the first one is logged."""
        if not self._without:
            self.count += 1
            self._since = time.monotonic()
            _log.warning(f"{self._what}_away", by=who, error=error)
        self._without.add(who)

    def end(self, who: str) -> None:
        """Note that `who` has it again; the last one is logged."""
        if who not in self._without:
            return
        self._without.remove(who)
        if not self._without:
            _log.warning(f"{self._what}_back", away_s=round(time.monotonic() - self._since, 1))
