"""The rules about orders and money: rejects, slippage, the balance for the next entry, rate limits."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from monitoring.alerts.verdict import Case, Verdict, utc
from monitoring.chain.signal_chain import SignalChain
from monitoring.facts import Look, StrategyLook
from monitoring.watch_file import BalanceLow, RateLimited, Rejects, Slippage

_BPS = 10_000
_ALL_PAIRS = "all pairs"


def rejects(_: Look, one: StrategyLook, rule: Rejects) -> Iterator[Verdict]:
    """Find so many rejected orders in a row, of the whole bot, or of a pair while others are accepted.

    An entry has one order; an exit is ordered again until it is accepted, and each refusal counts.

    It is over when an order is accepted; while nothing was ordered since, nothing is said: the signals of the span
    that was looked at move on, and that is no success.
    """
    case = Case.of_bot("rejects", rule, one)
    ordered = sorted(
        (chain for chain in one.chains if chain.fills or chain.rejected),
        key=lambda chain: (chain.seen or chain.close, chain.close),
    )
    row = _rejected_at_the_end(ordered)
    yield from _row_verdict(case, one, _ALL_PAIRS, row, len(ordered), rule.count)
    if _count(row) >= rule.count:
        return  # the row of a pair would say it again
    for pair in sorted({chain.pair for chain in ordered}):
        of_pair = [chain for chain in ordered if chain.pair == pair]
        yield from _row_verdict(case, one, pair, _rejected_at_the_end(of_pair), len(of_pair), rule.count)


def _row_verdict(
    case: Case, one: StrategyLook, subject: str, row: Sequence[SignalChain], ordered: int, count: int
) -> Iterator[Verdict]:
    if _count(row) < count:
        if ordered and not row:
            yield case.healthy(subject)
        return
    newest = row[-1]
    of_pair = f" of {subject}" if subject != _ALL_PAIRS else ""
    text = (
        f"The last {_count(row):,} orders{of_pair} for {one.watched.strategy_id} were rejected, the newest for the "
        f"{newest.content} of {newest.pair} {one.watched.timeframe} whose bar closed {utc(newest.close)}. "
        "The bot's log has the venue's reason."
    )
    yield case.problem(subject, text, row[0].seen or row[0].close, newest.pair)


def _rejected_at_the_end(ordered: Sequence[SignalChain]) -> list[SignalChain]:
    row: list[SignalChain] = []
    for chain in reversed(ordered):
        if chain.fills:
            break
        row.append(chain)
    return row[::-1]


def _count(row: Sequence[SignalChain]) -> int:
    return sum(chain.rejected for chain in row)


def slippage(look: Look, one: StrategyLook, rule: Slippage) -> Iterator[Verdict]:
    """Find pairs whose newest fill was too much worse than the market that the bot saw when it ordered."""
    case = Case.of_bot("slippage", rule, one)
    newest: dict[str, Mapping[str, Any]] = {}
    for fill in (fill for chain in one.chains for fill in chain.fills):
        if fill["pair"] not in newest or fill["filled_at"] > newest[fill["pair"]]["filled_at"]:
            newest[fill["pair"]] = fill
    for pair, fill in newest.items():
        subject = f"{pair} {one.watched.timeframe}"
        cost = slippage_bps(fill)
        is_old = look.at - fill["filled_at"] > rule.within_bars * one.watched.bar
        if is_old or (cost is not None and cost <= rule.bps):
            yield case.healthy(subject)
        elif cost is not None:
            text = (
                f"The {fill['side']} order {fill['order_id']} of {pair} for {one.watched.strategy_id} was filled "
                f"{utc(fill['filled_at'])} at {_plain(fill['price'])}, {cost:.1f} bps worse than the "
                f"{_plain(fill['quoted'])} that the bot saw; {rule.bps:g} bps is the limit."
            )
            yield case.problem(subject, text, fill["filled_at"], pair)


def slippage_bps(fill: Mapping[str, Any]) -> float | None:
    """Return how much worse than quoted a fill was, in basis points; below zero it was better, None: not known."""
    quoted = fill.get("quoted")
    if quoted is None or not quoted.to_decimal():
        return None
    market: Decimal = quoted.to_decimal()
    against = 1 if fill["side"] == "buy" else -1
    return float((fill["price"].to_decimal() - market) / market * against * _BPS)


def balance_low(look: Look, one: StrategyLook, rule: BalanceLow) -> Iterator[Verdict]:
    """Find a bot whose free balance does not pay the next entries; one that may not enter needs none."""
    bot = one.bot
    if bot is None or bot.stake_quote is None or bot.free_quote is None:
        return
    case = Case.of_bot("balance_low", rule, one, bot_name(one))
    currency = bot.stake_currency or "quote"
    slots = bot.max_open_trades
    is_full = slots is not None and slots >= 0 and bot.open_trades is not None and bot.open_trades >= slots
    needed = bot.stake_quote * Decimal(str(rule.stakes))
    if is_full or bot.free_quote >= needed:
        yield case.healthy(currency)
        return
    text = (
        f"The bot of {one.watched.strategy_id} has {bot.free_quote:,.2f} {currency} free {utc(look.at)}; "
        f"{rule.stakes:g} x {bot.stake_quote:,.2f} {currency} is needed for what it enters next."
    )
    yield case.problem(currency, text, look.at)


def rate_limited(look: Look, one: StrategyLook, rule: RateLimited) -> Iterator[Verdict]:
    """Find a bot, or this monitor, that the venue has limited within the rule's time."""
    bot, venue = one.bot, one.venue
    if bot is not None and bot.error is None:
        case = Case.of_bot("rate_limited", rule, one, bot_name(one))
        who = f"the bot of {one.watched.strategy_id}"
        yield _limited(case, None, who, bot.rate_limited_at[-1:], look, rule)
    if venue is not None and (venue.error is None or venue.rate_limited_at is not None):
        times = () if venue.rate_limited_at is None else (venue.rate_limited_at,)
        yield _limited(Case("rate_limited", rule), venue_name(one), "this monitor", times, look, rule)


def _limited(
    case: Case, subject: str | None, who: str, times: tuple[datetime, ...], look: Look, rule: RateLimited
) -> Verdict:
    if not times or look.at - times[-1] > rule.within:
        return case.healthy(subject)
    return case.problem(subject, f"The venue limited the requests of {who} {utc(times[-1])}.", times[-1])


def bot_name(one: StrategyLook) -> str:
    """Return what a bot that is asked is called as a subject: its address, as its name may not be known yet."""
    return f"freqtrade {one.watched.freqtrade}"


def venue_name(one: StrategyLook) -> str:
    """Return what a venue is called as a subject: one venue is one subject, whichever strategies trade there."""
    name = one.watched.exchange or "binance"
    return f"venue {name} {one.watched.exchange_url}" if one.watched.exchange_url else f"venue {name}"


def _plain(number: Any) -> str:
    return f"{number.to_decimal():,f}"
