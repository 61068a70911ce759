"""The rules about what everything stands on: gaps among bars, and sides that do not agree."""

from collections.abc import Iterator

from monitoring.alerts.verdict import Case, Verdict, utc
from monitoring.facts import Look, StrategyLook
from monitoring.watch_file import Differs, GapOpen


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
    """Find what does not agree; each finding is a problem, so that a second one of its kind is not overlooked.

    While a side does not answer, nothing is over: what was not compared may differ still.
    """
    result = one.reconciliation
    if result is None:
        return
    case = Case.of_bot("reconciliation", rule, one)
    if not result.not_compared:
        yield case.healthy()
    for finding in result.findings:
        bar = f" {utc(finding.ts)}" if finding.ts else ""
        text = f"{one.watched.strategy_id} {finding.pair}{bar}, {finding.kind}: {finding.what.rstrip('.')}."
        yield case.problem(finding.subject, text, finding.ts or look.at, finding.pair)
