"""The text by which Freqtrade's trades name the signal that caused them: its key and version."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAG = re.compile(r"(?P<strategy_id>.+)@(?P<ts>\d{4}-\d\d-\d\dT\d\d:\d\dZ)#(?P<version>[0-9]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SignalTag:
    """Which signal an entry or an exit comes from; pair and timeframe are the trade's own.

    Its text is `btc_momentum@2022-01-01T00:05Z#1`: at most 255 characters, Freqtrade's limit, for any strategy_id that
    the schema allows.
    """

    strategy_id: str
    ts_ms: int
    version: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "SignalTag | None":
        """Return the tag that a text spells, or None where it is no signal's: a stop, or a person's own entry."""
        match = _TAG.fullmatch(text) if text else None
        if match is None:
            return None
        try:
            ts = datetime.strptime(match["ts"], "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        except ValueError:  # a month 13 in a tag that a person wrote
            return None
        return cls(match["strategy_id"], round((ts - _EPOCH).total_seconds()) * 1000, int(match["version"]))

    def __str__(self) -> str:
        ts = datetime.fromtimestamp(self.ts_ms / 1000, UTC)
        return f"{self.strategy_id}@{ts:%Y-%m-%dT%H:%MZ}#{self.version}"
