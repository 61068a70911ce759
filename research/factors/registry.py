"""Lists every factor of one symbol by name, with its columns, parameters, formula and source."""

from research.factors.averages import ema, macd, sma
from research.factors.price import momentum, returns, volatility, zscore
from research.factors.ranges import atr, bollinger, donchian, rsi
from research.factors.spec import Choice, FactorSpec, Number, Params, Whole, suggestion
from research.factors.volume import volume_ratio
from schemas.errors import InputError

CROSS_SECTIONAL_RANK = "cross_sectional_rank"
"""The name under which `compute_factor` ranks another factor across symbols."""

_LONGEST = 100_000  # TA-Lib's own limit


def _bars(default: int, lowest: int = 2, name: str = "lookback_bars", meaning: str = "length L in bars") -> Whole:
    return Whole(name, default, lowest, _LONGEST, meaning)


def _whole(params: Params, name: str = "lookback_bars") -> int:
    return int(params[name])


def _window(params: Params) -> int:
    return _whole(params) - 1


def _macd_start(params: Params) -> int:
    return _whole(params, "slow_bars") + _whole(params, "signal_bars") - 2


_SPECS = (
    FactorSpec(
        name="momentum",
        function=momentum,
        inputs=("close",),
        parameters=(_bars(60, 1),),
        lookback=_whole,
        formula="close_t / close_t−L − 1",
        source="Jegadeesh and Titman 1993",
    ),
    FactorSpec(
        name="returns",
        function=returns,
        inputs=("close",),
        parameters=(_bars(1, 1), Choice("kind", "simple", ("simple", "log"), "simple or logarithmic")),
        lookback=_whole,
        formula="simple: close_t / close_t−L − 1; log: ln(close_t / close_t−L)",
        source="Campbell, Lo and MacKinlay 1997, ch. 1.4",
    ),
    FactorSpec(
        name="sma",
        function=sma,
        inputs=("close",),
        parameters=(_bars(20),),
        lookback=_window,
        formula="mean(close_t−L+1 … close_t)",
        source="TA-Lib: SMA",
    ),
    FactorSpec(
        name="ema",
        function=ema,
        inputs=("close",),
        parameters=(_bars(20),),
        lookback=_window,
        formula="e_t = e_t−1 + 2 / (L + 1) × (close_t − e_t−1), from the mean of the first L closes",
        source="TA-Lib: EMA",
    ),
    FactorSpec(
        name="rsi",
        function=rsi,
        inputs=("close",),
        parameters=(_bars(14),),
        lookback=_whole,
        formula="100 × G / (G + D), G and D Wilder's means of rises and falls",
        source="Wilder 1978; TA-Lib: RSI",
    ),
    FactorSpec(
        name="macd",
        function=macd,
        inputs=("close",),
        parameters=(
            _bars(12, name="fast_bars", meaning="length of the fast mean"),
            _bars(26, name="slow_bars", meaning="length of the slow mean, above fast_bars"),
            _bars(9, name="signal_bars", meaning="length of the signal's mean"),
            Choice("output", "hist", ("line", "signal", "hist"), "which line"),
        ),
        lookback=_macd_start,
        formula="line = ema(fast) − ema(slow); signal = ema of the line; hist = line − signal",
        source="Appel 1979; TA-Lib: MACD",
        order=("fast_bars", "slow_bars"),
    ),
    FactorSpec(
        name="atr",
        function=atr,
        inputs=("high", "low", "close"),
        parameters=(_bars(14),),
        lookback=_whole,
        formula="Wilder's mean of max(high_t, close_t−1) − min(low_t, close_t−1)",
        source="Wilder 1978; TA-Lib: ATR",
    ),
    FactorSpec(
        name="bollinger",
        function=bollinger,
        inputs=("close",),
        parameters=(
            _bars(20),
            Number("deviations", 2.0, 0.0, 100.0, "half the bands' width k in deviations"),
            Choice("output", "percent_b", ("percent_b", "bandwidth", "upper", "lower"), "which figure"),
        ),
        lookback=_window,
        formula="bands mean ± k × s (divisor L); percent_b = (close − lower) / (upper − lower); "
        "bandwidth = (upper − lower) / mean",
        source="Bollinger 2001",
    ),
    FactorSpec(
        name="zscore",
        function=zscore,
        inputs=("close",),
        parameters=(_bars(60),),
        lookback=_window,
        formula="(close_t − mean) / s over close_t−L+1 … close_t (divisor L − 1)",
        source="Avellaneda and Lee 2010",
    ),
    FactorSpec(
        name="volatility",
        function=volatility,
        inputs=("close",),
        parameters=(_bars(60),),
        lookback=_whole,
        formula="s of the last L log returns (divisor L − 1), per bar",
        source="Hull, Options, Futures and Other Derivatives, ch. 15.4",
    ),
    FactorSpec(
        name="volume_ratio",
        function=volume_ratio,
        inputs=("volume",),
        parameters=(_bars(20, 1),),
        lookback=_whole,
        formula="volume_t / mean(volume_t−L … volume_t−1)",
        source="Karpoff 1987 for volume beside its usual level",
    ),
    FactorSpec(
        name="donchian",
        function=donchian,
        inputs=("high", "low", "close"),
        parameters=(_bars(20),),
        lookback=_window,
        formula="(close_t − lowest low) / (highest high − lowest low) over the last L bars",
        source="Donchian's channel; Williams 1973 for the position in it",
    ),
)

FACTORS = {spec.name: spec for spec in _SPECS}
"""The factors of one symbol; `cross_sectional_rank` ranks any of them."""

FACTOR_NAMES = (*FACTORS, CROSS_SECTIONAL_RANK)
"""Every name that `compute_factor` takes."""


def factor_spec(name: str) -> FactorSpec:
    """Return the factor of that name.

    Raises
    ------
    InputError
        Where there is none; the message lists the names and the nearest one.
    """
    if name in FACTORS:
        return FACTORS[name]
    raise InputError(
        f"There is no factor {name!r}; known are {', '.join(FACTOR_NAMES)}.{suggestion(str(name), FACTOR_NAMES)}"
    )
