"""A bot's book of signals: which it saw, which it used, and what it says of each; a signal enters at most once.

An entry is claimed before its order leaves, in this order: 'asked' in the bot's own file, 'entered' in MongoDB under
the unique index, 'claimed' in the file, the order. Where the bot dies before 'claimed' no order left, and the signal
may still act. Where it dies after, an order may have left, and nobody orders again; what became of it is found out
when the bot comes back (`schemas.bot.claim_fate`).
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pymongo.errors import PyMongoError

from schemas.bot.bounded_call import BoundedCalls
from schemas.bot.consumer_store import ConsumerStore, Writing
from schemas.bot.outbox import Act, Claim, ClaimState, Outbox
from schemas.bot.trade_facts import Consumer
from schemas.bot_documents import Decision, SignalReceipt, SkipReason
from schemas.errors import StoreError
from schemas.signal_actions import LONG_AGO
from schemas.signal_tag import SignalTag

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 20_000
Key = tuple[str, int]


class SignalLedger:
    """What became of each signal, by pair and ts (ms).

    Parameters
    ----------
    consumer : Consumer
    outbox : Outbox
        Keeps claims, and receipts until they are written.
    store : ConsumerStore
        Where an entry is claimed for all who share the consumer's name.
    calls : BoundedCalls
        The loop's patience with MongoDB.
    say : callable
        Turns an error of the driver into a sentence.
    wake : callable
        Called after something was put into the outbox.
    timeout_s, retry_after_s : float
        How long a claim waits for MongoDB, and how long none is tried after one that failed.
    """

    def __init__(
        self,
        consumer: Consumer,
        outbox: Outbox,
        store: ConsumerStore,
        calls: BoundedCalls,
        say: Callable[[PyMongoError], StoreError],
        wake: Callable[[], None],
        timeout_s: float,
        retry_after_s: float,
    ) -> None:
        self.consumer = consumer
        self._outbox, self._store, self._calls, self._say, self._wake = outbox, store, calls, say, wake
        self._timeout_s, self._retry_after_s = timeout_s, retry_after_s
        self._claim_failed_at: float | None = None
        self._has_said_claims_fail = self._has_said_file_fails = False
        self._seen: dict[Key, int] = {}
        self._told: dict[Key, tuple[int, str]] = {}
        self._refused: dict[Key, int] = {}
        claims = outbox.claims(consumer.strategy_id, consumer.timeframe)
        self.entries = {(claim.pair, claim.ts): claim for claim in claims if claim.act == "entry"}
        self.exits = {(claim.pair, claim.ts): claim for claim in claims if claim.act == "exit"}
        self._settled: dict[str, int] = {}
        for claim in claims:
            self._used(claim)

    def saw(self, pair: str, ts: Iterable[int], now_ms: int) -> None:
        """Remember when signals were seen first."""
        for one in ts:
            self._seen.setdefault((pair, one), now_ms)
        if len(self._seen) > _REMEMBERED:
            self._seen = dict(list(self._seen.items())[_REMEMBERED // 2 :])
            self._told = dict(list(self._told.items())[-_REMEMBERED:])

    def has_seen(self, pair: str, ts: int) -> bool:
        """Whether a loop saw the signal."""
        return (pair, ts) in self._seen

    def has_told(self, pair: str, ts: int) -> bool:
        """Whether a receipt of it has been given, or its claim will give one."""
        key = (pair, ts)
        return key in self._told or key in self.entries or key in self.exits

    def settled_ts(self, pair: str) -> int:
        """Return the newest signal of a pair that was used or wanted; none up to it acts again."""
        return self._settled.get(pair, LONG_AGO)

    def skip(self, pair: str, tag: SignalTag, reason: SkipReason, candle_ms: int, now_ms: int) -> None:
        """Say why a signal does not act; once for each reason and version, and never of one that was used."""
        key, told = (pair, tag.ts_ms), (tag.version, reason)
        entry = self.entries.get(key)
        if (entry is not None and entry.state != "asked") or key in self.exits or self._told.get(key) == told:
            return
        self._told[key] = told
        self._tell("skipped", self.receipt(pair, tag, "skipped", reason, candle_ms, now_ms))

    def account(self, pair: str, tag: SignalTag, reason: SkipReason, candle_ms: int, now_ms: int) -> None:
        """Say why a signal did not act, where nobody has said anything of it."""
        if not self.has_told(pair, tag.ts_ms):
            self._told[pair, tag.ts_ms] = (tag.version, reason)
            self._tell("accounted", self.receipt(pair, tag, "skipped", reason, candle_ms, now_ms))

    def claim_entry(self, pair: str, tag: SignalTag, candle_ms: int, now_ms: int) -> bool:
        """Return whether an order may leave for a signal: nobody has used it, and it is ours now."""
        key = (pair, tag.ts_ms)
        claim = self._claim(pair, tag, "entry", "asked", candle_ms, now_ms)
        earlier = self.entries.get(key)
        if self._claim_failed_at is not None and time.monotonic() - self._claim_failed_at < self._retry_after_s:
            return False
        try:
            present = self._outbox.claim(claim, replacing="asked")
            if present is not None:
                return self._used_before(present, tag, candle_ms, now_ms)
            self.entries[key] = claim
            receipt = self.receipt(pair, tag, "entered", None, candle_ms, now_ms).to_mongo()
            runs = {claim.run_id} | ({earlier.run_id} if earlier is not None else set())
            is_ours = self._calls.call(lambda: self._store.claim_entry(receipt, sorted(runs)), self._timeout_s)
            state: ClaimState = "claimed" if is_ours else "settled"
            is_kept = self._outbox.advance(claim, state)
        except PyMongoError as error:
            return self._unclaimed(pair, tag, self._say(error), candle_ms, now_ms)
        except StoreError as error:
            return self._unclaimed(pair, tag, error, candle_ms, now_ms)
        self._claim_failed_at, self._has_said_claims_fail = None, False
        self.entries[key] = replace(claim, state=state)
        self._used(self.entries[key])
        if not is_ours:
            logger.warning(f"{pair} is not entered on {tag}: another process named {self.consumer.name} used it.")
        return is_ours and is_kept

    def want_exit(self, pair: str, tag: SignalTag, candle_ms: int, now_ms: int) -> None:
        """Keep that a position is to be closed, so that a restart goes on trying."""
        claim = self._claim(pair, tag, "exit", "wanted", candle_ms, now_ms)
        self.exits[pair, tag.ts_ms] = claim
        self._used(claim)
        self._in_file(lambda: self._outbox.claim(claim))

    def exiting(self, pair: str, tag: SignalTag, candle_ms: int, now_ms: int) -> None:
        """Say that an order leaves for an exit; a second order for the same exit says nothing new."""
        claim = self.exits.get((pair, tag.ts_ms))
        if claim is not None and claim.state == "wanted":
            self.exits[pair, tag.ts_ms] = replace(claim, state="claimed")
            self._in_file(lambda: self._outbox.advance(claim, "claimed"))
        if self._told.get((pair, tag.ts_ms)) != (tag.version, "exited"):
            self._told[pair, tag.ts_ms] = (tag.version, "exited")
            self._tell("exited", self.receipt(pair, tag, "exited", None, candle_ms, now_ms))

    def exit_refused(self, pair: str, tag: SignalTag, candle_ms: int, now_ms: int) -> None:
        """Say that an exit's order was refused, the how manieth of this process; it is tried again."""
        key = (pair, tag.ts_ms)
        self._refused[key] = self._refused.get(key, 0) + 1
        receipt = self.receipt(pair, tag, "exited", None, candle_ms, now_ms)
        self._tell("exited", receipt.model_copy(update={"rejected_orders": self._refused[key]}))

    def exit_over(self, claim: Claim, reason: SkipReason | None, now_ms: int) -> None:
        """Say that an exit is wanted no more: it closed its position, or `reason` tells what else happened."""
        tag = SignalTag(claim.strategy_id, claim.ts, claim.version)
        self.exits[claim.pair, claim.ts] = replace(claim, state="settled")
        self._refused.pop((claim.pair, claim.ts), None)
        self._in_file(lambda: self._outbox.advance(claim, "settled"))
        if reason is not None:
            is_told_by_us = self._told.get((claim.pair, claim.ts)) == (claim.version, "exited")
            run_id = self.consumer.run_id if is_told_by_us else claim.run_id
            self._tell("no_exit", self.receipt(claim.pair, tag, "skipped", reason, claim.candle, now_ms, run_id))

    def entry_over(self, claim: Claim, reason: SkipReason | None, now_ms: int) -> None:
        """Say that an entry's order has come to its end: filled, or by `reason` without a fill."""
        tag = SignalTag(claim.strategy_id, claim.ts, claim.version)
        if reason is not None:
            receipt = self.receipt(claim.pair, tag, "skipped", reason, claim.candle, now_ms, claim.run_id)
            self._tell("no_entry", receipt)
        self.advance_entry(claim, "settled")

    def advance_entry(self, claim: Claim, state: ClaimState) -> None:
        """Keep how far an entry came."""
        self.entries[claim.pair, claim.ts] = replace(claim, state=state)
        self._in_file(lambda: self._outbox.advance(claim, state))

    def forget(self, before_ms: int) -> None:
        """Let go of settled claims on signals of bars from before a time; the newest of each pair stays known."""
        self.entries = _kept(self.entries, before_ms)
        self.exits = _kept(self.exits, before_ms)

    def receipt(
        self,
        pair: str,
        tag: SignalTag,
        decision: Decision,
        reason: SkipReason | None,
        candle_ms: int,
        now_ms: int,
        run_id: str | None = None,
    ) -> SignalReceipt:
        """Return the receipt of a signal, as of now."""
        seen_ms = self._seen.get((pair, tag.ts_ms), now_ms)
        return SignalReceipt(
            consumer=self.consumer.name,
            strategy_id=tag.strategy_id,
            pair=pair,
            timeframe=self.consumer.timeframe,
            ts=_time(tag.ts_ms),
            version=tag.version,
            decision=decision,
            reason=reason,
            seen_at=_time(seen_ms),
            candle=_time(candle_ms),
            latency_ms=float(seen_ms - tag.ts_ms - self.consumer.timeframe_ms),
            run_id=run_id or self.consumer.run_id,
            updated_at=_time(now_ms),
        )

    def _used(self, claim: Claim) -> None:
        if claim.act == "exit" or claim.state != "asked":
            self._settled[claim.pair] = max(claim.ts, self._settled.get(claim.pair, LONG_AGO))

    def _claim(self, pair: str, tag: SignalTag, act: Act, state: ClaimState, candle_ms: int, now_ms: int) -> Claim:
        own = self.consumer
        return Claim(
            own.strategy_id, own.timeframe, pair, tag.ts_ms, act, tag.version, own.run_id, state, candle_ms, now_ms
        )

    def _used_before(self, present: Claim, tag: SignalTag, candle_ms: int, now_ms: int) -> bool:
        self.entries[present.pair, present.ts] = present
        self._used(present)
        logger.warning(f"{present.pair} is not entered on {tag}: {self._outbox.path} says that it was used before.")
        self._tell("accounted", self.receipt(present.pair, tag, "skipped", "duplicate", candle_ms, now_ms))
        return False

    def _unclaimed(self, pair: str, tag: SignalTag, error: StoreError, candle_ms: int, now_ms: int) -> bool:
        self._claim_failed_at = time.monotonic()
        self.skip(pair, tag, "mongo_down", candle_ms, now_ms)
        if not self._has_said_claims_fail:
            self._has_said_claims_fail = True
            logger.warning(f"{pair} is not entered on {tag}: it can not be claimed. {error}")
        return False

    def _tell(self, kind: Writing, receipt: SignalReceipt) -> None:
        self._in_file(lambda: self._outbox.put(kind, receipt.to_mongo()))
        self._wake()

    def _in_file(self, change: Callable[[], object]) -> None:
        """Change the bot's file; a full disk must not stop exits and stops, so a failure is said and outlived."""
        try:
            change()
            self._has_said_file_fails = False
        except StoreError as error:
            if not self._has_said_file_fails:
                self._has_said_file_fails = True
                logger.error(f"A receipt is lost. {error}")


def _kept(claims: dict[Key, Claim], before_ms: int) -> dict[Key, Claim]:
    return {key: claim for key, claim in claims.items() if claim.state != "settled" or claim.ts >= before_ms}


def _time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
