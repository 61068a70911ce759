"""All rules over one look: what is wrong now, and what could be judged."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from monitoring.alerts.rules_health import gap_open, reconciliation
from monitoring.alerts.rules_signals import run_failed, signal_expired, signal_late, signal_missing
from monitoring.alerts.rules_silent import Unheard, not_compared, silent_bars, silent_research, silent_sides
from monitoring.alerts.rules_trading import balance_low, rate_limited, rejects, slippage
from monitoring.alerts.verdict import Verdict, joined
from monitoring.facts import Look, StrategyLook
from monitoring.watch_file import Rules

_StrategyRule = tuple[str, Callable[[Look, StrategyLook, Any], Iterator[Verdict]]]

_ASKED: tuple[_StrategyRule, ...] = (
    ("balance_low", balance_low),
    ("rate_limited", rate_limited),
)
_STORED: tuple[_StrategyRule, ...] = (
    ("silent", silent_research),
    ("signal_missing", signal_missing),
    ("run_failed", run_failed),
    ("signal_late", signal_late),
    ("signal_expired", signal_expired),
    ("rejects", rejects),
    ("slippage", slippage),
    ("reconciliation", reconciliation),
)


def judge(look: Look, rules: Rules, unheard: Unheard | None = None) -> Verdict:
    """Return the problems of a look, and what was judged.

    Parameters
    ----------
    look : Look
    rules : Rules
        Those of the watch file; a rule that is not enabled judges nothing.
    unheard : mapping, optional
        Of `note_silence`: since when sides have not answered. None for a single look, whose sides have no time to wait.
    """
    found = [*_asked(look, rules, unheard)]
    if look.store.error is None:
        # Without MongoDB nothing was read: that is no news of any strategy, neither good nor bad.
        found += _stored(look, rules, unheard)
    return joined(found)


def _asked(look: Look, rules: Rules, unheard: Unheard | None) -> Iterator[Verdict]:
    """What bots, venue and MongoDB themselves answer."""
    if rules.silent.enabled:
        yield from silent_sides(look, rules.silent, unheard)
    yield from _of_strategies(look, rules, _ASKED)


def _stored(look: Look, rules: Rules, unheard: Unheard | None) -> Iterator[Verdict]:
    """What the documents tell."""
    if rules.gap_open.enabled:
        yield from gap_open(look, rules.gap_open)
    if rules.silent.enabled:
        yield from silent_bars(look, rules.silent)
    if rules.reconciliation.enabled:
        for one in look.strategies:
            yield from not_compared(look, one, rules, unheard)
    yield from _of_strategies(look, rules, _STORED)


def _of_strategies(look: Look, rules: Rules, found_by: Sequence[_StrategyRule]) -> Iterator[Verdict]:
    for one in look.strategies:
        for name, find in found_by:
            rule = getattr(rules, name)
            if rule.enabled:
                yield from find(look, one, rule)
