"""What simulate_long_flat promises: fills, equity, trades, sleeves and refusals, by hand and against a plain loop."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import simulate

from research.backtest import simulate_long_flat
from schemas.errors import InputError

NAN = math.nan


def test_fills_at_the_open_of_the_next_bar(make_bars):
    """A position decided at bar 1 is bought at bar 2's open; one given up at bar 3 is sold at bar 4's."""
    bars = make_bars([100, 101, 102, 103, 104, 105])
    result = simulate_long_flat(bars, [0, 1, 1, 0, 0, 0], fee=0.0)
    trade = result.trades.iloc[0]
    assert trade[["open_rate", "close_rate", "bars_held", "exit_reason"]].tolist() == [102.0, 104.0, 2, "signal"]
    assert trade["open_time"] == pd.Timestamp("2022-01-01T00:02Z")
    assert trade["close_time"] == pd.Timestamp("2022-01-01T00:04Z")


def test_equity_is_marked_at_closes(make_bars):
    """1000 in cash buys 10 at 100; the marks 110, 90 and the sale at 120 give 1100, 900 and 1200."""
    bars = make_bars([50, 100, 105, 120, 60], [50, 110, 90, 125, 60])
    result = simulate_long_flat(bars, [1, 1, 0, 0, 0], fee=0.0, initial_cash=1000)
    assert result.equity["equity"].tolist() == [1000, 1100, 900, 1200, 1200]
    assert result.equity["amount"].tolist() == [0, 10, 10, 0, 0]
    assert result.equity["cash"].tolist() == [1000, 0, 0, 1200, 1200]
    assert result.equity["position_value"].tolist() == [0, 1100, 900, 0, 0]


def test_full_stake_pays_its_fee_out_of_the_cash(make_bars):
    """1010 with a fee of 1 % buys 10 at 100 (10 of fee); sold at 110 it gives 1100 − 11 = 1089."""
    result = simulate_long_flat(make_bars([100, 100, 110, 110]), [1, 0, 0, 0], fee=0.01, initial_cash=1010)
    trade = result.trades.iloc[0]
    assert trade["amount"] == pytest.approx(10, rel=1e-15)
    assert trade["open_fee"] == pytest.approx(10, rel=1e-15)
    assert trade["close_fee"] == pytest.approx(11, rel=1e-15)
    assert trade["profit_abs"] == pytest.approx(79, rel=1e-13)
    assert trade["profit_ratio"] == 110 * (1 - 0.01) / (100 * (1 + 0.01)) - 1
    assert result.metrics.final_equity == pytest.approx(1089, rel=1e-15)
    assert result.metrics.fees_paid == pytest.approx(21, rel=1e-15)


def test_slippage_worsens_both_rates(make_bars):
    """With 1 % slippage a buy at an open of 100 costs 101, a sale at 200 gives 198."""
    trade = simulate_long_flat(make_bars([100, 100, 200, 200]), [1, 0, 0, 0], fee=0.0, slippage=0.01).trades.iloc[0]
    assert (trade["open_rate"], trade["close_rate"]) == (100 * 1.01, 200 * 0.99)
    assert trade["profit_ratio"] == pytest.approx(198 / 101 - 1, rel=1e-15)


def test_nan_keeps_what_was_decided(make_bars):
    """NaN is no opinion: flat before the first value, then the last value."""
    bars = make_bars([100, 101, 102, 103, 104, 105, 106])
    told = simulate_long_flat(bars, [0, 0, 1, 1, 1, 0, 0])
    kept = simulate_long_flat(bars, [NAN, NAN, 1, NAN, NAN, 0, NAN])
    pd.testing.assert_frame_equal(kept.trades, told.trades)
    pd.testing.assert_frame_equal(kept.equity, told.equity)


def test_only_nan_never_trades(make_bars):
    """Without any opinion the cash stays as it is, and what follows from trades is undefined."""
    metrics = simulate_long_flat(make_bars([100, 101, 102, 103]), [NAN] * 4).metrics
    assert (metrics.trades, metrics.total_return, metrics.exposure) == (0, 0.0, 0.0)
    assert math.isnan(metrics.win_rate)
    assert math.isnan(metrics.sharpe)


def test_without_a_position_it_buys_and_holds(make_bars):
    """None buys at bar 1's open and sells at the last one's; its return is the metric of every other position."""
    bars = make_bars([100, 110, 130, 120, 140])
    held = simulate_long_flat(bars, fee=0.01)
    flat = simulate_long_flat(bars, [0] * 5, fee=0.01)
    expected = 140 * 0.99 / (110 * 1.01) - 1
    assert held.metrics.total_return == pytest.approx(expected, rel=1e-14)
    assert held.metrics.buy_and_hold_return == pytest.approx(expected, rel=1e-14)
    assert flat.metrics.buy_and_hold_return == pytest.approx(expected, rel=1e-14)


def test_what_is_left_open_is_sold_at_the_last_open(make_bars):
    """Freqtrade's force exit: the last bar's open, not its close, and named so."""
    result = simulate_long_flat(make_bars([100, 100, 110, 120], [100, 100, 110, 999]), [1, 1, 1, 1], fee=0.0)
    trade = result.trades.iloc[0]
    assert (trade["close_rate"], trade["exit_reason"], trade["bars_held"]) == (120, "end_of_data", 2)
    assert result.equity["equity"].iloc[-1] == result.equity["cash"].iloc[-1] == 12_000


def test_an_exit_that_falls_on_the_last_bar_is_a_signal(make_bars):
    """Given up at the bar before the last, it is sold at the last open by its own wish."""
    trades = simulate_long_flat(make_bars([100, 100, 110, 120]), [1, 1, 0, 0], fee=0.0).trades
    assert trades["exit_reason"].tolist() == ["signal"]
    assert trades["close_rate"].tolist() == [120]


@pytest.mark.parametrize("position", [[0, 0, 1, 1], [0, 0, 0, 1]])
def test_nothing_is_bought_on_the_last_bar(make_bars, position):
    """An entry whose fill would be the last bar, or come after it, does not happen."""
    assert simulate_long_flat(make_bars([100, 100, 110, 120]), position).trades.empty


def test_a_symbol_that_ends_early_is_bought_on_its_last_bar(make_bars):
    """Only the end of all bars is known to be the end: Freqtrade buys, and sells at the same open."""
    one, two = make_bars([100, 101, 102], symbol="A"), make_bars([1, 1, 1, 1], symbol="B")
    bars = pd.concat([one, two], ignore_index=True)
    result = simulate_long_flat(bars, [0, 1, 1, 0, 0, 0, 0], fee=0.01, initial_cash=2000)
    trade = result.trades.iloc[0]
    assert (trade["open_rate"], trade["close_rate"], trade["bars_held"]) == (102, 102, 0)
    assert trade["open_time"] == trade["close_time"] == pd.Timestamp("2022-01-01T00:02Z")
    assert trade["exit_reason"] == "end_of_data"
    assert result.metrics.final_equity == pytest.approx(1000 + 1000 * 0.99 / 1.01, rel=1e-14)


@pytest.mark.parametrize("position", [None, [0, 1, 0, 0, 0, 0]])
def test_two_bars_that_end_early_are_enough(make_bars, position):
    """Held from bar 1's open to bar 1's open: the return of holding is that trade's."""
    bars = pd.concat([make_bars([5, 5], symbol="A"), make_bars([1, 1, 1, 1], symbol="B")], ignore_index=True)
    metrics = simulate_long_flat(bars, position).metrics
    held = (0.999 / 1.001 - 1) / 2 + (0.999 / 1.001 - 1) / 2
    assert metrics.buy_and_hold_return == pytest.approx(held, rel=1e-12)
    assert metrics.total_return == (pytest.approx(held, rel=1e-12) if position is None else 0)


def test_a_flip_on_adjacent_bars_is_two_trades(make_bars):
    """1, 0, 1 on three bars sells at one open and buys back at the next."""
    trades = simulate_long_flat(make_bars([100, 101, 102, 103, 104, 105]), [1, 0, 1, 0, 0, 0], fee=0.0).trades
    assert trades["open_rate"].tolist() == [101, 103]
    assert trades["close_rate"].tolist() == [102, 104]


def test_the_next_bar_is_the_next_that_exists(make_bars):
    """Across a gap the fill waits for the next bar; no bar is invented."""
    bars = make_bars([100, 101, 102, 103, 104, 105]).drop(index=[2, 3]).reset_index(drop=True)
    trade = simulate_long_flat(bars, [0, 1, 0, 0], fee=0.0).trades.iloc[0]
    assert trade["open_time"] == pd.Timestamp("2022-01-01T00:04Z")
    assert (trade["open_rate"], trade["close_rate"]) == (104, 105)


def test_weights_trade_only_when_they_change(make_bars):
    """Half of 1000 buys 5 at 100. At 200 the weight 0.25 of 1500 keeps 375 = 1.875, the rest drifts."""
    bars = make_bars([100, 100, 150, 200, 300, 300], [100, 100, 150, 200, 300, 300])
    result = simulate_long_flat(bars, [0.5, 0.5, 0.25, 0.25, 0, 0], fee=0.0, initial_cash=1000)
    assert result.equity["amount"].tolist() == [0, 5, 5, 1.875, 1.875, 0]
    assert result.equity["cash"].tolist() == [1000, 500, 500, 1125, 1125, 1687.5]
    trade = result.trades.iloc[0]
    assert len(result.trades) == 1
    assert trade["amount"] == 5
    assert trade["close_rate"] == pytest.approx((3.125 * 200 + 1.875 * 300) / 5, rel=1e-15)
    assert trade["profit_abs"] == pytest.approx(687.5, rel=1e-14)
    assert trade["profit_ratio"] == pytest.approx(687.5 / 500, rel=1e-14)


def test_adding_to_a_position_averages_its_entry(make_bars):
    """500 buys 5 at 100; the whole rest, 500, buys 2.5 at 200: 7.5 at 133.33 on average."""
    bars = make_bars([100, 100, 200, 200, 200], [100, 100, 200, 200, 200])
    result = simulate_long_flat(bars, [0.5, 1, 0, 0, 0], fee=0.0, initial_cash=1000)
    trade = result.trades.iloc[0]
    assert trade["amount"] == 7.5
    assert trade["open_rate"] == pytest.approx(1000 / 7.5, rel=1e-15)
    assert result.equity["cash"].tolist() == [1000, 500, 0, 1500, 1500]


def test_buying_more_never_overdraws_the_cash(make_bars):
    """A weight that climbs to 1 spends all cash and not a cent more, fees included."""
    cash = simulate_long_flat(make_bars([99, 101, 97, 103, 98, 100]), [0.3, 0.7, 1, 1, 1, 1], fee=0.01).equity["cash"]
    assert cash.min() == 0.0


def test_each_symbol_has_its_own_cash(make_bars):
    """Two symbols share the cash equally; each one's curve is what it gives alone with half of it."""
    one, two = make_bars([100, 110, 120, 130], symbol="A:ONE"), make_bars([50, 40, 30, 20], symbol="B:TWO")
    together = simulate_long_flat(pd.concat([one, two], ignore_index=True), initial_cash=1000)
    for symbol, bars in (("A:ONE", one), ("B:TWO", two)):
        alone = simulate_long_flat(bars, initial_cash=500)
        mine = together.equity[together.equity["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone.equity)
        trades = together.trades[together.trades["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(trades, alone.trades)


def test_the_portfolio_carries_each_last_mark_forward(make_bars):
    """Symbol B starts a bar later and ends a bar earlier: its cash, then its last mark, stand in."""
    one = make_bars([10, 10, 10, 10, 20], [10, 10, 10, 10, 20], symbol="A")
    two = make_bars([5, 5, 10], [5, 5, 10], symbol="B", start="2022-01-01T00:01")
    bars = pd.concat([one, two], ignore_index=True)
    result = simulate_long_flat(bars, fee=0.0, initial_cash=1000)
    assert result.portfolio_equity.tolist() == [1000, 1000, 1000, 1500, 2000]
    assert result.metrics.final_equity == 2000
    assert result.metrics.bars == 8
    assert str(result.portfolio_equity.index.tz) == "UTC"


def test_allocation_splits_the_cash(make_bars):
    """A share of 0.75 gets three quarters of the cash."""
    bars = pd.concat([make_bars([1, 1, 1], symbol="A"), make_bars([1, 1, 1], symbol="B")], ignore_index=True)
    result = simulate_long_flat(bars, [0] * 6, initial_cash=1000, allocation={"A": 0.75, "B": 0.25})
    assert result.equity["equity"].tolist() == [750] * 3 + [250] * 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fee": -0.001}, "fee must be a fraction"),
        ({"fee": 1.0}, "fee must be a fraction"),
        ({"fee": NAN}, "fee must be a fraction"),
        ({"slippage": -1e-9}, "slippage must be a fraction"),
        ({"initial_cash": 0}, "initial_cash must be"),
        ({"initial_cash": math.inf}, "initial_cash must be"),
        ({"price": "close"}, "price must be 'next_open', found 'close'"),
        ({"allocation": {"X": 1.0}}, "one share for each symbol"),
        ({"allocation": {"BINANCE:BTCUSDT": 0.5}}, "sum to 1"),
    ],
)
def test_refuses_parameters_out_of_bounds(make_bars, change, sentence):
    """Each bound that is violated is named with the value found."""
    with pytest.raises(InputError, match=sentence):
        simulate_long_flat(make_bars([1, 2, 3]), **change)


@pytest.mark.parametrize("bad", [NAN, math.inf, 0.0, -1.0])
def test_refuses_a_price_that_can_not_be(make_bars, bad):
    """A price must be finite and above zero; the message names the bar."""
    with pytest.raises(InputError, match=r"Every open must be .* BINANCE:BTCUSDT 2022-01-01T00:01:00"):
        simulate_long_flat(make_bars([1, bad, 3], [1, 2, 3]))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_bars_trade_nothing(make_bars, count):
    """With two bars the first possible fill is the last bar already."""
    metrics = simulate_long_flat(make_bars([100.0] * count)).metrics
    assert (metrics.trades, metrics.total_return, metrics.buy_and_hold_return) == (0, 0.0, 0.0)
    assert math.isnan(metrics.sharpe)


PRICES = st.floats(1, 1000)
WISHES = st.one_of(st.sampled_from([0.0, 1.0, NAN]), st.sampled_from([0.0, 0.25, 0.5, 1.0, NAN]), st.floats(0.01, 1))


@st.composite
def cases(draw):
    """Bars and positions of one symbol, with costs."""
    rows = draw(st.lists(st.tuples(PRICES, PRICES, WISHES), min_size=1, max_size=50))
    opens, closes, wishes = (list(column) for column in zip(*rows, strict=True))
    if draw(st.booleans()):
        wishes = [NAN if math.isnan(wish) else float(wish > 0.5) for wish in wishes]
    return opens, closes, wishes, draw(st.floats(0, 0.05)), draw(st.floats(0, 0.05))


@given(cases())
@settings(max_examples=100, deadline=None)
def test_a_symbol_that_ends_early_agrees_with_the_loop(make_bars, case):
    """Beside a flat symbol with one bar more, the loop's rule for the last bar holds."""
    opens, closes, wishes, fee, slippage = case
    other = make_bars([1.0] * (len(opens) + 1), symbol="Z")
    bars = pd.concat([make_bars(opens, closes, symbol="A"), other], ignore_index=True)
    result = simulate_long_flat(bars, [*wishes, *[0.0] * len(other)], fee, slippage, initial_cash=20_000)
    expected = simulate(opens, closes, wishes, fee, slippage, ends_early=True)
    mine = result.equity[result.equity["symbol"] == "A"]
    np.testing.assert_allclose(mine["equity"], expected.equity, rtol=1e-10)
    assert_same_trades(result, expected, bars["datetime"])


@given(cases())
@settings(max_examples=300, deadline=None)
def test_agrees_with_a_plain_loop(make_bars, case):
    """Equity, cash, holdings, trades, fees and turnover are those of a bar-by-bar loop."""
    opens, closes, wishes, fee, slippage = case
    result = simulate_long_flat(make_bars(opens, closes), wishes, fee, slippage)
    expected = simulate(opens, closes, wishes, fee, slippage)
    for column in ("equity", "cash", "amount"):
        wanted = np.array(getattr(expected, column))
        rounding = 1e-12 * (wanted.max() if column == "amount" else max(expected.equity))
        np.testing.assert_allclose(result.equity[column], wanted, rtol=1e-10, atol=rounding)
    assert_same_trades(result, expected, make_bars(opens)["datetime"])
    assert result.metrics.fees_paid == pytest.approx(expected.fees, rel=1e-9, abs=1e-9)
    notional = result.metrics.turnover * np.mean(expected.equity)
    assert notional == pytest.approx(expected.notional, rel=1e-9, abs=1e-9)
    assert result.metrics.exposure == np.count_nonzero(expected.amount) / len(opens)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_money_is_conserved(make_bars, case):
    """Equity is cash + amount × close at each bar, cash is never negative, profits sum to the gain."""
    opens, closes, wishes, fee, slippage = case
    result = simulate_long_flat(make_bars(opens, closes), wishes, fee, slippage)
    equity = result.equity
    np.testing.assert_allclose(equity["equity"], equity["cash"] + equity["amount"] * closes, rtol=1e-12)
    assert equity["cash"].min() >= 0
    gain = result.metrics.final_equity - 10_000
    assert result.trades["profit_abs"].sum() == pytest.approx(gain, rel=1e-9, abs=1e-11 * equity["equity"].max())


@given(cases(), st.integers(1, 49))
@settings(max_examples=100, deadline=None)
def test_never_sees_the_future(make_bars, case, cut):
    """The equity before a bar stays what it is when that bar and all after it are replaced."""
    opens, closes, wishes, fee, slippage = case
    cut = min(cut, len(opens) - 1)
    other = simulate_long_flat(
        make_bars(opens[:cut] + [7.0] * (len(opens) - cut), closes[:cut] + [7.0] * (len(opens) - cut)),
        wishes[:cut] + [0.5] * (len(opens) - cut),
        fee,
        slippage,
    )
    whole = simulate_long_flat(make_bars(opens, closes), wishes, fee, slippage)
    np.testing.assert_allclose(other.equity["equity"][:cut], whole.equity["equity"][:cut], rtol=1e-12)


def test_real_bars_give_the_trades_that_freqtrade_gave(real_bars):
    """60-bar momentum on the real file: 1,287 trades, the number that Freqtrade's own backtest printed."""
    momentum = real_bars["close"] / real_bars["close"].shift(60) - 1
    wishes = np.where(momentum.isna(), NAN, (momentum > 0).astype(float))
    result = simulate_long_flat(real_bars, wishes)
    assert len(result.trades) == 1287
    expected = simulate(real_bars["open"].tolist(), real_bars["close"].tolist(), wishes.tolist())
    np.testing.assert_allclose(result.equity["equity"], expected.equity, rtol=1e-12)
    assert_same_trades(result, expected, real_bars["datetime"])


def assert_same_trades(result, expected, opens):
    """Compare the trades frame with the loop's list."""
    trades = result.trades
    times = opens.tolist()
    assert trades["open_time"].tolist() == [times[trade.opened] for trade in expected.trades]
    assert trades["close_time"].tolist() == [times[trade.closed] for trade in expected.trades]
    assert trades["exit_reason"].tolist() == [trade.reason for trade in expected.trades]
    assert trades["bars_held"].tolist() == [trade.closed - trade.opened for trade in expected.trades]
    ratios = [trade.profit_ratio for trade in expected.trades]
    np.testing.assert_allclose(trades["profit_ratio"], ratios, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trades["amount"], [trade.bought for trade in expected.trades], rtol=1e-9)
    for row, trade in enumerate(expected.trades):
        if len(trade.buys) == 1:
            assert trades["open_rate"].iloc[row] == trade.buys[0][1]
        if len(trade.sales) == 1:
            assert trades["close_rate"].iloc[row] == trade.sales[0][1]
