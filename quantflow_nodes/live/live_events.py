"""What a live session tells: events and exports, each trouble once and not at every attempt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from quantflow_nodes.live.live_export import Exported

log = structlog.get_logger()
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that a session tells: of which kind, in a sentence, and its facts as plain values."""

    kind: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


Observer = Callable[[LiveEvent | Exported], None]


class Teller:
    """Tells events to an observer and the log, and remembers which trouble it has told.

    Attributes
    ----------
    retry_at : float
        When to try again after a failure, by `time.monotonic`; each failure in a row doubles the wait, up to 5 s.
    """

    def __init__(self, observe: Observer, run_id: str) -> None:
        self._observe, self._run_id = observe, run_id
        self._told: str | None = None
        self._retry_s = _FIRST_RETRY_S
        self.retry_at = 0.0

    def tell(self, kind: str, sentence: str, **facts: Any) -> None:
        """Tell an event."""
        log.info(f"live_{kind}", run_id=self._run_id, **facts)
        self._observe(LiveEvent(kind, sentence, facts))

    def exported(self, exported: Exported) -> None:
        """Tell an export."""
        self._observe(exported)

    def trouble(self, sentence: str) -> None:
        """Tell a failure that may pass by itself, if it is the first in a row, and put the next attempt off."""
        if self._told is None:
            self.tell("trouble", f"{sentence} Trying again until it works.")
        self._told = self._told or sentence
        self.retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)

    def waiting(self, sentence: str) -> None:
        """Tell what is waited for, once."""
        if self._told is None:
            self.tell("waiting", sentence)
            self._told = sentence

    def recovered(self) -> None:
        """Tell that what was wrong has passed, where something was."""
        if self._told is not None:
            self.tell("recovered", "It goes on.")
        self._told, self._retry_s, self.retry_at = None, _FIRST_RETRY_S, 0.0
