"""Holds live trades beside what the same signals give in the backtest, and says what makes the difference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from monitoring.chain.backtest_trades import BacktestTrade, backtest_trades, last_mark, missing_bars
from monitoring.chain.live_trades import LastMark, LiveTrade, live_trade, paid_fee_rate
from monitoring.chain.profit_split import Split, split_difference
from monitoring.chain.signal_chain import Scope
from monitoring.chain.traded_span import TradedSpan
from schemas.errors import InputError
from schemas.signal_actions import Signals

DEFAULT_FEE = 0.001  # that of simulate_long_flat
FeeSource = Literal["given", "paid", "assumed"]
_Key = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class ComparedTrade:
    """One trade on both sides, or on the one that has it.

    Attributes
    ----------
    split : Split or None
        Where both have it.
    reason : str or None
        Where one has it: why the other has not. What the bot's receipt says, or what the backtest did.
    """

    pair: str
    ts: datetime | None
    live: LiveTrade | None
    backtest: BacktestTrade | None
    split: Split | None = None
    reason: str | None = None

    @property
    def live_ratio(self) -> float | None:
        """The live trade's profit ratio."""
        return None if self.live is None else self.live.rates.profit_ratio

    @property
    def backtest_ratio(self) -> float | None:
        """The backtest's profit ratio."""
        return None if self.backtest is None else self.backtest.rates.profit_ratio

    @property
    def difference(self) -> float:
        """Live less backtest; a trade that one side lacks counts as 0 there."""
        return (self.live_ratio or 0.0) - (self.backtest_ratio or 0.0)

    @property
    def opened_at(self) -> datetime:
        """When it was opened, live where it was traded there."""
        if self.live is not None:
            return self.live.opened_at
        if self.backtest is None:
            raise ValueError(f"A compared trade of {self.pair} is on neither side.")
        return self.backtest.opened_at


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over trades, as profit ratios: all parts together are live less backtest.

    Attributes
    ----------
    skipped : float
        What the backtest earned with trades that live has not, taken off.
    only_live : float
        What live earned with trades that the backtest has not.
    """

    live: float
    backtest: float
    delay: float
    other_exit: float
    price: float
    fees: float
    skipped: float
    only_live: float

    @property
    def difference(self) -> float:
        """Live less backtest."""
        return self.live - self.backtest

    @property
    def parts(self) -> dict[str, float]:
        """The parts by name, in the order in which they came about."""
        return {part.name: getattr(self, part.name) for part in fields(self)[2:]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Live trades beside those of the backtest.

    Attributes
    ----------
    scope : Scope
        What was compared; `since` is when the bot could use a signal first, where that is later than asked for.
    fee, fee_source : float, str
        What the backtest paid for each fill; whether that was given, is what the bot paid, or the default.
    trades : tuple of ComparedTrade
        By the time at which they were opened.
    too_new : int
        Live trades whose bar is not stored yet, which are left out.
    shorts : int
        Live trades of the short side, which the backtest has not, and which are left out.
    missing_bars : int
        Bars that lack on the way; the backtest fills at the next one.
    without_bars : tuple of str
        Pairs that could not be compared.
    """

    scope: Scope
    fee: float
    fee_source: FeeSource
    trades: tuple[ComparedTrade, ...]
    too_new: int = 0
    shorts: int = 0
    missing_bars: int = 0
    without_bars: tuple[str, ...] = ()

    @property
    def both(self) -> list[ComparedTrade]:
        """Trades that both sides have."""
        return [trade for trade in self.trades if trade.split is not None]

    @property
    def skipped(self) -> list[ComparedTrade]:
        """Trades that only the backtest has."""
        return [trade for trade in self.trades if trade.live is None]

    @property
    def only_live(self) -> list[ComparedTrade]:
        """Trades that only the bot has."""
        return [trade for trade in self.trades if trade.backtest is None]

    @property
    def skip_reasons(self) -> dict[str, int]:
        """How many trades were skipped for which reason."""
        return dict(Counter(str(trade.reason) for trade in self.skipped))

    @property
    def profit_quote(self) -> Decimal:
        """What the live trades earned, in the quote asset."""
        return sum((trade.live.profit_quote for trade in self.trades if trade.live is not None), Decimal(0))

    @property
    def totals(self) -> Totals:
        """The sums over all trades."""
        splits = [trade.split for trade in self.trades if trade.split is not None]
        return Totals(
            live=sum(trade.live_ratio or 0.0 for trade in self.trades),
            backtest=sum(trade.backtest_ratio or 0.0 for trade in self.trades),
            **{part.name: sum(getattr(split, part.name) for split in splits) for part in fields(Split)},
            skipped=sum(trade.difference for trade in self.skipped),
            only_live=sum(trade.difference for trade in self.only_live),
        )


def compare_with_backtest(span: TradedSpan, fee: float | None = None) -> Comparison:
    """Return the live trades of a span beside those that its signals give in the backtest.

    Trades are the same where the same signal opened them. What is held at the end is worth the last close on both
    sides.

    Parameters
    ----------
    span : TradedSpan
    fee : float, optional
        What the backtest pays for each fill; by default what the bot paid on average.

    Raises
    ------
    InputError
        Where there was something to compare, and no bars of it.
    """
    if span.starts and not span.bars:
        raise InputError(
            f"A comparison needs the bars of {', '.join(span.without_bars)} {span.scope.timeframe} from "
            f"{span.scope.since:%Y-%m-%d %H:%M} UTC on, and none are stored. Import them with import-ohlcv."
        )
    rate, source = _fee(span, fee)
    marks = {pair: last_mark(bars, span.scope.timeframe) for pair, bars in span.bars.items()}
    simulated = {
        (one.pair, one.ts): one
        for pair, bars in span.bars.items()
        for one in backtest_trades(pair, span.signals[pair], bars, span.scope.timeframe, rate)
    }
    traded = [one for one in span.positions if one["pair"] in marks and one["side"] == "long"]
    old_enough = [one for one in traded if _opened(one) < marks[one["pair"]].ts]
    live = [_live(one, span, marks, rate) for one in old_enough]
    trades = _matched(live, simulated, span, rate)
    return Comparison(
        scope=span.scope,
        fee=rate,
        fee_source=source,
        trades=tuple(sorted(trades, key=lambda trade: (trade.opened_at, trade.pair))),
        too_new=len(traded) - len(old_enough),
        shorts=sum(1 for one in span.positions if one["side"] != "long"),
        missing_bars=missing_bars(span.bars, span.scope.timeframe),
        without_bars=tuple(span.without_bars),
    )


def _fee(span: TradedSpan, fee: float | None) -> tuple[float, FeeSource]:
    if fee is not None:
        return fee, "given"
    paid = paid_fee_rate(fill for fills in span.fills.values() for fill in fills)
    return (DEFAULT_FEE, "assumed") if paid is None else (paid, "paid")


def _opened(position: Mapping[str, Any]) -> datetime:
    ts: datetime | None = position.get("ts")
    opened: datetime = position["opened_at"]
    return opened if ts is None else ts


def _live(position: Mapping[str, Any], span: TradedSpan, marks: Mapping[str, LastMark], fee: float) -> LiveTrade:
    fills = span.fills.get((position["pair"], position["trade_id"]), ())
    return live_trade(position, fills, marks[position["pair"]], fee)


def _matched(
    live: Sequence[LiveTrade], simulated: Mapping[_Key, BacktestTrade], span: TradedSpan, fee: float
) -> list[ComparedTrade]:
    trades, left = [], dict(simulated)
    for one in live:
        twin = None if one.ts is None else left.pop((one.pair, one.ts), None)
        if twin is None:
            reason = _why_only_live(one, simulated, span.signals[one.pair])
            trades.append(ComparedTrade(one.pair, one.ts, one, None, reason=reason))
            continue
        split = split_difference(
            twin.rates,
            one.quoted_rates(fee),
            one.rates,
            same_exit=one.exit_ts == twin.exit_ts and _ended_alike(one, twin),
        )
        trades.append(ComparedTrade(one.pair, one.ts, one, twin, split))
    skipped = [
        ComparedTrade(pair, ts, None, one, reason=_why_skipped(span.receipts.get((pair, ts))))
        for (pair, ts), one in left.items()
    ]
    return trades + skipped


def _ended_alike(live: LiveTrade, backtest: BacktestTrade) -> bool:
    return (live.closed_at is None) == (backtest.closed_at is None)


def _why_skipped(receipt: Mapping[str, Any] | None) -> str:
    if receipt is None:
        return "no receipt"
    if receipt["decision"] == "skipped":
        return str(receipt["reason"])
    return f"{receipt['decision']}, no position stored"


def _why_only_live(trade: LiveTrade, simulated: Mapping[_Key, BacktestTrade], signals: Signals) -> str:
    if trade.ts is None:
        return "no signal"
    holds = [
        one
        for one in simulated.values()
        if one.pair == trade.pair and one.ts < trade.ts and (one.closed_at is None or one.closed_at > trade.ts)
    ]
    if holds:
        return f"backtest in position since {holds[-1].ts:%Y-%m-%d %H:%M}"
    stored = {int(ts) for ts in signals.ts}
    return "no entry in backtest" if round(trade.ts.timestamp() * 1000) in stored else "signal retracted"
