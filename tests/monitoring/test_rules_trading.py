"""Rejected orders, dear fills, too little money and rate limits are found, and are over when they are."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from watched_looks import (
    AT,
    BOT,
    MINUTE,
    NOON,
    PAIR,
    SECOND,
    WATCHED,
    alone,
    chain,
    filled,
    is_judged,
    look,
    only,
    strategy,
)

from monitoring.alerts.rules import judge
from monitoring.chain.signal_chain import SignalChain
from monitoring.facts import StoreHealth, VenueHealth
from monitoring.watch_file import Rules

AWAY = StoreHealth(None, error="MongoDB did not answer.")


def rejected(minute: int, **other: Any) -> SignalChain:
    return chain(minute, "skipped", "order_rejected", **other)


def test_three_rejects_in_a_row_are_one_problem() -> None:
    """Signals that were not ordered lie between them; a fourth reject is the same problem."""
    row = (filled(-9), rejected(-7), chain(-6), rejected(-5), rejected(-4))
    assert judge(look(one=strategy(chains=row[:-1])), alone("rejects")).problems == ()
    found = only(judge(look(one=strategy(chains=row)), Rules()), "rejects")
    assert (found.subject, found.at) == ("bot all pairs", NOON - 7 * MINUTE + SECOND / 2)
    assert found.text == (
        "The last 3 orders for s were rejected, the newest for the enter_long of BTC/USDT 1m whose bar closed "
        "2022-01-15 11:56 UTC. The bot's log has the venue's reason."
    )
    fourth = only(judge(look(one=strategy(chains=(*row, rejected(-3)))), Rules()), "rejects")
    assert fourth.key == found.key


def test_each_refused_order_of_an_exit_counts() -> None:
    """One exit is tried until it is accepted: three refusals of it are a row, which its fill ends."""
    twice = chain(-2, "exited", content="exit_long", rejected_orders=2)
    assert judge(look(one=strategy(chains=(filled(-9), twice))), alone("rejects")).problems == ()
    found = only(judge(look(one=strategy(chains=(filled(-9), rejected(-5), twice))), alone("rejects")), "rejects")
    assert found.text.startswith("The last 3 orders for s were rejected, the newest for the exit_long of BTC/USDT 1m")
    sold = replace(twice, fills=filled(-2).fills)
    assert is_judged("rejects", found, look(one=strategy(chains=(rejected(-5), sold))))
    assert judge(look(one=strategy(chains=(rejected(-5), sold))), alone("rejects")).problems == ()


def test_rejects_are_over_when_an_order_is_accepted() -> None:
    """That they leave the span that is looked at ends nothing, and neither does that MongoDB is away."""
    found = only(judge(look(one=strategy(chains=tuple(map(rejected, (-7, -5, -4))))), Rules()), "rejects")
    assert is_judged("rejects", found, look(one=strategy(chains=(rejected(-4), filled(-1)))))
    for unknown in (strategy(chains=(rejected(-4),)), strategy(chains=())):
        assert judge(look(one=unknown), alone("rejects")).problems == ()
        assert not is_judged("rejects", found, look(one=unknown))
    assert not is_judged("rejects", found, look(store=AWAY))


def test_a_pair_that_is_always_rejected_is_found_among_others() -> None:
    """Its row counts by itself; while all pairs are rejected that is said once."""
    eth = [rejected(minute, pair="ETH/USDT") for minute in (-7, -5, -3)]
    found = only(judge(look(one=strategy(chains=(*eth, filled(-2)))), Rules()), "rejects")
    assert (found.subject, found.pair) == ("bot ETH/USDT", "ETH/USDT")
    every = judge(look(one=strategy(chains=(*eth, rejected(-2)))), Rules())
    assert only(every, "rejects").subject == "bot all pairs"


@pytest.mark.parametrize(
    ("side", "price", "is_dear"),
    [
        ("buy", "100.20", False),
        ("buy", "100.21", True),
        ("sell", "99.80", False),
        ("sell", "99.79", True),
        ("sell", "101", False),
    ],
)
def test_slippage_counts_against_the_side(side: str, price: str, is_dear: bool) -> None:
    """20 bps of 100: a buy above 100.20 and a sale below 99.80."""
    verdict = judge(look(one=strategy(chains=(filled(-1, price, "100", side),))), Rules())
    assert [one.rule for one in verdict.problems] == (["slippage"] if is_dear else [])


def test_a_dear_fill_is_over_with_the_next_one_or_with_time() -> None:
    """The newest fill of the pair counts; ten bars later it is history. A fill without its quote says nothing."""
    dear = filled(-2, "100.50")
    found = only(judge(look(one=strategy(chains=(dear,))), Rules()), "slippage")
    assert found.text == (
        "The buy order -2 of BTC/USDT for s was filled 2022-01-15 11:58:01 UTC at 100.50, 50.0 bps worse than the 100 "
        "that the bot saw; 20 bps is the limit."
    )
    assert is_judged("slippage", found, look(one=strategy(chains=(dear, filled(-1)))))
    assert is_judged("slippage", found, look(AT + 10 * MINUTE, strategy(chains=(dear,))))
    assert not is_judged("slippage", found, look(one=strategy(chains=(dear, filled(-1, quoted=None)))))
    assert not is_judged("slippage", found, look(one=strategy(chains=())))


@pytest.mark.parametrize(("free", "is_low"), [("100", False), ("99.99", True)])
def test_the_balance_must_pay_the_next_stake(free: str, is_low: bool) -> None:
    """One stake of 100 USDT."""
    verdict = judge(look(one=strategy(bot=replace(BOT, free_quote=Decimal(free)))), Rules())
    assert [one.rule for one in verdict.problems] == (["balance_low"] if is_low else [])


def test_a_full_bot_needs_no_money() -> None:
    """Three trades of three are open; without a limit of trades there is always a next one."""
    poor = replace(BOT, free_quote=Decimal(1))
    found = only(judge(look(one=strategy(bot=poor)), Rules()), "balance_low")
    assert found.text == (
        "The bot of s has 1.00 USDT free 2022-01-15 12:00:40 UTC; 1 x 100.00 USDT is needed for what it enters next."
    )
    assert is_judged("balance_low", found, look(one=strategy(bot=replace(poor, open_trades=3))))
    assert judge(look(one=strategy(bot=replace(poor, max_open_trades=-1))), Rules()).problems != ()


def test_a_balance_that_nobody_told_is_not_judged() -> None:
    """An unlimited stake, or a bot that does not answer."""
    found = only(judge(look(one=strategy(bot=replace(BOT, free_quote=Decimal(1)))), Rules()), "balance_low")
    assert not is_judged("balance_low", found, look(one=strategy(bot=replace(BOT, stake_quote=None))))
    assert not is_judged("balance_low", found, look(one=strategy(bot=None)))


def test_the_bot_is_asked_also_while_mongodb_is_away() -> None:
    """What it says of its money does not come from there."""
    poor = strategy(bot=replace(BOT, free_quote=Decimal(1)))
    assert only(judge(look(one=poor, store=AWAY), alone("balance_low")), "balance_low").strategy_id == "s"


def test_rate_limits_are_told_for_five_minutes() -> None:
    """Those of the bot and those of this monitor are two problems; the venue's is one for all strategies."""
    limited = strategy(
        bot=replace(BOT, rate_limited_at=(NOON - 60 * MINUTE, NOON)), venue=VenueHealth(20.0, rate_limited_at=NOON)
    )
    second = strategy(watched=WATCHED.model_copy(update={"strategy_id": "other", "freqtrade": None}), bot=None)
    found = judge(look(strategies=(limited, replace(second, venue=limited.venue))), Rules()).problems
    assert [(one.strategy_id, one.subject) for one in found] == [
        (None, "venue binance"),
        ("s", "freqtrade http://127.0.0.1:8080"),
    ]
    assert found[1].text == "The venue limited the requests of the bot of s 2022-01-15 12:00 UTC."
    assert judge(look(NOON + 5 * MINUTE, limited), alone("rate_limited")).problems != ()
    later = look(NOON + 5 * MINUTE + SECOND, limited)
    assert all(is_judged("rate_limited", one, later) for one in found)
    deaf = look(one=strategy(bot=replace(BOT, ping_ms=None, error="It did not answer.")))
    assert not is_judged("rate_limited", found[1], deaf)
    assert found[1].pair is None
    assert PAIR not in found[1].text
