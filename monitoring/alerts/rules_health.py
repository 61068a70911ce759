"""The rules about what everything stands on: gaps among bars, and sides that do not agree."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from monitoring.alerts.verdict import Case, Verdict, utc
from monitoring.chain.findings import Finding
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
    """Find what does not agree; each finding is a problem, so that a second one of its kind is not overlooked.

    While a side does not answer, nothing is over: what was not compared may differ still.
    """
    result = one.reconciliation
    if result is None:
        return
    case = Case.of_bot("reconciliation", rule, one)
    if not result.not_compared:
        yield case.healthy()
    for (kind, pair), alike in _alike(result.findings).items():
        first = alike[0]
        bar = f" {utc(first.ts)}" if first.ts else ""
        more = f" It is the first of {len(alike):,}." if len(alike) > 1 else ""
        text = f"{one.watched.strategy_id} {pair}{bar}, {kind}: {first.what.rstrip('.')}.{more}"
        yield case.problem(f"{kind} {pair}", text, first.ts or look.at, pair)


def _alike(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Return findings by kind and pair, each kind oldest first: a bot that is away misses a signal at every bar."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.kind, finding.pair), []).append(finding)
    return {key: sorted(found, key=lambda one: (one.ts is None, one.ts or _EPOCH)) for key, found in alike.items()}
