"""The rules about what everything stands on: gaps among bars, and sides that do not agree."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import get_args

from monitoring.alerts.verdict import Case, Verdict, utc
from monitoring.chain.findings import Finding, FindingKind
from monitoring.chain.reconciliation import Reconciliation
from monitoring.facts import Look, StrategyLook
from monitoring.watch_file import Differs, GapOpen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def gap_open(look: Look, rule: GapOpen) -> Iterator[Verdict]:
    """Find stretches without bars, each of which is a problem of its own, known by its first missing bar."""
    case = Case("gap_open", rule)
    for series in look.series:
        name = f"{series.symbol} {series.timeframe}"
        yield case.healthy(name)
        for gap in series.open_gaps:
            if gap.end < look.at - rule.within:
                continue
            text = f"Bars of {name} are missing: those that opened from {utc(gap.start)} to {utc(gap.end)}."
            yield case.problem(f"{name} {gap.start:%Y-%m-%dT%H:%M}", text, gap.start)


def reconciliation(look: Look, one: StrategyLook, rule: Differs) -> Iterator[Verdict]:
    """Find what does not agree; each finding is a problem by itself, so that a second one is not overlooked.

    Signals without a receipt are one problem for each pair: a bot that is away misses one at every bar.
    While a side does not answer, nothing is over: what was not compared may differ still. So may the position and the
    balance of a pair that has an order on its way.
    """
    result = one.reconciliation
    if result is None:
        return
    case = Case.of_bot("reconciliation", rule, one)
    if not result.not_compared:
        yield from _compared(case, result)
    for subject, alike in _alike(result.findings).items():
        first = alike[0]
        bar = f" {utc(first.ts)}" if first.ts else ""
        more = f" It is the first of {len(alike):,}." if len(alike) > 1 else ""
        text = f"{one.watched.strategy_id} {first.pair}{bar}, {first.kind}: {first.what.rstrip('.')}.{more}"
        yield case.problem(subject, text, first.ts or look.at, first.pair)


def _compared(case: Case, result: Reconciliation) -> Iterator[Verdict]:
    """Judge all that was compared: of pairs that move everything but positions and balances."""
    if not result.moving:
        yield case.healthy()
        return
    for kind in get_args(FindingKind):
        if kind not in ("position differs", "balance differs"):
            yield case.healthy(kind)
    for pair in set(result.pairs) - result.moving:
        yield case.healthy(f"position differs {pair}")
    for check in result.balances:
        if check.is_compared:
            yield case.healthy(f"balance differs {', '.join(check.pairs)}")


def _alike(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return findings by the subject of their problem, each oldest first."""
    alike: dict[str, list[Finding]] = {}
    for one in findings:
        subject = f"{one.kind} {one.pair}" if one.kind == "signal without receipt" else one.subject
        alike.setdefault(subject, []).append(one)
    return {
        subject: sorted(found, key=lambda one: (one.ts is None, one.ts or _EPOCH)) for subject, found in alike.items()
    }
