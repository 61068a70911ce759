"""One bot's own file and MongoDB's unique index, for tests of what a bot keeps in its books."""

from pathlib import Path
from typing import Any, Self

from freqtrade_shapes import MINUTE_MS
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from schemas.bot.bounded_call import BoundedCalls
from schemas.bot.outbox import Outbox
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot.trade_facts import Consumer
from schemas.errors import StoreError

PAIR = "BTC/USDT"


class Claims:
    """The unique index in MongoDB's place: who claimed what, and whether it answers."""

    def __init__(self) -> None:
        self.entered: dict[Any, str] = {}
        self.is_away = False
        self.loses_answers = False

    def claim_entry(self, receipt: dict[str, Any], run_ids: list[str]) -> bool:
        if self.is_away:
            raise ServerSelectionTimeoutError("nobody there")
        key = (receipt["consumer"], receipt["pair"], receipt["ts"])
        if self.entered.get(key, run_ids[0]) not in run_ids:
            return False
        self.entered[key] = receipt["run_id"]
        if self.loses_answers:
            raise ServerSelectionTimeoutError("the answer was lost")
        return True


class Books:
    """One file, one index, and the processes of one bot, one after the other."""

    def __init__(self, path: Path) -> None:
        self.outbox, self.claims, self.calls = Outbox(path), Claims(), BoundedCalls(60.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.calls.close()
        self.outbox.close()

    def process(self, run_id: str = "r1") -> SignalLedger:
        """The ledger as a process that starts now finds it."""
        claims: Any = self.claims
        return SignalLedger(
            consumer(run_id), self.outbox, claims, self.calls, _say, lambda: None, 30.0, retry_after_s=0.0
        )

    def told(self) -> list[tuple[str, str | None]]:
        """What waits to be written: the kind of writing, and the reason."""
        return [(item.kind, item.document.get("reason")) for item in self.outbox.waiting()]


def consumer(run_id: str = "r1") -> Consumer:
    return Consumer("bot", "mine", "1m", MINUTE_MS, run_id)


def _say(error: PyMongoError) -> StoreError:
    return StoreError(f"MongoDB: {error}")
