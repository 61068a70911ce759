"""What rules make of a look: the problems, and how far they could see; what nobody could judge is not healthy."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from monitoring.facts import StrategyLook
from monitoring.problem import Problem, ProblemKey, Severity
from monitoring.watch_file import Rule


class Judged(NamedTuple):
    """A part of the world about which a rule could tell whether all is well.

    A subject stands for itself and for all that begin with it and a space: 'BINANCE:BTCUSDT 1m' for each of its gaps.
    None is every subject.
    """

    rule: str
    strategy_id: str = ""
    subject: str | None = None

    def covers(self, key: ProblemKey) -> bool:
        """Tell whether a problem of that key lies in this part."""
        if (self.rule, self.strategy_id) != key[:2]:
            return False
        return self.subject is None or f"{key.subject} ".startswith(f"{self.subject} ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The problems of a look, and what was judged.

    A problem that was there before is over only where it was judged and not found again. So a monitor whose MongoDB is
    away ends nothing of which it can not know, and two monitors that watch different strategies leave each other's
    problems alone.
    """

    problems: tuple[Problem, ...] = ()
    judged: frozenset[Judged] = frozenset()

    def covers(self, key: ProblemKey) -> bool:
        """Tell whether a problem of that key would have been found."""
        return any(part.covers(key) for part in self.judged)

    @property
    def severity(self) -> Severity:
        """That of the worst problem."""
        return max((problem.severity for problem in self.problems), default=Severity.HEALTHY)


def joined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return all verdicts as one, the worst problems first; a problem that several found stands once."""
    problems: dict[ProblemKey, Problem] = {}
    judged: set[Judged] = set()
    for verdict in verdicts:
        judged |= verdict.judged
        for problem in verdict.problems:
            known = problems.get(problem.key)
            if known is None or problem.severity > known.severity:
                problems[problem.key] = problem
    worst_first = sorted(problems.values(), key=lambda one: (-one.severity, one.at, one.key))
    return Verdict(tuple(worst_first), frozenset(judged))


@dataclass(frozen=True, slots=True)
class Case:
    """What one rule says of one strategy, bot or side: it puts their names on problems and on what was judged."""

    name: str
    rule: Rule
    strategy_id: str | None = None
    consumer: str | None = None
    bot: str | None = None

    @classmethod
    def of(cls, name: str, rule: Rule, one: StrategyLook) -> "Case":
        """Return the case of a strategy, whoever trades it."""
        return cls(name, rule, one.watched.strategy_id)

    @classmethod
    def of_bot(cls, name: str, rule: Rule, one: StrategyLook, bot: str | None = None) -> "Case":
        """Return the case of a bot, whose name begins each subject: its consumer, or `bot`."""
        return cls(name, rule, one.watched.strategy_id, one.watched.consumer, bot or one.watched.consumer)

    def problem(self, subject: str | None, text: str, at: datetime, pair: str | None = None) -> Verdict:
        """Return a verdict of one problem."""
        named = self.key(subject).subject
        found = Problem(self.name, named, self.rule.severity, text, at, self.strategy_id, self.consumer, pair)
        return Verdict((found,), frozenset({self._judged(named)}))

    def healthy(self, subject: str | None = None) -> Verdict:
        """Return a verdict that finds nothing wrong with a subject, or with all of them."""
        return Verdict((), frozenset({self._judged(self._named(subject))}))

    def key(self, subject: str | None) -> ProblemKey:
        """Return the key that a problem has."""
        return ProblemKey(self.name, self.strategy_id or "", self._named(subject) or self.name)

    def _named(self, subject: str | None) -> str | None:
        return " ".join(part for part in (self.bot, subject) if part) or None

    def _judged(self, subject: str | None) -> Judged:
        return Judged(self.name, self.strategy_id or "", subject)


def utc(time: datetime) -> str:
    """Return a time as sentences have it: '2022-01-15 12:00 UTC', with seconds where there are some."""
    form = "%Y-%m-%d %H:%M:%S" if time.second else "%Y-%m-%d %H:%M"
    return f"{time.astimezone(UTC):{form}} UTC"


def length(span: timedelta) -> str:
    """Return a span as sentences have it: '45 s', '3 min', '2.5 h', '3 days'."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds, 1):g} s"
