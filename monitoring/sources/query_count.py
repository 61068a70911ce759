"""Counts the commands that the monitor sends to MongoDB, so that its load there can be told."""

import threading
from collections import Counter
from collections.abc import Mapping

from pymongo import monitoring


class QueryCount(monitoring.CommandListener):
    """Counts commands by name; handed to the client as one of its `event_listeners`.

    All that an operation sends is counted: reads, further batches, and writes. What the driver asks for on its own
    connections (heartbeats, handshakes) is not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: Counter[str] = Counter()

    @property
    def sent(self) -> Mapping[str, int]:
        """How many commands were sent so far, by name."""
        with self._lock:
            return dict(self._sent)

    @property
    def total(self) -> int:
        """How many commands were sent so far."""
        with self._lock:
            return self._sent.total()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count a command that is on its way."""
        with self._lock:
            self._sent[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Its answer changes nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nor does its failure: it was sent."""
