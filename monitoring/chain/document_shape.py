"""Tells what is wrong with a stored document of the chain, before it is used: other programs write these too."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from bson.decimal128 import Decimal128

from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS

log = structlog.get_logger()

Document = Mapping[str, Any]
_Test = Callable[[Any], bool]
# Of times that Python has; a range asks for dates alone, and leaves room to count bars at both ends.
READABLE_TIMES = {"$gte": datetime(2, 1, 1, tzinfo=UTC), "$lt": datetime(9998, 1, 1, tzinfo=UTC)}
_MOST_KNOWN = 10_000  # of odd documents that were told of; a program that writes nothing else must not fill memory


def fault_of(collection: str, document: Document) -> str | None:
    """Return what is wrong with a document of the chain, a sentence; None where it can be used.

    Only what the monitor reads is looked at: a field more, or one that it does not read, is nothing to it.
    """
    wrong = next(_wrong(collection, document), None)
    return None if wrong is None else f"Its field {wrong!r} is missing or is not of the kind that belongs there."


class OddDocuments:
    """Keeps count of the documents that were refused, and tells of each of them once in the log."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self.count = 0

    def __len__(self) -> int:
        """Return how many documents are remembered as told."""
        return len(self._known)

    def refuse(self, collection: str, identity: object, why: str) -> None:
        """Count a document that is not used, and say so; the same one again is neither."""
        one = (collection, str(identity))
        if one in self._known:
            return
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add(one)
        self.count += 1
        log.warning("document_refused", collection=collection, document=one[1], why=why, so_far=self.count)


def _wrong(collection: str, document: Document) -> Iterator[str]:
    for name, fits in _NEEDED[collection].items():
        if not fits(document.get(name)):
            yield name
    for name, fits in _OPTIONAL[collection].items():
        if document.get(name) is not None and not fits(document[name]):
            yield name
    if collection == SIGNAL_EXPORTS and (document.get("first_ts") is None) != (document.get("last_ts") is None):
        yield "last_ts"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    # The driver gives one beyond Python's years as another type; bars must be counted from it, both ways.
    return isinstance(value, datetime) and 1 < value.year < 9998


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return isinstance(value, Decimal128) and value.to_decimal().is_finite()


def _is_side(value: Any) -> bool:
    return value in ("buy", "sell")


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_KEY: dict[str, _Test] = {"pair": _is_text, "ts": _is_time}
_COUNTS: dict[str, _Test] = dict.fromkeys(("inserted", "changed", "unchanged", "retracted", "refused"), _is_count)
_NEEDED: dict[str, dict[str, _Test]] = {
    SIGNALS: _KEY,
    SIGNAL_EXPORTS: {"exported_at": _is_time, "run_id": _is_text, "pairs": _are_pairs} | _COUNTS,
    SIGNAL_RECEIPTS: _KEY | {"decision": _is_text, "seen_at": _is_time},
    FILLS: {
        "pair": _is_text,
        "order_id": _is_text,
        "side": _is_side,
        "price": _is_amount,
        "ordered_at": _is_time,
        "filled_at": _is_time,
    },
}
_OPTIONAL: dict[str, dict[str, _Test]] = {
    SIGNALS: {"created_at": _is_time, "weight": _is_number, "score": _is_number},
    SIGNAL_EXPORTS: {
        "first_ts": _is_time,
        "last_ts": _is_time,
        "bars_seen_at": _is_time,
        "delay_s": _is_number,
        "missing_bars": _is_count,
    },
    SIGNAL_RECEIPTS: {"reason": _is_text},
    FILLS: {"ts": _is_time, "quoted": _is_amount},
}
