"""A bar's trades are the bar, cut up: nothing is added and nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue_tools import NEW_YEAR_MS, tape_of

from paper_exchange.market.tape import MINUTE_MS, Tape
from paper_exchange.market.trade_path import MAX_STEPS, flows, mix, quote_decimals, steps, trade_counts


@st.composite
def tapes(draw: st.DrawFn, least_volume: int = 4) -> Tape:
    """Any bars that can be: rising, falling, flat, with a volume from `least_volume` lots up to 2**62."""
    rows = []
    minute = 0
    for _ in range(draw(st.integers(1, 6))):
        low = draw(st.integers(1, 10**9))
        high = low + draw(st.integers(0, 10**6))
        ends = [draw(st.integers(low, high)) for _ in range(2)]
        volume = draw(st.one_of(st.integers(least_volume, 100), st.integers(least_volume, 2**62)))
        minute += draw(st.integers(1, 3))
        rows.append((minute, ends[0], high, low, ends[1], volume))
    return tape_of(rows)


@settings(max_examples=200)
@given(tapes())
def test_trades_add_up_to_the_bar(tape: Tape) -> None:
    """Open, high, low, close, volume and count are those of the bar, in every bar."""
    path = steps(tape, 0, len(tape))
    for index in range(len(tape)):
        traded = path.real[index] & (path.quantity[index] > 0)
        price, quantity = path.price[index][traded].tolist(), path.quantity[index][traded].tolist()
        assert (price[0], max(price), min(price), price[-1]) == (
            tape.open[index],
            tape.high[index],
            tape.low[index],
            tape.close[index],
        )
        assert sum(quantity) == tape.volume[index]
        assert len(quantity) == trade_counts(tape)[index] <= MAX_STEPS


@settings(max_examples=100)
@given(tapes())
def test_trades_follow_each_other_within_their_minute(tape: Tape) -> None:
    """The first comes at the bar's open to the millisecond, each later one after the one before."""
    path = steps(tape, 0, len(tape))
    for index in range(len(tape)):
        times = path.time_ms[index][path.real[index]] - tape.open_ms[index]
        assert times[0] == 0
        assert np.all(np.diff(times) > 0)
        assert times[-1] < MINUTE_MS


@settings(max_examples=100)
@given(tapes())
def test_the_taker_sold_where_the_price_fell(tape: Tape) -> None:
    """The buyer is the maker in a trade below the one before it, and is not in one above."""
    path = steps(tape, 0, len(tape))
    change = np.diff(path.price, axis=1)
    both = path.real[:, 1:]
    assert np.all(path.buyer_is_maker[:, 1:][both & (change < 0)])
    assert not np.any(path.buyer_is_maker[:, 1:][both & (change > 0)])


@settings(max_examples=100)
@given(tapes())
def test_flows_are_sums_over_the_trades(tape: Tape) -> None:
    """Quote volume and taker-buy amounts, added up one trade after the other in Python integers."""
    path, sums = steps(tape, 0, len(tape)), flows(tape)
    for index in range(len(tape)):
        rows = list(zip(*(c[index].tolist() for c in (path.price, path.quantity, path.buyer_is_maker)), strict=True))
        assert sums.quote[index] == sum(p * q for p, q, _ in rows)
        assert sums.taker_base[index] == sum(q for _, q, maker in rows if not maker)
        assert sums.taker_quote[index] == sum(p * q for p, q, maker in rows if not maker)


def test_a_bar_without_volume_moves_and_does_not_trade() -> None:
    """Its path has the prices, its trades are none."""
    path = steps(tape_of([(0, 100, 120, 90, 110, 0)]), 0, 1)
    price = path.price[0][path.real[0]]
    assert (price[0], price.max(), price.min(), price[-1]) == (100, 120, 90, 110)
    assert path.quantity.sum() == 0


@pytest.mark.parametrize("volume", [1, 2, 3])
def test_fewer_lots_than_corners_give_as_many_trades(volume: int) -> None:
    """Three lots can not show four prices; the volume is right all the same."""
    tape = tape_of([(0, 100, 120, 90, 110, volume)])
    assert steps(tape, 0, 1).quantity.sum() == volume
    assert trade_counts(tape).tolist() == [volume]


def test_the_path_of_a_rising_bar_goes_down_first() -> None:
    """Open, low, high, close where the bar rises; open, high, low, close where it falls."""
    path = steps(tape_of([(0, 100, 120, 90, 110, 900), (1, 110, 120, 90, 100, 900)]), 0, 2)
    assert path.price[0].argmin() < path.price[0].argmax()
    falling = path.price[1][path.real[1]]
    assert falling.argmax() < falling.argmin()


def test_a_bar_has_the_same_trades_wherever_it_is_read_from() -> None:
    """Reading one bar gives the row that reading all bars gives."""
    tape = tape_of([(m, 100 + m, 130 + m, 90, 120, 5000 + m) for m in range(20)])
    whole, one = steps(tape, 0, 20), steps(tape, 13, 14)
    for name in ("time_ms", "price", "quantity", "buyer_is_maker", "real"):
        assert np.array_equal(getattr(whole, name)[13:14], getattr(one, name))


def test_quote_amounts_finer_than_the_venue_writes_are_cut() -> None:
    """Five decimals of price and five of quantity make ten; the venue writes eight."""
    columns = [np.array([value]) for value in (NEW_YEAR_MS, 123457, 123457, 123457, 123457, 1)]
    tape = Tape(*columns, price_decimals=5, quantity_decimals=5)
    assert quote_decimals(tape) == 8
    assert flows(tape).quote.tolist() == [1234]  # 1.23457 * 0.00001 = 0.0000123457


def test_hashes_are_those_of_splitmix64() -> None:
    """The first outputs for seed 0 of Vigna's reference program (splitmix64.c)."""
    first, second = mix(np.array([0, 0x9E3779B97F4A7C15], dtype=np.uint64)).tolist()
    assert (first, second) == (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4)
