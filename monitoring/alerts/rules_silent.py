"""The rule about sides that are not heard of any more: MongoDB, bars, research, the bot, the venue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from monitoring.alerts.rules_trading import venue_name
from monitoring.alerts.verdict import Case, Verdict, length, utc
from monitoring.facts import BotHealth, Look, StrategyLook
from monitoring.problem import ProblemKey
from monitoring.watch_file import Silent
from schemas.timeframes import Timeframe

Unheard = Mapping[ProblemKey, datetime]
"""Since when each side that did not answer at the newest look has not answered."""

_NAME = "silent"


@dataclass(frozen=True, slots=True)
class _Side:
    """A side that is asked and answers, or does not."""

    subject: str
    called: str
    error: str | None
    strategy_id: str | None = None
    consumer: str | None = None

    @property
    def key(self) -> ProblemKey:
        return ProblemKey(_NAME, self.strategy_id or "", self.consumer or "", self.subject)


def note_silence(look: Look, before: Unheard) -> Unheard:
    """Return since when each side that did not answer now has not; one that answered is not among them."""
    return {side.key: before.get(side.key, look.at) for side in _sides(look) if side.error is not None}


def silent_sides(look: Look, rule: Silent, unheard: Unheard | None) -> Iterator[Verdict]:
    """Find sides that have not answered for longer than `after`; before that nobody can tell.

    Where `unheard` is None there is no look before this one, and a side that does not answer is silent at once.
    """
    for side in _sides(look):
        case = Case(_NAME, rule, side.strategy_id, side.consumer)
        since = look.at if unheard is None else unheard.get(side.key, look.at)
        if side.error is None:
            yield case.healthy(side.subject)
        elif unheard is None or look.at - since >= rule.after:
            lasting = f"has not answered since {utc(since)}" if look.at > since else "does not answer"
            yield case.problem(side.subject, f"{side.called} {lasting}: {side.error.rstrip('.')}.", since)


def silent_loops(look: Look, one: StrategyLook, rule: Silent) -> Iterator[Verdict]:
    """Find a bot that answers and yet does not work: it was stopped, or its loop hangs."""
    bot = one.bot
    if bot is None or bot.error is not None:
        return
    case = Case.of(_NAME, rule, one, bots=True)
    subject, name = "freqtrade's loop", f"The bot of {one.watched.strategy_id}"
    if bot.state == "stopped":
        yield case.problem(subject, f"{name} is stopped: it answers, and trades nothing.", bot.last_process or look.at)
    elif bot.last_process is not None and look.at - bot.last_process > rule.loop:
        text = f"{name} answers, but its last loop ended {utc(bot.last_process)}, {_ago(look, bot.last_process)} ago."
        yield case.problem(subject, text, bot.last_process)
    else:
        yield case.healthy(subject)


def silent_bars(look: Look, rule: Silent) -> Iterator[Verdict]:
    """Find symbols whose newest bar is too old; one that never had a bar is not judged, as it may be new."""
    for series in look.series:
        if series.last_open is None or series.age_s is None:
            continue
        case, subject = Case(_NAME, rule), f"{series.symbol} {series.timeframe}"
        bar = Timeframe.parse(series.timeframe).delta
        closed = series.last_open + bar
        if series.age_s <= rule.bars * bar.total_seconds():
            yield case.healthy(subject)
        else:
            text = f"No bar of {subject} has come since the one that closed {utc(closed)}, {_ago(look, closed)} ago."
            yield case.problem(subject, text, closed)


def silent_research(look: Look, one: StrategyLook, rule: Silent) -> Iterator[Verdict]:
    """Find a strategy that has not exported for too long; one that never has is not judged, as it may be new."""
    if one.research is None or one.research.last_export_at is None:
        return
    case, subject = Case.of(_NAME, rule, one), f"research {one.watched.timeframe}"
    last = one.research.last_export_at
    if look.at - last <= rule.bars * one.watched.bar:
        yield case.healthy(subject)
        return
    text = (
        f"Research of {one.watched.strategy_id} {one.watched.timeframe} has not exported since {utc(last)}, "
        f"{_ago(look, last)} ago."
    )
    yield case.problem(subject, text, last)


def _sides(look: Look) -> Iterator[_Side]:
    yield _Side("mongodb", "MongoDB", look.store.error)
    for one in look.strategies:
        watched = one.watched
        if one.bot is not None:
            called = f"Freqtrade at {watched.freqtrade}, the bot of {watched.strategy_id},"
            yield _Side("freqtrade", called, _error(one.bot), watched.strategy_id, watched.consumer)
        if one.venue is not None:
            name = venue_name(one)
            # A venue that limits us was heard.
            error = None if one.venue.rate_limited_at is not None else one.venue.error
            yield _Side(name, f"The {name}", error)


def _error(bot: BotHealth) -> str | None:
    return bot.error or ("it gave no answer" if bot.ping_ms is None else None)


def _ago(look: Look, time: datetime) -> str:
    return length(look.at - time)
