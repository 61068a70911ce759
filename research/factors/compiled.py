"""Computes factors of large frames: by compiled kernels, symbols and factors side by side, written where they stay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import talib

from research.bars import Floats, SymbolRows
from research.compiled import read_only
from research.factors import averages, kernels, price, ranges, volume
from research.factors.arrays import finite
from research.factors.chosen import ChosenFactor
from research.factors.spec import Value
from research.factors.windows import LONGEST_SUMMED_EACH
from research.threads import run_on_threads

Outputs = Mapping[str, Floats]
"""The arrays to fill, by the word of the factor's parameter `output`, "" where it has none."""

_NOT_WANTED = np.empty(0)


def _momentum(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    kernels.change(close, lookback_bars, outputs[""])


def _returns(close: Floats, outputs: Outputs, lookback_bars: int, kind: str) -> None:
    if kind == "simple":
        kernels.change(close, lookback_bars, outputs[""])
        return
    ratios = np.empty(len(close))
    kernels.ratio(close, lookback_bars, ratios)
    np.log(ratios, out=outputs[""])


def _sma(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    kernels.mean(close, lookback_bars, LONGEST_SUMMED_EACH, outputs[""])


def _ema(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    outputs[""][:] = talib.EMA(close, timeperiod=lookback_bars)


def _macd(close: Floats, outputs: Outputs, fast_bars: int, slow_bars: int, signal_bars: int) -> None:
    lines = talib.MACD(close, fastperiod=fast_bars, slowperiod=slow_bars, signalperiod=signal_bars)
    for word, line in zip(("line", "signal", "hist"), lines, strict=True):
        if word in outputs:
            outputs[word][:] = line


def _rsi(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    values = talib.RSI(close / close[0], timeperiod=lookback_bars)
    kernels.kept_while_level(close, values, lookback_bars, outputs[""])


def _atr(high: Floats, low: Floats, close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    outputs[""][:] = talib.ATR(high, low, close, timeperiod=lookback_bars)


def _bollinger(close: Floats, outputs: Outputs, lookback_bars: int, deviations: float) -> None:
    wanted = (outputs.get(word, _NOT_WANTED) for word in ("percent_b", "bandwidth", "upper", "lower"))
    kernels.bands(close, lookback_bars, deviations, LONGEST_SUMMED_EACH, *wanted)


def _zscore(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    kernels.standard_score(close, lookback_bars, LONGEST_SUMMED_EACH, outputs[""])


def _volatility(close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    out = outputs[""]
    out[0] = np.nan
    ratios = np.divide(close[1:], close[:-1], out=out[1:])
    kernels.deviation(read_only(np.log(ratios)), lookback_bars, lookback_bars - 1, LONGEST_SUMMED_EACH, out[1:])


def _volume_ratio(volume: Floats, outputs: Outputs, lookback_bars: int) -> None:
    kernels.beside_mean_before(finite(volume, "volume"), lookback_bars, LONGEST_SUMMED_EACH, outputs[""])


def _donchian(high: Floats, low: Floats, close: Floats, outputs: Outputs, lookback_bars: int) -> None:
    floor, top = talib.MIN(low, timeperiod=lookback_bars), talib.MAX(high, timeperiod=lookback_bars)
    kernels.place_in_range(close, floor, top, outputs[""])


KERNELS: dict[Callable[..., Floats], Callable[..., None]] = {
    price.momentum: _momentum,
    price.returns: _returns,
    price.zscore: _zscore,
    price.volatility: _volatility,
    averages.sma: _sma,
    averages.ema: _ema,
    averages.macd: _macd,
    ranges.rsi: _rsi,
    ranges.atr: _atr,
    ranges.bollinger: _bollinger,
    ranges.donchian: _donchian,
    volume.volume_ratio: _volume_ratio,
}
"""For each plain function what takes its columns, the outputs to fill and its other parameters.

By function, not by name: a factor of another's making that bears a known name keeps its own function.
"""


@dataclass(frozen=True, slots=True)
class _Job:
    """A factor that is computed once, and the rows that its outputs fill."""

    choice: ChosenFactor
    columns: tuple[Floats, ...]
    outputs: dict[str, Floats] = field(default_factory=dict)

    def run(self, block: SymbolRows) -> None:
        """Fill the rows of one symbol."""
        rows = block.rows
        outputs = {word: row[rows] for word, row in self.outputs.items()}
        columns = tuple(column[rows] for column in self.columns)
        spec = self.choice.spec
        if block.stop - block.start <= self.choice.lookback:
            for row in outputs.values():
                row[:] = np.nan
        elif kernel := KERNELS.get(spec.function):
            kernel(*columns, outputs=outputs, **_inner(self.choice))
        else:
            for row in outputs.values():
                row[:] = spec.function(*columns, **self.choice.params)


def fill_compiled(
    rows: Sequence[tuple[ChosenFactor, Floats]],
    blocks: Sequence[SymbolRows],
    columns: Mapping[str, Floats],
    threads: int | None,
) -> None:
    """Fill each factor's row, for each block of rows that is one symbol; prices are finite and above zero.

    Kernels and TA-Lib let go of the interpreter, so as many run at once as `threads` says, as in `run_on_threads`.
    """
    ready = {name: read_only(column) for name, column in columns.items()}
    jobs: list[_Job] = []
    for choice, row in rows:
        word = str(choice.params.get("output", ""))
        job = next((job for job in jobs if _differ_in_output(job.choice, choice) and word not in job.outputs), None)
        if job is None:
            job = _Job(choice, tuple(ready[name] for name in choice.spec.inputs))
            jobs.append(job)
        job.outputs[word] = row
    run_on_threads(lambda task: task[1].run(task[0]), product(blocks, jobs), threads)


def _differ_in_output(one: ChosenFactor, other: ChosenFactor) -> bool:
    """Tell whether two choices are the same factor, but for the parameter `output`."""
    return one.spec.function in KERNELS and one.spec is other.spec and _inner(one) == _inner(other)


def _inner(choice: ChosenFactor) -> dict[str, Value]:
    """Return the parameters without the choice among outputs."""
    return {name: value for name, value in choice.params.items() if name != "output"}
