"""Tells what a stretch of bars did from sums kept of blocks of bars, so that a held stretch is never gone through.

A row of eight numbers describes bars i … j: highest close, lowest close, lowest close over the highest before it, the
sums of r, r², r³ and r⁴, and of min(r, 0)², r being each bar's return from the close before. Rows of neighbours are
joined by maxima, minima and additions; nothing is ever subtracted, so no sum loses digits to another stretch. Rows of
1, 2, 4 … blocks are kept, those of one width together.

Functions take whole arrays and bounds: a slice would count its owners, which threads would wait for.
"""

import math

from research.bars import Floats, Ints
from research.compiled import compiled

BLOCK = 16
"""Bars in the smallest block: the ends of a stretch are gone through bar by bar."""
HIGH, LOW, FALL, FIRST, SECOND, THIRD, FOURTH, DOWN = range(8)

Totals = tuple[float, float, float, float, float, float, float]
"""A row without its lowest ratio, which is dear and seldom asked for."""

GROWTH, LOWEST, TRADES, WINS, WON, LOST, RATIOS, FEES, HELD, SUM, SQUARES, CUBES, FOURTHS, FALLS = range(14)
"""What is found of a set: final equity over the first, lowest equity over the highest before it, then of its trades
how many, how many won, what they won and lost, the sum of their ratios and of their fees and the bars held, then the
sums of r, r², r³, r⁴ and min(r, 0)², r being the returns of the equity from close to close."""
FOUND = 14


@compiled()
def block_rows(closes: Floats, returns: Floats, starts: Ints, rows: Floats) -> None:
    """Write the rows of all blocks; `starts` says for each width where its rows begin."""
    for block in range(starts[1]):
        begin, end = block * BLOCK, min(closes.size, (block + 1) * BLOCK)
        _write(rows, block, with_bars(nothing(), closes, returns, begin, end), lowest_ratio(closes, begin, end, 0.0))
    for level in range(1, starts.size - 1):
        for row in range(starts[level], starts[level + 1]):
            left = starts[level - 1] + 2 * (row - starts[level])
            total, fall = with_row(nothing(), rows, left), rows[left, FALL]
            if left + 1 < starts[level]:
                fall = min(fall, rows[left + 1, FALL], rows[left + 1, LOW] / rows[left, HIGH])
                total = with_row(total, rows, left + 1)
            _write(rows, row, total, fall)


@compiled()
def stretch_totals(closes: Floats, returns: Floats, starts: Ints, rows: Floats, begin: int, end: int) -> Totals:
    """Return what bars begin … end − 1 did."""
    first, last = (begin + BLOCK - 1) // BLOCK, end // BLOCK
    if first >= last:
        return with_bars(nothing(), closes, returns, begin, end)
    total = with_bars(nothing(), closes, returns, begin, first * BLOCK)
    while first < last:
        level = _widest(first, last)
        total = with_row(total, rows, starts[level] + (first >> level))
        first += 1 << level
    return with_bars(total, closes, returns, last * BLOCK, end)


@compiled()
def stretch_fall(closes: Floats, starts: Ints, rows: Floats, begin: int, end: int) -> float:
    """Return the lowest close over the highest one before it among bars begin … end − 1."""
    first, last = (begin + BLOCK - 1) // BLOCK, end // BLOCK
    if first >= last:
        return lowest_ratio(closes, begin, end, 0.0)
    high, fall = closes[begin], 1.0
    for bar in range(begin, first * BLOCK):
        high = max(high, closes[bar])
        fall = min(fall, closes[bar] / high)
    while first < last:
        level = _widest(first, last)
        row = starts[level] + (first >> level)
        fall = min(fall, rows[row, FALL], rows[row, LOW] / high)
        high = max(high, rows[row, HIGH])
        first += 1 << level
    return min(fall, lowest_ratio(closes, last * BLOCK, end, high))


@compiled()
def follow(
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
    """Trade from each even change to the next one, by the rules of `research.fills`; write what is found."""
    last, equity, growth, peak, lowest = closes.size - 1, cash, 1.0, cash, 1.0
    found[:] = 0.0
    for entry in range(0, at.size, 2):
        begin = at[entry] + 1
        if begin >= last:
            break
        end = min(at[entry + 1] + 1, last) if entry + 1 < at.size else last
        open_rate, close_rate = opens[begin] * (1.0 + slippage), opens[end] * (1.0 - slippage)
        paid, got = open_rate * (1.0 + fee), close_rate * (1.0 - fee)
        amount = equity / paid
        total = stretch_totals(closes, returns, starts, rows, begin + 1, end)
        high, low = max(total[0], closes[begin]), min(total[1], closes[begin])
        if amount * low < lowest * max(peak, amount * high):  # else no ratio in this stretch can be the lowest
            lowest = min(lowest, amount * low / peak)
            if amount * high > peak:
                lowest = min(lowest, stretch_fall(closes, starts, rows, begin, end))
        peak = max(peak, amount * high)
        growth *= got / paid
        equity = cash * growth
        lowest = min(lowest, equity / peak)
        peak = max(peak, equity)
        _add_trade(found, amount, open_rate, close_rate, got / paid - 1.0, fee)
        found[HELD] += end - begin
        _add_returns(found, total, closes[begin] / paid - 1.0, got / closes[end - 1] - 1.0)
    found[GROWTH], found[LOWEST] = growth, lowest


@compiled()
def _add_trade(found: Floats, amount: float, open_rate: float, close_rate: float, ratio: float, fee: float) -> None:
    profit = amount * open_rate * (1.0 + fee) * ratio
    found[TRADES] += 1.0
    found[WINS] += 1.0 if ratio > 0.0 else 0.0
    found[WON] += max(profit, 0.0)
    found[LOST] -= min(profit, 0.0)
    found[RATIOS] += ratio
    found[FEES] += amount * open_rate * fee + amount * close_rate * fee


@compiled()
def _add_returns(found: Floats, total: Totals, bought: float, sold: float) -> None:
    """Add the returns of a held stretch, and those of both fills' bars."""
    _, _, first, second, third, fourth, down = total
    found[SUM] += first + bought + sold
    found[SQUARES] += second + bought**2 + sold**2
    found[CUBES] += third + bought**3 + sold**3
    found[FOURTHS] += fourth + bought**4 + sold**4
    found[FALLS] += down + min(bought, 0.0) ** 2 + min(sold, 0.0) ** 2


@compiled()
def nothing() -> Totals:
    """Return the totals of no bars."""
    return 0.0, math.inf, 0.0, 0.0, 0.0, 0.0, 0.0


@compiled()
def with_row(total: Totals, rows: Floats, row: int) -> Totals:
    """Return the totals with those of a row."""
    high, low, first, second, third, fourth, down = total
    return (
        max(high, rows[row, HIGH]),
        min(low, rows[row, LOW]),
        first + rows[row, FIRST],
        second + rows[row, SECOND],
        third + rows[row, THIRD],
        fourth + rows[row, FOURTH],
        down + rows[row, DOWN],
    )


@compiled()
def with_bars(total: Totals, closes: Floats, returns: Floats, begin: int, end: int) -> Totals:
    """Return the totals with bars begin … end − 1."""
    high, low, first, second, third, fourth, down = total
    for bar in range(begin, end):
        close, value = closes[bar], returns[bar]
        square = value * value
        high = close if close > high else high
        low = close if close < low else low
        first += value
        second += square
        third += square * value
        fourth += square * square
        down += square if value < 0.0 else 0.0
    return high, low, first, second, third, fourth, down


@compiled()
def lowest_ratio(closes: Floats, begin: int, end: int, high: float) -> float:
    """Return the lowest close of bars begin … end − 1 over the highest so far, which was `high` before."""
    fall = 1.0
    for bar in range(begin, end):
        high = max(high, closes[bar])
        fall = min(fall, closes[bar] / high)
    return fall


@compiled()
def _write(rows: Floats, row: int, total: Totals, fall: float) -> None:
    rows[row, HIGH], rows[row, LOW], rows[row, FALL] = total[0], total[1], fall
    rows[row, FIRST], rows[row, SECOND], rows[row, THIRD] = total[2], total[3], total[4]
    rows[row, FOURTH], rows[row, DOWN] = total[5], total[6]


@compiled()
def _widest(first: int, last: int) -> int:
    """Return the level of the widest row that begins at block `first` and does not reach beyond `last`."""
    level = 0
    while first & (1 << level) == 0 and first + (2 << level) <= last:
        level += 1
    return level
