"""Makes live trades of stored positions and fills: what was bought and sold for what, in money, with the fees paid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from monitoring.chain.profit_split import Rates

FeesKnown = Literal["paid", "told", "assumed"]
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class LastMark:
    """Where one pair's comparison ends: signals before `ts` count, and what is held then is worth `close` at `time`."""

    ts: datetime
    time: datetime
    close: Decimal


@dataclass(frozen=True, slots=True)
class LiveTrade:
    """A long trade as a bot made it.

    Attributes
    ----------
    ts, exit_ts : datetime or None
        The signals that opened and closed it; None where none did, or it is still held.
    closed_at : datetime or None
        None where it is still held at the end of the comparison.
    amount : Decimal
        What was bought, before fees.
    open_quoted, close_quoted : Decimal or None
        The market that the bot saw when it ordered; None where a fill does not tell, or nothing was sold.
    open_rate, close_rate : Decimal
        Averages of what was filled; where it is still held, what it is worth at the end.
    open_factor, close_factor : Decimal
        What fees made of these rates.
    fees : str
        'paid': from the fills. 'told': from the profit that the bot tells, as a fee coin was paid with. 'assumed': not
        known yet, so those of the backtest are taken.
    profit_quote : Decimal
        What it earned, in the quote asset.
    """

    pair: str
    trade_id: int
    ts: datetime | None
    exit_ts: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    exit_reason: str | None
    amount: Decimal
    open_quoted: Decimal | None
    open_rate: Decimal
    close_quoted: Decimal | None
    close_rate: Decimal
    open_factor: Decimal
    close_factor: Decimal
    fees: FeesKnown

    @property
    def rates(self) -> Rates:
        """The same as numbers, for ratios."""
        return Rates(float(self.open_rate), float(self.close_rate), float(self.open_factor), float(self.close_factor))

    @property
    def profit_quote(self) -> Decimal:
        """What it earned, in the quote asset, fees included."""
        return self.amount * (self.close_rate * self.close_factor - self.open_rate * self.open_factor)

    def quoted_rates(self, fee: float) -> Rates:
        """Return the market when the bot ordered, with the backtest's fee; where it is not known, what was filled."""
        opened = self.open_rate if self.open_quoted is None else self.open_quoted
        closed = self.close_rate if self.close_quoted is None else self.close_quoted
        return Rates(float(opened), float(closed), 1.0 + fee, 1.0 - fee if self.closed_at else 1.0)

    @property
    def is_quoted(self) -> bool:
        """Whether all its fills tell which market the bot saw."""
        return self.open_quoted is not None and (self.closed_at is None or self.close_quoted is not None)


@dataclass(frozen=True, slots=True)
class _Side:
    """All fills of one direction: amount and cost before fees, and the fees by the asset they were taken of."""

    amount: Decimal
    cost: Decimal
    quoted: Decimal | None
    base_fee: Decimal
    quote_fee: Decimal
    fees_known: bool


def live_trade(position: Mapping[str, Any], fills: Sequence[Mapping[str, Any]], end: LastMark, fee: float) -> LiveTrade:
    """Return one long trade as it stands at the end of the comparison.

    What is left of a purchase after the sale (dust below a lot) counts as sold at the same price. An exit that came
    after the end did not happen yet.

    Parameters
    ----------
    position : document of `crypto_positions`
    fills : documents of `crypto_fills`
        Those of the trade; where they are lost, the position's own rates are taken.
    end : LastMark
    fee : float
        The backtest's fee, for trades whose own is not known.
    """
    bought = _side([fill for fill in fills if fill["side"] == "buy"], position["pair"]) or _told(position, "open_rate")
    exits = [fill for fill in fills if fill["side"] == "sell"]
    counted = [fill for fill in exits if _is_before(fill.get("ts"), fill["filled_at"], end)]
    sold = _side(counted, position["pair"])
    closed_at = _closed_at(position, all_counted=len(counted) == len(exits), end=end)
    if sold is None and closed_at is not None:
        sold = _told(position, "close_rate")
    if closed_at is None:
        sold = _with_rest(sold, bought, end.close)
    if sold is None:  # only to tell the types: a closed trade was told above, an open one has its rest
        raise ValueError(f"Trade {position['trade_id']} of {position['pair']} has neither sale nor rest.")
    open_factor, close_factor, known = _factors(position, bought, sold, fee, is_closed=closed_at is not None)
    return LiveTrade(
        pair=position["pair"],
        trade_id=position["trade_id"],
        ts=position.get("ts"),
        exit_ts=position.get("exit_ts") if closed_at is not None else None,
        opened_at=position["opened_at"],
        closed_at=closed_at,
        exit_reason=position.get("exit_reason") if closed_at is not None else None,
        amount=bought.amount,
        open_quoted=bought.quoted,
        open_rate=bought.cost / bought.amount,
        close_quoted=sold.quoted,
        close_rate=sold.cost / sold.amount,
        open_factor=open_factor,
        close_factor=close_factor,
        fees=known,
    )


def paid_fee_rate(fills: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the fees of some fills as a fraction of what was traded; None where none of them is known."""
    fees, cost = _ZERO, _ZERO
    for fill in fills:
        side = _side([fill], fill["pair"])
        if side is not None and side.fees_known:
            fees += side.quote_fee + side.base_fee * side.cost / side.amount
            cost += side.cost
    return float(fees / cost) if cost else None


def _is_before(ts: datetime | None, time: datetime, end: LastMark) -> bool:
    return time <= end.time if ts is None else ts < end.ts


def _closed_at(position: Mapping[str, Any], *, all_counted: bool, end: LastMark) -> datetime | None:
    closed: datetime | None = position.get("closed_at")
    if position["state"] != "closed" or closed is None or not all_counted:
        return None
    return closed if _is_before(position.get("exit_ts"), closed, end) else None


def _side(fills: Sequence[Mapping[str, Any]], pair: str) -> _Side | None:
    if not fills:
        return None
    base, quote = pair.partition(":")[0].split("/")
    amount = sum((fill["amount"].to_decimal() for fill in fills), _ZERO)
    taken = dict.fromkeys((base, quote), _ZERO)
    for fill in fills:
        if fill.get("fee") is not None and fill.get("fee_asset") in taken:
            taken[fill["fee_asset"]] += fill["fee"].to_decimal()
    is_quoted = all(fill.get("quoted") is not None for fill in fills)
    return _Side(
        amount=amount,
        cost=sum((fill["cost"].to_decimal() for fill in fills), _ZERO),
        quoted=sum((fill["amount"].to_decimal() * fill["quoted"].to_decimal() for fill in fills), _ZERO) / amount
        if is_quoted
        else None,
        base_fee=taken[base],
        quote_fee=taken[quote],
        fees_known=all(fill.get("fee") is not None and fill.get("fee_asset") in taken for fill in fills),
    )


def _told(position: Mapping[str, Any], rate: str) -> _Side:
    """What the position itself tells, where its fills are lost: amount and rate, and nothing of fees."""
    amount = position["amount"].to_decimal()
    return _Side(amount, amount * position[rate].to_decimal(), None, _ZERO, _ZERO, fees_known=False)


def _with_rest(sold: _Side | None, bought: _Side, mark: Decimal) -> _Side:
    """Put what is still held beside what was sold, at what it is worth."""
    before = sold or _Side(_ZERO, _ZERO, None, _ZERO, _ZERO, fees_known=True)
    rest = bought.amount - bought.base_fee - before.amount - before.base_fee
    return _Side(
        amount=before.amount + rest,
        cost=before.cost + rest * mark,
        quoted=None,
        base_fee=before.base_fee,
        quote_fee=before.quote_fee,
        fees_known=before.fees_known,
    )


def _factors(
    position: Mapping[str, Any], bought: _Side, sold: _Side, fee: float, *, is_closed: bool
) -> tuple[Decimal, Decimal, FeesKnown]:
    """Return what fees made of the two rates.

    A fee in the quote asset makes a purchase dearer and a sale worth less; one in the base asset leaves less of what
    was bought, and takes more than what was sold. For a fee coin the bot's own profit is asked: Freqtrade knows what
    the coin was worth.
    """
    if bought.fees_known and sold.fees_known:
        kept = bought.amount / (bought.amount - bought.base_fee)
        spent = sold.amount / (sold.amount + sold.base_fee)
        return (1 + bought.quote_fee / bought.cost) * kept, (1 - sold.quote_fee / sold.cost) * spent, "paid"
    told = position.get("profit_ratio")
    if is_closed and told is not None:
        ratio = position["open_rate"].to_decimal() / position["close_rate"].to_decimal()
        return Decimal(1), (1 + Decimal(repr(told))) * ratio, "told"
    model = Decimal(repr(fee))
    return 1 + model, 1 - model if is_closed else Decimal(1), "assumed"
