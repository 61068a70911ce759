"""The rules about signals on their way: missing, their run failed, late, expired unused."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from monitoring.alerts.verdict import Case, Verdict, length, utc
from monitoring.chain.signal_chain import SignalChain
from monitoring.facts import Look, StrategyLook
from monitoring.watch_file import RunFailed, SignalExpired, SignalLate, SignalMissing

_EXPORT_BARS = 0.5  # a close is missed from here on: half a bar is what an export may take
_UNUSED = ("expired", "outside_window")


def signal_missing(look: Look, one: StrategyLook, rule: SignalMissing) -> Iterator[Verdict]:
    """Find pairs of a strategy that signals at every bar whose newest signal is too many closes old.

    A strategy that has never exported is not judged, as it may be new: that it should have is the rule `silent`'s.
    A pair that never had a signal is missed when the strategy has exported as many closes as would be missed.
    """
    research = one.research
    if not one.watched.every_bar or research is None or research.last_export_at is None:
        return
    case = Case.of("signal_missing", rule, one)
    bar, name = one.watched.bar, one.watched.strategy_id
    for pair in one.watched.pairs or sorted(research.last_signals):
        subject = f"{pair} {one.watched.timeframe}"
        last = research.last_signals.get(pair)
        if last is None:
            if research.closes >= rule.bars:
                text = f"{name} has exported {research.closes:,} closes of {subject} and never a signal."
                yield case.problem(subject, text, one.since or look.since, pair)
            continue
        missed = max(0, int((look.at - last - bar) / bar - _EXPORT_BARS))
        if missed < rule.bars:
            yield case.healthy(subject)
            continue
        due = last + 2 * bar
        text = (
            f"{name} signals at every bar, and of {subject} {missed:,} closes have none: the last signal is of the bar "
            f"that closed {utc(last + bar)}."
        )
        yield case.problem(subject, text, due, pair)


def run_failed(_: Look, one: StrategyLook, rule: RunFailed) -> Iterator[Verdict]:
    """Find each graph that exports the strategy and whose newest run failed; the graph is the subject, not the run."""
    if one.research is None:
        return
    case = Case.of("run_failed", rule, one)
    yield case.healthy()  # every graph's newest run is known: those that are not named below are well
    for failed in one.research.failed_runs:
        reason = failed.error.splitlines()[0].rstrip(".") if failed.error else "no reason was stored"
        text = (
            f"The newest run of graph {failed.graph}, which exports {one.watched.strategy_id}, failed "
            f"{utc(failed.ended_at)}: {reason[:300]}. It was run {failed.run_id}."
        )
        yield case.problem(failed.graph, text, failed.ended_at)


def signal_late(look: Look, one: StrategyLook, rule: SignalLate) -> Iterator[Verdict]:
    """Find a strategy of which an export or a signal came too late after its bar's close, within the last bars.

    An export is timed by its newest close, a signal by its own: a session that was held up for several bars makes up
    for them in one export. Those of bars from before the strategy's first export were nobody's to be in time for.
    """
    research = one.research
    timed = [export for export in research.recorded if export.delay_s is not None] if research else []
    if research is None or not timed:
        return
    case = Case.of("signal_late", rule, one)
    subject, bar = one.watched.timeframe, one.watched.bar
    limit, since = rule.bars * bar, look.at - rule.within_bars * bar
    arrived = [(export.exported_at, timedelta(seconds=export.delay_s or 0.0)) for export in timed]
    first = research.first_export_at
    arrived += [
        (chain.exported, chain.exported - chain.close)
        for chain in one.chains
        if chain.exported is not None and first is not None and chain.close >= first
    ]
    late = [(at, delay) for at, delay in arrived if at >= since and delay > limit]
    if not late:
        yield case.healthy(subject)
        return
    at, delay = max(late, key=lambda one: one[1])
    text = (
        f"What {one.watched.strategy_id} {subject} exported {utc(at)} came {length(delay)} after its bar's close; "
        f"{length(limit)} is the limit."
    )
    yield case.problem(subject, text, min(at for at, _ in late))


def signal_expired(look: Look, one: StrategyLook, rule: SignalExpired) -> Iterator[Verdict]:
    """Find pairs whose newest due signal nobody used within its time.

    A signal is due when the bot has said what it did with it, or `after_bars` after its close. Those of bars from
    before the bot began are not for it; without a bot nothing is judged.
    """
    if one.bot_since is None:
        return
    case = Case.of_bot("signal_expired", rule, one)
    bar = one.watched.bar
    due_before = look.at - rule.after_bars * bar
    by_pair: dict[str, list[SignalChain]] = {}
    for chain in one.chains:
        if chain.ts >= one.bot_since and (chain.decision is not None or chain.close < due_before):
            by_pair.setdefault(chain.pair, []).append(chain)
    pairs = {*one.watched.pairs, *(chain.pair for chain in one.chains), *by_pair}
    for pair in sorted(pairs):
        subject = f"{pair} {one.watched.timeframe}"
        unused = _unused_at_the_end(by_pair.get(pair, ()))
        if not unused or look.at - unused[-1].close > rule.within_bars * bar:
            yield case.healthy(subject)
            continue
        newest = unused[-1]
        what = "it was skipped as too old" if newest.decision else "no bot says what it did with it"
        more = f" It is one of {len(unused):,} in a row." if len(unused) > 1 else ""
        text = (
            f"The signal {newest.content} of {one.watched.strategy_id} {subject} whose bar closed {utc(newest.close)} "
            f"expired unused: {what}.{more}"
        )
        yield case.problem(subject, text, unused[0].close + rule.after_bars * bar, pair)


def _unused_at_the_end(chains: Sequence[SignalChain]) -> list[SignalChain]:
    """Return the signals that expired since the last one that did not, oldest first."""
    row: list[SignalChain] = []
    for chain in reversed(chains):
        if chain.decision is not None and chain.reason not in _UNUSED:
            break
        row.append(chain)
    return row[::-1]
