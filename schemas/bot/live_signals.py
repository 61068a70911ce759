"""Decides the last closed candle of each pair while a bot trades, and knows why a signal does not act."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from schemas.bot.outbox import Claim
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot_documents import SkipReason
from schemas.signal_actions import (
    FLAT,
    LONG,
    SHORT,
    ActionRules,
    Decisions,
    Memory,
    Signals,
    chosen_signals,
    decisions,
    wishes,
)
from schemas.signal_rule import NO_SIGNAL, SignalWindow
from schemas.signal_tag import SignalTag

logger = logging.getLogger(__name__)

RESEARCH_SILENT = "research_silent"


@dataclass(frozen=True, slots=True)
class CandleFlags:
    """What is set on the last closed candle: enter LONG, SHORT or FLAT, leave a side, why, and with how much stake."""

    enter: int = FLAT
    leave_long: bool = False
    leave_short: bool = False
    tag: str | None = None
    stake: float = 1.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """An entry that was set for Freqtrade in the last loop."""

    tag: SignalTag
    candle_ms: int
    side: int


class LiveSignals:
    """The signals of one strategy, candle by candle, with the positions that Freqtrade really has.

    An entry is set on one candle, for as long as that is the last one, and used by one order at most; on the next one
    too where a lock of Freqtrade's held it back. An exit is set until its position is closed, however many orders that
    takes; only before the first of them a newer signal that wants the position takes it back.

    Parameters
    ----------
    ledger : SignalLedger
    window : SignalWindow
    rules : ActionRules
    """

    def __init__(self, ledger: SignalLedger, window: SignalWindow, rules: ActionRules) -> None:
        self._ledger, self._window, self._rules = ledger, window, rules
        self._flagged: dict[str, tuple[int, int]] = {}
        self._asked: dict[str, _Asked] = {}
        self._newest_chosen: dict[str, int] = {}
        self._wanted: dict[str, Claim] = {}
        for claim in sorted(ledger.exits.values(), key=lambda one: one.ts):
            if claim.state != "settled":
                self._wanted.setdefault(claim.pair, claim)

    def begin(
        self, memories: Mapping[str, Memory], is_locked: Callable[[str, int, int], bool], now_ms: int
    ) -> list[Claim]:
        """Say why entries that were set in the last loop led to no order, and return the exits whose position is gone.

        Parameters
        ----------
        memories : mapping of str to Memory
            What Freqtrade's trades tell, by pair.
        is_locked : callable
            Whether a pair's lock covers a candle (its open, ms) for a side.
        now_ms : int
        """
        for pair, asked in self._asked.items():
            reason: SkipReason = "risk"
            if memories.get(pair, Memory()).side != FLAT:
                reason = "in_position"
            elif is_locked(pair, asked.candle_ms, asked.side):
                # A lock after an exit ends with its candle: the signal may act on the next one, if the rule chooses it.
                reason = "pair_locked"
                self._flagged.pop(pair, None)
            self._ledger.skip(pair, asked.tag, reason, asked.candle_ms, now_ms)
        self._asked.clear()
        over = [one for pair, one in self._wanted.items() if _is_gone(one, memories.get(pair, Memory()))]
        for claim in over:
            del self._wanted[claim.pair]
        return over

    def was_asked(self, pair: str) -> None:
        """Say that Freqtrade asked for the order of a pair's entry: whatever follows, it was not held back before."""
        self._asked.pop(pair, None)

    def newest_chosen(self, pair: str) -> int | None:
        """Return the ts of the newest signal that the rule chose for a pair, if any."""
        return self._newest_chosen.get(pair)

    def decide(
        self, pair: str, signals: Signals, candle_ms: int, now_ms: int, memory: Memory, *, is_silent: bool
    ) -> CandleFlags:
        """Return what is set on the candle.

        Parameters
        ----------
        pair : str
        signals : Signals
            Those that were read in this loop.
        candle_ms : int
            Open of the last closed candle.
        now_ms : int
        memory : Memory
            What Freqtrade's trades tell of the pair.
        is_silent : bool
            Whether positions are to be closed because research is silent.
        """
        opens, now = np.array([candle_ms], np.int64), np.array([now_ms], np.int64)
        self._ledger.saw(pair, signals.ts.tolist(), now_ms)
        memory = replace(memory, settled_ts=max(memory.settled_ts, self._settled_ts(pair, candle_ms)))
        chosen = chosen_signals(signals, opens, now, self._window)
        decided = decisions(signals, chosen, opens, self._rules, memory)
        pick = int(chosen[0])
        if pick != NO_SIGNAL:
            self._newest_chosen[pair] = max(int(signals.ts[pick]), self._newest_chosen.get(pair, 0))
        self._explain(pair, signals, decided, candle_ms, now_ms)
        flags = self._flags(pair, signals, decided, candle_ms)
        flags = self._with_wanted_exit(pair, flags, candle_ms, now_ms, memory)
        if is_silent:
            return self._in_silence(pair, flags, candle_ms, now_ms, memory)
        return self._asking(pair, flags, candle_ms, memory)

    def exit_late(self, pair: str, last: Signals, candle_ms: int, now_ms: int, memory: Memory) -> None:
        """Want an exit that nobody saw in time: research's last word on a position, while the bot could not hear it.

        Parameters
        ----------
        pair : str
        last : Signals
            The newest signal of the pair, of whatever age.
        candle_ms, now_ms : int
        memory : Memory
            What Freqtrade's trades tell of the pair.
        """
        if last.ts.size == 0 or memory.side == FLAT or pair in self._wanted:
            return
        ts, asked = int(last.ts[-1]), wishes(last, self._rules)
        leaves = bool(asked.leave_long[-1] if memory.side == LONG else asked.leave_short[-1])
        is_new = ts > max(memory.entered_ms, memory.settled_ts, self._ledger.settled_ts(pair))
        bar_ms, window = self._window.timeframe_ms, self._window
        is_over = now_ms - ts - bar_ms > window.max_delay_ms or candle_ms - ts > window.tolerance_bars * bar_ms
        if leaves and is_new and is_over and now_ms < int(last.valid_until[-1]):  # a younger one acts by the rule
            tag = self._tag(last, last.ts.size - 1)
            logger.warning(f"{pair} is left late, on {tag}: it could not be read when it was new.")
            self._ledger.saw(pair, [ts], now_ms)
            self._ledger.want_exit(pair, tag, candle_ms, now_ms)
            self._wanted[pair] = self._ledger.exits[pair, ts]

    def _explain(self, pair: str, signals: Signals, decided: Decisions, candle_ms: int, now_ms: int) -> None:
        """Say why signals do not act, of those for which it is clear by now."""
        for row, reason in decided.skipped.items():
            self._ledger.skip(pair, self._tag(signals, row), reason, candle_ms, now_ms)
        settled_ts = decided.memory.settled_ts
        for row, (ts, until) in enumerate(zip(signals.ts.tolist(), signals.valid_until.tolist(), strict=True)):
            if now_ms >= until:
                self._ledger.account(pair, self._tag(signals, row), "expired", candle_ms, now_ms)
            elif ts < settled_ts:
                self._ledger.account(pair, self._tag(signals, row), "superseded", candle_ms, now_ms)

    def _settled_ts(self, pair: str, candle_ms: int) -> int:
        settled = self._ledger.settled_ts(pair)
        ts_ms, flagged_on = self._flagged.get(pair, (settled, candle_ms))
        return max(settled, ts_ms) if flagged_on != candle_ms else settled

    def _flags(self, pair: str, signals: Signals, decided: Decisions, candle_ms: int) -> CandleFlags:
        pick = int(decided.signal[0])
        if pick == NO_SIGNAL:
            return CandleFlags()
        self._flagged[pair] = (int(signals.ts[pick]), candle_ms)
        return CandleFlags(
            enter=int(decided.enter[0]),
            leave_long=bool(decided.leave_long[0]),
            leave_short=bool(decided.leave_short[0]),
            tag=str(self._tag(signals, pick)),
            stake=float(decided.stake[0]),
        )

    def _with_wanted_exit(
        self, pair: str, flags: CandleFlags, candle_ms: int, now_ms: int, memory: Memory
    ) -> CandleFlags:
        """Keep an exit set until its position is closed; a newer one takes its place."""
        tag, wanted = SignalTag.parse(flags.tag), self._wanted.get(pair)
        if tag is not None and _leaves(flags, memory.side):
            if wanted is None:
                self._ledger.want_exit(pair, tag, candle_ms, now_ms)
                self._wanted[pair] = self._ledger.exits[pair, tag.ts_ms]
                return flags
            if wanted.ts != tag.ts_ms:
                self._ledger.skip(pair, tag, "duplicate", candle_ms, now_ms)
        elif wanted is None:
            return flags
        elif flags.enter == memory.side and self._ledger.exits[pair, wanted.ts].state == "wanted":
            del self._wanted[pair]  # research wants to be in again, and no order has left
            self._ledger.exit_over(wanted, "superseded", now_ms)
            return flags
        text = str(SignalTag(wanted.strategy_id, wanted.ts, wanted.version))
        return CandleFlags(leave_long=memory.side == LONG, leave_short=memory.side == SHORT, tag=text)

    def _in_silence(self, pair: str, flags: CandleFlags, candle_ms: int, now_ms: int, memory: Memory) -> CandleFlags:
        tag = SignalTag.parse(flags.tag)
        if flags.enter != FLAT and tag is not None:
            self._ledger.skip(pair, tag, "research_silent", candle_ms, now_ms)
        if _leaves(flags, memory.side):
            return replace(flags, enter=FLAT)
        if memory.side == FLAT:
            return CandleFlags()
        return CandleFlags(leave_long=memory.side == LONG, leave_short=memory.side == SHORT, tag=RESEARCH_SILENT)

    def _asking(self, pair: str, flags: CandleFlags, candle_ms: int, memory: Memory) -> CandleFlags:
        tag = SignalTag.parse(flags.tag)
        if flags.enter != FLAT and tag is not None and (memory.side == FLAT or _leaves(flags, memory.side)):
            self._asked[pair] = _Asked(tag, candle_ms, flags.enter)
        return flags

    def _tag(self, signals: Signals, row: int) -> SignalTag:
        return SignalTag(self._ledger.consumer.strategy_id, int(signals.ts[row]), int(signals.version[row]))


def _leaves(flags: CandleFlags, side: int) -> bool:
    return (flags.leave_long and side == LONG) or (flags.leave_short and side == SHORT)


def _is_gone(claim: Claim, memory: Memory) -> bool:
    """Tell whether the position that an exit was wanted for is closed; one that was opened since is another."""
    return memory.side == FLAT or memory.entered_ms > claim.candle
