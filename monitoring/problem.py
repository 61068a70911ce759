"""What a rule found wrong: the one value that checks print, alerts send and metrics count."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple


class Severity(IntEnum):
    """How bad a problem is; the value is the exit code of `signal-monitor check`, as monitoring systems expect it."""

    HEALTHY = 0
    WARNING = 1
    CRITICAL = 2


class ProblemKey(NamedTuple):
    """What tells a problem from every other one; '' stands for a part that it does not have."""

    rule: str
    strategy_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now; as long as it lasts, each look finds it again under the same key.

    Attributes
    ----------
    rule : str
        Name of the rule in the watch file.
    subject : str
        What it is about within the rule, the same for as long as the problem lasts: 'BTC/USDT 1m', 'mongodb'. Where it
        is a bot's it begins with the bot's name.
    severity : Severity
    text : str
        A full sentence for a person, with strategy, pair and time where there are such.
    at : datetime
        When it began, or when it was noticed first where nobody knows.
    strategy_id, consumer, pair : str or None
        Whose it is; `consumer` only where it is a bot's: what research did wrong is one problem for all its bots.
    """

    rule: str
    subject: str
    severity: Severity
    text: str
    at: datetime
    strategy_id: str | None = None
    consumer: str | None = None
    pair: str | None = None

    @property
    def key(self) -> ProblemKey:
        """What tells it from every other problem."""
        return ProblemKey(self.rule, self.strategy_id or "", self.subject)
