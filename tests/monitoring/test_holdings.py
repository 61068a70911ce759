"""What lies on the venue's account is what Freqtrade's orders have left there, to one step of an order's amount."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from monitoring.chain.books import BotBook, BotOrder, BotTrade, VenueBook, bases_of
from monitoring.chain.holdings import BalanceCheck, balance_checks, balance_findings

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
PAIR = "BTC/USDT"


def order(order_id: str, side: Any, amount: str, fee: str = "0") -> BotOrder:
    return BotOrder(order_id, side, Decimal(amount), False, NOON, NOON, None, Decimal(fee))


def trade(*orders: BotOrder, amount: str, pair: str = PAIR) -> BotTrade:
    return BotTrade(1, pair, True, False, Decimal(amount), NOON, None, orders)


# As seen at a venue that keeps 0.1 % of what is bought: 0.02216 bought, 0.00002216 kept, cut to 0.02213 by the step.
BOUGHT = trade(order("1", "buy", "0.02216", "0.00002216"), amount="0.02213")
STEP = {PAIR: Decimal("0.00001")}


def check(held: str, book: BotBook | None = None, unsettled: Any = (), **besides: Decimal) -> BalanceCheck:
    venue = VenueBook((PAIR,), (), {"BTC": Decimal(held), "USDT": Decimal(5)}, STEP)
    (found,) = balance_checks(book or BotBook((BOUGHT,)), venue, [PAIR], unsettled, besides)
    return found


def test_fees_and_cut_digits_are_explained_to_the_last_digit() -> None:
    """0.02216 bought less 0.00002216 is 0.02213784, of which 0.02213 is the trade's and 0.00000784 dust."""
    found = check("0.02213784")
    assert (found.in_trades, found.dust, found.unexplained) == (Decimal("0.02213"), Decimal("0.00000784"), 0)
    assert not found.differs


def test_the_dust_of_closed_trades_is_explained_too() -> None:
    """Closed trades have left 0.0001; it may not be missing, though no trade is open."""
    book = BotBook((), {"BTC": Decimal("0.0001")})
    assert not check("0.0001", book).differs
    assert check("0", book).differs


@pytest.mark.parametrize(("held", "differs"), [("0.02214784", False), ("0.02214785", True), ("0.02212783", True)])
def test_one_step_may_be_unexplained(held: str, differs: bool) -> None:
    """0.00001 more or less is within a step; a unit beyond it is not."""
    assert check(held).differs is differs


def test_both_numbers_are_told() -> None:
    """A person must see what each side says, and how far they are apart."""
    (found,) = balance_findings([check("0.51")])
    assert (found.kind, found.pair) == ("balance differs", PAIR)
    assert found.what == (
        "the venue holds 0.51 BTC, Freqtrade's orders explain 0.02213 in open trades, 0.00000784 of dust and fees: "
        "0.48786216 more than explained, where 0.00001 is allowed"
    )


def test_what_is_held_for_other_purposes_is_taken_off() -> None:
    """The user says so; without it, it would be a difference."""
    assert check("0.52213784").differs
    assert not check("0.52213784", BTC=Decimal("0.5")).differs


def test_an_asset_with_something_on_its_way_is_shown_and_not_compared() -> None:
    """An order of its pair is open, or was executed just now."""
    found = check("7", unsettled={PAIR})
    assert (found.is_compared, found.differs) == (False, False)


def test_pairs_of_one_base_share_its_balance() -> None:
    """What BTC/USDT and BTC/USDC hold lies in one place; a contract lies in none."""
    assert bases_of(["BTC/USDT", "ETH/USDT", "BTC/USDC", "BTC/USDT:USDT"]) == {
        "BTC": ["BTC/USDC", "BTC/USDT"],
        "ETH": ["ETH/USDT"],
    }
    other = trade(order("9", "buy", "1"), amount="1", pair="BTC/USDC")
    venue = VenueBook((PAIR, "BTC/USDC"), (), {"BTC": Decimal("1.02213784")}, STEP)
    (found,) = balance_checks(BotBook((BOUGHT, other)), venue, [PAIR, "BTC/USDC"], ())
    assert (found.in_trades, found.unexplained) == (Decimal("1.02213"), 0)


def test_nothing_is_compared_where_balances_were_not_asked() -> None:
    """The user said --no-balance, or the venue did not answer."""
    assert balance_checks(BotBook((BOUGHT,)), VenueBook((PAIR,)), [PAIR], ()) == []
