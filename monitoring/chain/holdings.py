"""Holds what is stored as open against what Freqtrade holds, and that against what lies on the venue's account."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from monitoring.chain.books import BotBook, VenueBook, bases_of
from monitoring.chain.findings import Finding

_DIGITS = Decimal("1e-8")  # sums of amounts whose last digits were floats once


@dataclass(frozen=True, slots=True)
class BalanceCheck:
    """What an account holds of one asset, and what explains it.

    Attributes
    ----------
    asset : str
    pairs : tuple of str
        Those that trade it.
    held : Decimal
        By the venue, free and locked.
    in_trades : Decimal
        The amounts of Freqtrade's open trades, those of short ones taken off.
    dust : Decimal
        What Freqtrade's orders left besides: fees kept in the base, and what was cut off when amounts were rounded.
    besides : Decimal
        What the user says that the account holds for other purposes.
    allowed : Decimal
        By how much the two may differ: one step of an order's amount.
    is_compared : bool
        False while an order of the asset is on its way.
    """

    asset: str
    pairs: tuple[str, ...]
    held: Decimal
    in_trades: Decimal
    dust: Decimal
    besides: Decimal
    allowed: Decimal
    is_compared: bool

    @property
    def unexplained(self) -> Decimal:
        """What is held and nobody explains; negative where there is less than there should be."""
        return self.held - self.in_trades - self.dust - self.besides

    @property
    def differs(self) -> bool:
        """Whether more is unexplained than rounding may leave."""
        return self.is_compared and abs(self.unexplained) > self.allowed

    @property
    def sentence(self) -> str:
        """The numbers of both sides."""
        parts = [f"{_plain(self.in_trades)} in open trades", f"{_plain(self.dust)} of dust and fees"]
        if self.besides:
            parts.append(f"{_plain(self.besides)} for other purposes")
        verb = "more" if self.unexplained > 0 else "less"
        return (
            f"the venue holds {_plain(self.held)} {self.asset}, Freqtrade's orders explain {', '.join(parts)}: "
            f"{_plain(abs(self.unexplained))} {verb} than explained, where {_plain(self.allowed)} is allowed"
        )


def position_findings(
    positions: Iterable[Mapping[str, Any]], bot: BotBook, unsettled: Collection[str]
) -> list[Finding]:
    """Return the pairs of which the stored open positions and Freqtrade's open trades do not hold the same amount.

    Parameters
    ----------
    positions : iterable of documents
        Of `crypto_positions`, the bot's open ones.
    bot : BotBook
    unsettled : collection of str
        Pairs with something on its way, which are left out.
    """
    stored: dict[str, Decimal] = {}
    traded: dict[str, Decimal] = {}
    for one in positions:
        amount = one["amount"].to_decimal()
        stored[one["pair"]] = stored.get(one["pair"], Decimal(0)) + (-amount if one["side"] == "short" else amount)
    for trade in bot.open_trades:
        if any(order.amount for order in trade.orders):  # one that nothing was bought for yet is no position
            amount = -trade.amount if trade.is_short else trade.amount
            traded[trade.pair] = traded.get(trade.pair, Decimal(0)) + amount
    found = []
    for pair in sorted((stored.keys() | traded.keys()) - set(unsettled)):
        kept, held = stored.get(pair, Decimal(0)), traded.get(pair, Decimal(0))
        if kept != held:
            what = f"{_plain(kept)} is stored as open, and Freqtrade's open trades hold {_plain(held)}"
            found.append(Finding("position differs", pair, None, what))
    return found


def balance_checks(
    bot: BotBook,
    venue: VenueBook,
    pairs: Iterable[str],
    unsettled: Collection[str],
    besides: Mapping[str, Decimal] | None = None,
) -> list[BalanceCheck]:
    """Return, for the base asset of each spot pair, what the venue holds and what Freqtrade's orders explain.

    All orders of Freqtrade together leave in the account what was bought less what was sold less the fees that were
    kept in the base; the part that its open trades do not name is dust. So the two may differ by no more than one step
    of an order's amount. Where the account holds more for other purposes, `besides` must say so.
    """
    if venue.holdings is None:
        return []
    checks = []
    for asset, of_asset in bases_of(pairs).items():
        trades = [trade for trade in bot.open_trades if trade.pair in of_asset]
        in_trades = sum((-one.amount if one.is_short else one.amount for one in trades), Decimal(0))
        left = sum((trade.base_change for trade in trades), Decimal(0)) - in_trades
        checks.append(
            BalanceCheck(
                asset=asset,
                pairs=tuple(of_asset),
                held=venue.holdings.get(asset, Decimal(0)),
                in_trades=in_trades,
                dust=left + bot.dust.get(asset, Decimal(0)),
                besides=(besides or {}).get(asset, Decimal(0)),
                allowed=max([_DIGITS, *(venue.steps[pair] for pair in of_asset if pair in venue.steps)]),
                is_compared=not any(pair in unsettled for pair in of_asset),
            )
        )
    return checks


def balance_findings(checks: Iterable[BalanceCheck]) -> list[Finding]:
    """Return those checks that differ as findings."""
    return [Finding("balance differs", ", ".join(one.pairs), None, one.sentence) for one in checks if one.differs]


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize() + 0:f}"
