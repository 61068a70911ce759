"""Answers what was in force at a time: which content of which signal the rule chose then, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from quantflow_nodes.known_signals import SignalVersion
from schemas.signal_rule import NEVER, NO_SIGNAL, SignalTimes, SignalWindow, choose
from schemas.timeframes import Timeframe

State = Literal["in force", "early", "expired", "outside window", "void", "retracted", "not kept", "none"]
MEANINGS: dict[State, str] = {
    "in force": "a bot that looked then was to act on it",
    "early": "its bar had not closed",
    "expired": "it had become available too long ago",
    "outside window": "no candle of that time was near enough",
    "void": "its valid_until had passed",
    "retracted": "it had been taken back",
    "not kept": "what it said then has been deleted since, by age",
    "none": "nothing had been written",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stood for one pair at a time.

    Attributes
    ----------
    state : str
        Whether a signal was in force, or why not the newest one that had been written.
    version : SignalVersion or None
        That signal's content then; of a retracted one the last content. None where nothing had been written.
    earlier : tuple of SignalVersion
        Contents that it had before, oldest first.
    later : tuple of SignalVersion
        Contents that it got afterwards, oldest first.
    """

    pair: str
    timeframe: str
    state: State
    version: SignalVersion | None = None
    earlier: tuple[SignalVersion, ...] = ()
    later: tuple[SignalVersion, ...] = ()


def standing_at(
    pair: str, timeframe: Timeframe, versions: Sequence[SignalVersion], at: datetime, window: SignalWindow
) -> Standing:
    """Return what stood for a pair at a time.

    Parameters
    ----------
    pair : str
    timeframe : Timeframe
    versions : sequence of SignalVersion
        Of the pair and timeframe: all contents of the signals whose bar lies within the window, and of the newest one
        that had been written by then.
    at : datetime
        The time; a content counts from the moment of its writing on, and no longer from that of its replacement on.
    window : SignalWindow
        The rule by which bots chose. As in live trading, a signal's age counts from its bar's close.

    Returns
    -------
    Standing
        Of the signal that was in force; where none was, of the newest that had been written, with the reason.
    """
    written = [one for one in versions if one.known_from <= at]
    if not written:
        return Standing(pair, timeframe.name, "none")
    known = {one.content["ts"]: one for one in written if one.is_known(at)}  # of two in one millisecond the later
    chosen = _chosen([known[ts] for ts in sorted(known)], timeframe, at, window)
    state: State = "in force"
    if chosen is None:
        newest = max(one.content["ts"] for one in written)
        chosen = max((one for one in written if one.content["ts"] == newest), key=_number)
        state = _why_not(chosen, timeframe, at, window)
    same = [one for one in versions if one.content["ts"] == chosen.content["ts"]]
    return Standing(
        pair,
        timeframe.name,
        state,
        chosen,
        tuple(sorted((one for one in same if _number(one) < _number(chosen)), key=_number)),
        tuple(sorted((one for one in same if _number(one) > _number(chosen)), key=_number)),
    )


def last_closed(timeframe: Timeframe, at: datetime) -> datetime:
    """Return the open of the last candle that had closed."""
    return timeframe.floor(at) - timeframe.delta


def _chosen(
    known: Sequence[SignalVersion], timeframe: Timeframe, at: datetime, window: SignalWindow
) -> SignalVersion | None:
    ends = [_ms(one.content["valid_until"]) if "valid_until" in one.content else NEVER for one in known]
    times = SignalTimes.of(np.array([_ms(one.content["ts"]) for one in known], np.int64), np.array(ends, np.int64))
    candle = np.array([_ms(last_closed(timeframe, at))], np.int64)
    (position,) = choose(times, candle, np.array([_ms(at)], np.int64), window).tolist()
    return None if position == NO_SIGNAL else known[position]


def _why_not(version: SignalVersion, timeframe: Timeframe, at: datetime, window: SignalWindow) -> State:
    if not version.is_known(at):
        return "retracted" if version.retracted else "not kept"
    available = version.content["ts"] + timeframe.delta
    if available > at:
        return "early"
    if "valid_until" in version.content and version.content["valid_until"] <= at:
        return "void"
    return "expired" if _ms(at) - _ms(available) > window.max_delay_ms else "outside window"


def _number(version: SignalVersion) -> int:
    number: Any = version.content["version"]
    return int(number)


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
