"""What can be wrong between signals, receipts, fills, Freqtrade and the venue: a closed list of kinds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FindingKind = Literal[
    "signal without receipt",
    "receipt without order",
    "receipt without fill",
    "order without fill",
    "fill without receipt",
    "skipped and filled",
    "double",
    "amount",
    "unknown order",
    "unknown fill",
    "fill unknown to Freqtrade",
    "position differs",
    "balance differs",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit, as a kind (for counting), where, and a sentence.

    Attributes
    ----------
    pair : str
        Of a balance: the asset's pairs, with a comma between them where it has several.
    ts : datetime or None
        Of the signal, where it is about one.
    order_id : str or None
        The venue's, where it is about one order.
    """

    kind: FindingKind
    pair: str
    ts: datetime | None
    what: str
    order_id: str | None = None

    @property
    def subject(self) -> str:
        """What it is about, the same each time that it is found: 'unknown order BTC/USDT 17'."""
        parts = (self.kind, self.pair, None if self.ts is None else f"{self.ts:%Y-%m-%dT%H:%MZ}", self.order_id)
        return " ".join(part for part in parts if part is not None)
