"""The rule about sides that are not heard of any more: MongoDB, bars, research, the bot, the venue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from monitoring.alerts.rules_trading import bot_name, venue_name
from monitoring.alerts.verdict import Case, Verdict, length, utc
from monitoring.facts import BotHealth, Look, StrategyLook
from monitoring.problem import ProblemKey, Severity
from monitoring.watch_file import Rule, Rules, Silent
from schemas.timeframes import Timeframe

Unheard = Mapping[ProblemKey, datetime]
"""Since when each side that did not answer at the newest look has not answered."""

_NAME = "silent"


@dataclass(frozen=True, slots=True)
class _Side:
    """A side that is asked; `error` says why it is not heard of."""

    case: Case
    subject: str | None
    called: str
    error: str | None

    @property
    def key(self) -> ProblemKey:
        return self.case.key(self.subject)


def note_silence(look: Look, rule: Silent, before: Unheard) -> Unheard:
    """Return since when each side that was not heard now has not been; one that was heard is not among them."""
    sides = [*_sides(look, rule), *(_comparison(one, rule) for one in look.strategies)]
    unheard = {side.key: before.get(side.key, look.at) for side in sides if side.error is not None}
    for one in look.strategies:
        key = _comparison(one, rule).key
        if one.reconciliation is None and key in before:  # as while MongoDB is away: that is no comparison either
            unheard[key] = before[key]
    return unheard


def silent_sides(look: Look, rule: Silent, unheard: Unheard | None) -> Iterator[Verdict]:
    """Find sides that have not been heard of for longer than `after`; before that nobody can tell.

    Where `unheard` is None there is no look before this one, and a side that is not heard is silent at once.
    """
    for side in _sides(look, rule):
        since = look.at if unheard is None else unheard.get(side.key, look.at)
        if side.error is None:
            yield side.case.healthy(side.subject)
        elif unheard is None or look.at - since >= rule.after:
            lasting = f"has been silent since {utc(since)}" if look.at > since else "is silent"
            yield side.case.problem(side.subject, f"{side.called} {lasting}: {side.error.rstrip('.')}.", since)


def not_compared(look: Look, one: StrategyLook, rules: Rules, unheard: Unheard | None) -> Iterator[Verdict]:
    """Find a bot of which not all sides could be compared for longer than `silent.after`; see `silent_sides`.

    It is a warning: nothing is known to be wrong, and nothing to be right. It is over when all sides were compared.
    """
    side = _comparison(one, rules.reconciliation.model_copy(update={"severity": Severity.WARNING}))
    since = look.at if unheard is None else unheard.get(side.key, look.at)
    if side.error is not None and (unheard is None or look.at - since >= rules.silent.after):
        yield side.case.problem(side.subject, f"{side.called} since {utc(since)}: {side.error}", since)


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
    """Find a strategy that has not exported for too long.

    One that never has, and is named all the same, is a warning: it may be new, or its name misspelt.
    """
    if one.research is None:
        return
    case, subject = Case.of(_NAME, rule, one), f"research {one.watched.timeframe}"
    last = one.research.last_export_at
    if last is None:
        mild = Case.of(_NAME, rule.model_copy(update={"severity": Severity.WARNING}), one)
        text = f"{one.watched.strategy_id} {one.watched.timeframe} has never exported. Is it new, or its name misspelt?"
        yield mild.problem(subject, text, look.at)
        return
    if look.at - last <= rule.bars * one.watched.bar:
        yield case.healthy(subject)
        return
    text = (
        f"Research of {one.watched.strategy_id} {one.watched.timeframe} has not exported since {utc(last)}, "
        f"{_ago(look, last)} ago."
    )
    yield case.problem(subject, text, last)


def _sides(look: Look, rule: Silent) -> Iterator[_Side]:
    yield _Side(Case(_NAME, rule), "mongodb", "MongoDB", look.store.error)
    for one in look.strategies:
        if one.bot is not None:
            case = Case.of_bot(_NAME, rule, one, bot_name(one))
            called = f"Freqtrade at {one.watched.freqtrade}, the bot of {one.watched.strategy_id},"
            yield _Side(case, None, called, _bot_error(look, one.bot, rule))
        if one.venue is not None:
            yield _Side(Case(_NAME, rule), venue_name(one), f"The {venue_name(one)}", one.venue.error)


def _comparison(one: StrategyLook, rule: Rule) -> _Side:
    """Return what the comparison of a bot's sides is silent about."""
    gaps = one.reconciliation.not_compared if one.reconciliation is not None else ()
    called = f"Not all sides of {one.watched.strategy_id} could be compared"
    return _Side(Case.of_bot("reconciliation", rule, one), "not compared", called, " ".join(gaps) or None)


def _bot_error(look: Look, bot: BotHealth, rule: Silent) -> str | None:
    """Return why a bot is not heard of: it does not answer, or it answers and its loop does not run."""
    if bot.error is not None or bot.ping_ms is None:
        return bot.error or "it gave no answer"
    if bot.state == "stopped":
        return "it answers, but it is stopped and trades nothing"
    if bot.last_process is not None and look.at - bot.last_process > rule.loop:
        return f"it answers, but its last loop ended {utc(bot.last_process)}, {_ago(look, bot.last_process)} ago"
    return None


def _ago(look: Look, time: datetime) -> str:
    return length(look.at - time)
