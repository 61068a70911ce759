"""Backtests of many parameter sets, compiled: only the changes of the position are worked on."""

import numpy as np

from research.bar_kernels import target_changes
from research.bars import Floats, Ints
from research.compiled import compiled
from research.stretch_kernels import stretch_fall, stretch_totals

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
        _follow(at, count, opens, closes, returns, starts, rows, fee, slippage, cash, found, chosen)


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
    _follow(at, count, opens, closes, returns, starts, rows, fee, slippage, cash, found, 0)
    return 0


@compiled()
def _follow(
    at: Ints,
    count: int,
    opens: Floats,
    closes: Floats,
    returns: Floats,
    starts: Ints,
    rows: Floats,
    fee: float,
    slippage: float,
    cash: float,
    found: Floats,
    chosen: int,
) -> None:
    """Trade from each even change to the next one, by the rules of `research.fills`; what is found is row `chosen`."""
    last, equity, growth, peak, lowest = closes.size - 1, cash, 1.0, cash, 1.0
    trades, wins, won, lost, ratios, fees, held = 0, 0, 0.0, 0.0, 0.0, 0.0, 0
    total, squares, cubes, fourths, falls = 0.0, 0.0, 0.0, 0.0, 0.0
    for entry in range(0, count, 2):
        begin = at[entry] + 1
        if begin >= last:
            break
        end = min(at[entry + 1] + 1, last) if entry + 1 < count else last
        open_rate, close_rate = opens[begin] * (1.0 + slippage), opens[end] * (1.0 - slippage)
        paid, got = open_rate * (1.0 + fee), close_rate * (1.0 - fee)
        amount = equity / paid
        high, low, first, second, third, fourth, down = stretch_totals(closes, returns, starts, rows, begin + 1, end)
        high, low = max(high, closes[begin]), min(low, closes[begin])
        if amount * low < lowest * max(peak, amount * high):  # else no ratio in this stretch can be the lowest
            lowest = min(lowest, amount * low / peak)
            if amount * high > peak:
                lowest = min(lowest, stretch_fall(closes, starts, rows, begin, end))
        peak = max(peak, amount * high)
        growth *= got / paid
        equity = cash * growth
        lowest = min(lowest, equity / peak)
        peak = max(peak, equity)

        ratio = got / paid - 1.0
        profit = amount * open_rate * (1.0 + fee) * ratio
        trades += 1
        wins += ratio > 0.0
        won += max(profit, 0.0)
        lost -= min(profit, 0.0)
        ratios += ratio
        fees += amount * open_rate * fee + amount * close_rate * fee
        held += end - begin

        bought, sold = closes[begin] / paid - 1.0, got / closes[end - 1] - 1.0  # the returns of both fills' bars
        total += first + bought + sold
        squares += second + bought**2 + sold**2
        cubes += third + bought**3 + sold**3
        fourths += fourth + bought**4 + sold**4
        falls += down + min(bought, 0.0) ** 2 + min(sold, 0.0) ** 2
    found[chosen, GROWTH], found[chosen, LOWEST], found[chosen, TRADES] = growth, lowest, trades
    found[chosen, WINS], found[chosen, WON], found[chosen, LOST] = wins, won, lost
    found[chosen, RATIOS], found[chosen, FEES], found[chosen, HELD] = ratios, fees, held
    found[chosen, SUM], found[chosen, SQUARES], found[chosen, CUBES] = total, squares, cubes
    found[chosen, FOURTHS], found[chosen, FALLS] = fourths, falls


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
