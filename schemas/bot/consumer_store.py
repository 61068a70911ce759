"""Writes what a bot did into MongoDB: each writing can be repeated, and none undoes what matters more."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from schemas.bot_documents import SkipReason
from schemas.collections import FILL_KEY, FILLS, POSITION_KEY, POSITIONS, RECEIPT_KEY, SIGNAL_RECEIPTS
from schemas.errors import StoreError

Writing = Literal["exited", "skipped", "accounted", "no_entry", "no_exit", "fill", "position"]
# The signal's order left, or may have left: nobody orders again.
ORDERED: tuple[SkipReason, ...] = ("order_rejected", "order_unfilled", "order_lost")
_EARLIEST = ("seen_at", "latency_ms")
_MOST = ("rejected_orders",)

_BAD_VALUE = 2  # MongoDB's code for a hint that names no index

Document = Mapping[str, Any]
Hint = list[tuple[str, int]] | None


class ConsumerStore:
    """The collections that a bot writes: `signal_receipts`, `crypto_fills`, `crypto_positions`.

    Errors are the driver's own; who calls turns them into sentences.
    """

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._receipts: Collection[dict[str, Any]] = database[SIGNAL_RECEIPTS]
        self._fills: Collection[dict[str, Any]] = database[FILLS]
        self._positions: Collection[dict[str, Any]] = database[POSITIONS]
        self._writers: dict[str, Callable[[Document], bool]] = {
            "exited": self._exited,
            "skipped": self._skipped,
            "accounted": self._accounted,
            "no_entry": self._no_entry,
            "no_exit": self._no_exit,
            "fill": self._fill,
            "position": self._position,
        }

    def claim_entry(self, receipt: Document, run_ids: Sequence[str]) -> bool:
        """Say 'entered' for a signal if nobody under this consumer's name did, and return whether that is so.

        The unique index decides among all who ask at once. A signal that was skipped before may still enter; one
        whose order left may not. What one of `run_ids` claimed is our own: the answer to an earlier question was lost.

        Raises
        ------
        StoreError
            Where the collection has no index that would decide.
        """
        free = {
            "$or": [
                {"decision": "skipped", "reason": {"$nin": list(ORDERED)}},
                {"decision": "exited"},  # the signal turned a position around: it closed one side, and opens the other
                {"decision": "entered", "run_id": {"$in": list(run_ids)}},
            ]
        }
        try:
            # The hint makes a database without the index an error: nothing would keep two of us apart there.
            return self._put_receipt(receipt, free, hint=[(name, ASCENDING) for name in RECEIPT_KEY])
        except OperationFailure as error:
            if error.code == _BAD_VALUE and "hint" in str(error):
                raise StoreError(
                    f"{self._receipts.full_name} lacks the unique index on {', '.join(RECEIPT_KEY)}, by which signals "
                    "act once. Make it with `quantflow db init`."
                ) from None
            raise

    def write(self, kind: str, document: Document) -> None:
        """Write a document of the outbox.

        Raises
        ------
        ValueError
            Where no such kind of writing is known.
        """
        if kind not in self._writers:
            raise ValueError(f"One of {', '.join(self._writers)} was needed, found {kind!r}.")
        self._writers[kind](document)

    def _exited(self, receipt: Document) -> bool:
        return self._put_receipt(receipt, {"decision": {"$ne": "entered"}})

    def _skipped(self, receipt: Document) -> bool:
        return self._put_receipt(receipt, {"decision": "skipped", "reason": {"$nin": list(ORDERED)}})

    def _accounted(self, receipt: Document) -> bool:
        """Write the receipt of a signal that has none."""
        try:
            result = self._receipts.update_one(_key(receipt, RECEIPT_KEY), {"$setOnInsert": receipt}, upsert=True)
        except DuplicateKeyError:  # another process was faster
            return False
        return result.upserted_id is not None

    def _no_entry(self, receipt: Document) -> bool:
        """Replace what the same run claimed by the fate of its order; another run's claim is not touched."""
        return self._put_receipt(receipt, {"run_id": receipt["run_id"]})

    def _no_exit(self, receipt: Document) -> bool:
        """The same for an exit; if its signal has opened the other side since, that stays."""
        return self._put_receipt(receipt, {"run_id": receipt["run_id"], "decision": {"$ne": "entered"}})

    def _put_receipt(self, receipt: Document, free: Document, hint: Hint = None) -> bool:
        key = _key(receipt, RECEIPT_KEY)
        content = {name: value for name, value in receipt.items() if name not in (*key, *_EARLIEST, *_MOST)}
        change: dict[str, Any] = {"$set": content, "$min": {name: receipt[name] for name in _EARLIEST}}
        if counted := {name: receipt[name] for name in _MOST if name in receipt}:
            change["$max"] = counted
        if "reason" not in content:
            change["$unset"] = {"reason": ""}
        try:
            self._receipts.update_one({**key, **free}, change, upsert=True, hint=hint)
        except DuplicateKeyError:  # it is there, and not free
            return False
        return True

    def _fill(self, fill: Document) -> bool:
        self._fills.replace_one(_key(fill, FILL_KEY), fill, upsert=True)
        return True

    def _position(self, position: Document) -> bool:
        """Replace what is stored, unless that is newer."""
        not_newer = {"updated_at": {"$lte": position["updated_at"]}}
        try:
            self._positions.replace_one({**_key(position, POSITION_KEY), **not_newer}, position, upsert=True)
        except DuplicateKeyError:
            return False
        return True


def _key(document: Document, fields: Sequence[str]) -> dict[str, Any]:
    return {name: document[name] for name in fields}
