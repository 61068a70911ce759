"""The passes over every bar that a backtest makes, compiled; `research.engines.chosen` says what each must give."""

import numpy as np

from research.bars import Floats, Ints
from research.compiled import ANY_ORDER, compiled

BLOCK = 1024
"""Bars that are worked on at once: what is kept of them stays in the processor's first cache."""
_STRIDE = 128


@compiled()
def target_changes(position: Floats, smallest: float, at: Ints, want: Floats) -> int:
    """Write the bars at which the held target changes, and the new targets; return how many, −1 for a wrong value.

    What is below `smallest` counts as 0. All are counted, even where there is no room to write them.
    """
    count, held, bar = 0, 0.0, 0
    while bar < position.size:
        end = min(position.size, bar + _STRIDE)
        if _unlike(position[bar:end], held) == 0:
            bar = end
            continue
        while position[bar] == held:
            bar += 1
        target = position[bar]
        if not np.isnan(target):
            if not 0.0 <= target <= 1.0:
                return -1
            if target < smallest:
                target = 0.0
            if target != held:
                if count < at.size:
                    at[count], want[count] = bar, target
                count += 1
                held = target
        bar += 1
    return count


@compiled()
def mark(closes: Floats, at: Ints, cash_after: Floats, amount_after: Floats, cash: float, equity: Floats) -> None:
    """Write the equity at each close: amount × close + cash, both as they are after the latest order."""
    start, amount = 0, 0.0
    for order in range(at.size + 1):
        end = at[order] if order < at.size else closes.size
        if amount == 0.0:
            equity[start:end] = cash
        else:
            _marked(closes[start:end], amount, cash, equity[start:end])
        if order < at.size:
            cash, amount, start = cash_after[order], amount_after[order], end


@compiled()
def block_sums(equity: Floats, bits: Ints, sums: Floats, highs: Ints, lows: Ints) -> None:
    """Write of each block of bars what moments, mean and drawdown are made of.

    `bits` is the equity seen as integers: above zero they are in the same order, and the compiler compares eight at
    once. Rows of `sums`: returns, their mean, squared deviations from it, squared falls, equity.
    """
    returns = np.empty(BLOCK)
    for block in range(highs.size):
        start, end = block * BLOCK, min(equity.size, (block + 1) * BLOCK)
        highs[block], lows[block] = _extremes(bits[start:end])
        sums[4, block] = _total(equity[start:end])
        first = max(start, 1)
        found = returns[: end - first]
        sums[0, block] = found.size
        if found.size:
            _returns(equity[first - 1 : end - 1], equity[first:end], found)
            mean = _total(found) / found.size
            sums[1, block] = mean
            sums[2, block] = _squared_deviations(found, mean)
            sums[3, block] = _squared_falls(found)


@compiled()
def deepest_and_longest(equity: Floats, ticks: Ints, highs: Floats, lows: Floats) -> tuple[float, int]:
    """Return the lowest ratio of the equity to its highest so far, and the longest time below a high, in ticks.

    The lowest of a block over the high before it is a ratio that was reached, or one that is not below the block's
    lowest: only blocks that can hold a lower one are gone through.
    """
    peak, worst = equity[0], 1.0
    for block in range(highs.size):
        worst = min(worst, lows[block] / peak)
        peak = max(peak, highs[block])
    peak, at, longest = equity[0], 0, 0
    for block in range(highs.size):
        start = block * BLOCK
        values = equity[start : start + BLOCK]
        if lows[block] / max(peak, highs[block]) < worst:
            worst = min(worst, _lowest_ratio(values, peak))
        if highs[block] >= peak:
            for bar in range(values.size):
                if values[bar] >= peak:
                    peak = values[bar]
                    if start + bar - at > 1:
                        longest = max(longest, ticks[start + bar] - ticks[at])
                    at = start + bar
    if equity.size - at > 1:
        longest = max(longest, ticks[equity.size - 1] - ticks[at])
    return worst, longest


@compiled()
def _unlike(values: Floats, value: float) -> int:
    count = 0
    for index in range(values.size):
        count += values[index] != value  # a NaN is unlike everything
    return count


@compiled()
def _marked(closes: Floats, amount: float, cash: float, equity: Floats) -> None:
    for index in range(closes.size):
        equity[index] = closes[index] * amount + cash


@compiled()
def _extremes(bits: Ints) -> tuple[int, int]:
    high, low = bits[0], bits[0]
    for index in range(bits.size):
        high, low = max(high, bits[index]), min(low, bits[index])
    return high, low


@compiled()
def _returns(before: Floats, now: Floats, returns: Floats) -> None:
    for index in range(returns.size):
        returns[index] = now[index] / before[index] - 1.0


@compiled(ANY_ORDER)
def _total(values: Floats) -> float:
    total = 0.0
    for index in range(values.size):
        total += values[index]
    return total


@compiled(ANY_ORDER)
def _squared_deviations(values: Floats, mean: float) -> float:
    total = 0.0
    for index in range(values.size):
        total += (values[index] - mean) * (values[index] - mean)
    return total


@compiled(ANY_ORDER)
def _squared_falls(values: Floats) -> float:
    total = 0.0
    for index in range(values.size):
        fall = min(values[index], 0.0)
        total += fall * fall
    return total


@compiled()
def _lowest_ratio(values: Floats, peak: float) -> float:
    worst = 1.0
    for index in range(values.size):
        peak = max(peak, values[index])
        worst = min(worst, values[index] / peak)
    return worst
