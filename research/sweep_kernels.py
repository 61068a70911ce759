"""Backtests of many parameter sets, compiled: only the changes of the position are worked on."""

import numpy as np

from research.bar_kernels import target_changes
from research.bars import Floats, Ints
from research.compiled import compiled
from research.stretch_kernels import (
    DOWN,
    FIRST,
    FOURTH,
    HIGH,
    LOW,
    SECOND,
    THIRD,
    add_stretch,
    clear,
    stretch_fall,
)

BLOCK = 64
"""Bars of a factor whose highest and lowest value are kept: most blocks hold no crossing."""
GROWTH, LOWEST, TRADES, WINS, WON, LOST, RATIOS, FEES, HELD, SUM, SQUARES, CUBES, FOURTHS, FALLS = range(14)
"""What is found of a set: final equity over the first, lowest equity over the highest before it, then of its trades
how many, how many won, what they won and lost, the sum of their ratios and of their fees and the bars held, then the
sums of r, r², r³, r⁴ and min(r, 0)², r being the returns of the equity from close to close."""
FOUND = 14
_LOWEST_KEY, _HIGHEST_KEY = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@compiled()
def momentum_of(closes: Floats, lookback: int, factor: Floats) -> None:
    """Write close / earlier close − 1, NaN for the first bars, with the roundings of `research.factors.price`."""
    factor[:lookback] = np.nan
    _changes_over(closes[:-lookback], closes[lookback:], factor[lookback:])


@compiled()
def factor_extremes(factor: Floats, bits: Ints, highs: Ints, lows: Ints) -> None:
    """Write the highest and lowest value of each block of a factor, leaving NaN out.

    They are found among keys, integers in the order of the values, as the compiler compares eight of those at once;
    a block without a value is given the lowest and the highest key. `bits` is the factor seen as integers.
    """
    for block in range(highs.size):
        start, end = block * BLOCK, min(factor.size, (block + 1) * BLOCK)
        high, low = _key_extremes(factor[start:end], bits[start:end])
        highs[block], lows[block] = high, low


@compiled()
def key_of(bits: int) -> int:
    """Return a number's bits as an integer that is ordered as the numbers are; the same again undoes it."""
    return bits ^ ((bits >> 63) & _HIGHEST_KEY)


@compiled()
def crossings(factor: Floats, highs: Floats, lows: Floats, enter_above: float, exit_below: float, at: Ints) -> int:
    """Write the bars at which a position starts and ends, turn by turn; return how many.

    `highs` and `lows` are the extremes of the factor's blocks; one without a value has NaN.
    """
    count, block, bar, size = 0, 0, 0, factor.size
    while True:
        flat = count % 2 == 0
        end = min(size, (block + 1) * BLOCK)
        if flat:
            while bar < end and not factor[bar] > enter_above:
                bar += 1
        else:
            while bar < end and not factor[bar] < exit_below:
                bar += 1
        if bar < end:
            at[count] = bar
            count += 1
            bar += 1
            continue
        block += 1
        if flat:
            while block < highs.size and not highs[block] > enter_above:
                block += 1
        else:
            while block < lows.size and not lows[block] < exit_below:
                block += 1
        bar = block * BLOCK
        if block >= highs.size:
            return count


@compiled()
def threshold_sets(
    factor: Floats,
    highs: Floats,
    lows: Floats,
    enter_above: Floats,
    exit_below: Floats,
    opens: Floats,
    closes: Floats,
    returns: Floats,
    starts: Ints,
    rows: Floats,
    fee: float,
    slippage: float,
    cash: float,
    found: Floats,
) -> None:
    """Write what is found of each set of thresholds of one factor."""
    at = np.empty(factor.size + 1, dtype=np.int64)
    for chosen in range(enter_above.size):
        count = crossings(factor, highs, lows, enter_above[chosen], exit_below[chosen], at)
        _follow(at[:count], opens, closes, returns, starts, rows, fee, slippage, cash, found[chosen])


@compiled()
def position_set(
    position: Floats,
    opens: Floats,
    closes: Floats,
    returns: Floats,
    starts: Ints,
    rows: Floats,
    fee: float,
    slippage: float,
    cash: float,
    found: Floats,
) -> int:
    """Write what is found of one position; return 0, or 1 for one with weights, −1 for a wrong value: no result."""
    at, want = np.empty(position.size, dtype=np.int64), np.empty(position.size)
    count = target_changes(position, at, want)
    if count < 0:
        return -1
    for change in range(count):
        if want[change] != (change + 1) % 2:
            return 1
    _follow(at[:count], opens, closes, returns, starts, rows, fee, slippage, cash, found)
    return 0


@compiled()
def _follow(
    at: Ints,
    opens: Floats,
    closes: Floats,
    returns: Floats,
    starts: Ints,
    rows: Floats,
    fee: float,
    slippage: float,
    cash: float,
    found: Floats,
) -> None:
    """Trade from each even change to the next one; the rules are those of `research.fills`."""
    found[:] = 0.0
    found[LOWEST] = 1.0
    stretch = np.empty(8)
    last, equity, growth, peak = closes.size - 1, cash, 1.0, cash
    for entry in range(0, at.size, 2):
        begin = at[entry] + 1
        if begin >= last:
            break
        end = min(at[entry + 1] + 1, last) if entry + 1 < at.size else last
        open_rate, close_rate = opens[begin] * (1.0 + slippage), opens[end] * (1.0 - slippage)
        paid, got = open_rate * (1.0 + fee), close_rate * (1.0 - fee)
        amount = equity / paid
        clear(stretch)
        add_stretch(closes, returns, starts, rows, begin + 1, end, stretch)
        high, low = max(stretch[HIGH], closes[begin]), min(stretch[LOW], closes[begin])
        if amount * low < found[LOWEST] * max(peak, amount * high):
            fall = min(amount * low / peak, stretch_fall(closes, starts, rows, begin, end))
            found[LOWEST] = min(found[LOWEST], fall)
        peak = max(peak, amount * high)
        growth *= got / paid
        equity = cash * growth
        found[LOWEST] = min(found[LOWEST], equity / peak)
        peak = max(peak, equity)
        _add_trade(found, amount, open_rate, close_rate, fee, end - begin)
        _add_return(found, closes[begin] / paid - 1.0)
        _add_return(found, got / closes[end - 1] - 1.0)
        found[SUM] += stretch[FIRST]
        found[SQUARES] += stretch[SECOND]
        found[CUBES] += stretch[THIRD]
        found[FOURTHS] += stretch[FOURTH]
        found[FALLS] += stretch[DOWN]
    found[GROWTH] = growth


@compiled()
def _add_trade(found: Floats, amount: float, open_rate: float, close_rate: float, fee: float, bars: int) -> None:
    ratio = close_rate * (1.0 - fee) / (open_rate * (1.0 + fee)) - 1.0
    profit = amount * open_rate * (1.0 + fee) * ratio
    found[TRADES] += 1.0
    found[RATIOS] += ratio
    found[FEES] += amount * open_rate * fee + amount * close_rate * fee
    found[HELD] += bars
    if ratio > 0.0:
        found[WINS] += 1.0
    if profit > 0.0:
        found[WON] += profit
    elif profit < 0.0:
        found[LOST] -= profit


@compiled()
def _add_return(found: Floats, value: float) -> None:
    square, fall = value * value, min(value, 0.0)
    found[SUM] += value
    found[SQUARES] += square
    found[CUBES] += square * value
    found[FOURTHS] += square * square
    found[FALLS] += fall * fall


@compiled()
def _changes_over(before: Floats, now: Floats, changes: Floats) -> None:
    for index in range(changes.size):
        changes[index] = now[index] / before[index] - 1.0


@compiled()
def _key_extremes(values: Floats, bits: Ints) -> tuple[int, int]:
    high, low = _LOWEST_KEY, _HIGHEST_KEY
    for index in range(values.size):
        key = bits[index] ^ ((bits[index] >> 63) & _HIGHEST_KEY)
        known = values[index] == values[index]
        high = max(high, key if known else _LOWEST_KEY)
        low = min(low, key if known else _HIGHEST_KEY)
    return high, low
