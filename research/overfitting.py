"""Judges a Sharpe ratio by how many were tried before it: probabilistic and deflated Sharpe ratio."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from research.bars import Floats

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329
_FAR_ABOVE_LUCK = 2.0


@dataclass(frozen=True, slots=True)
class ReturnShape:
    """How many returns an equity curve has, and the shape of their distribution.

    `skewness` is m3 / m2^1.5 and `kurtosis` m4 / m2² (3 for a normal distribution), with m_k the mean of
    (r − mean(r))^k. Both are NaN where the returns do not vary.
    """

    returns: int
    skewness: float
    kurtosis: float


@dataclass(frozen=True, slots=True)
class Deflation:
    """The Sharpe ratios of many trials, judged as the best of so many.

    Attributes
    ----------
    trials : int
        How many trials have a Sharpe ratio. It is counted as so many independent ones.
    variance : float
        Variance across the trials' Sharpe ratios, per bar. NaN below two trials.
    expected_maximum : float
        The Sharpe ratio per bar that the best of them would show if all were worth nothing and differed so.
    luck_maximum : float
        The same where the trials differ by no more than luck makes them: a worthless trial's Sharpe ratio scatters by
        1 / √(T − 1) around 0, with T returns, however they are distributed.
    deflated : array
        Each trial's deflated Sharpe ratio: the probability, 0 to 1, that its true Sharpe ratio is above 0 by more than
        the choice of the best explains. NaN where the Sharpe ratio is.
    """

    trials: int
    variance: float
    expected_maximum: float
    luck_maximum: float
    deflated: Floats

    @property
    def differs_by_more_than_luck(self) -> bool:
        """Whether the trials' Sharpe ratios differ by more than twice as much as those of worthless trials would."""
        return self.expected_maximum > _FAR_ABOVE_LUCK * self.luck_maximum


def return_shape(equity: Floats) -> ReturnShape:
    """Return the shape of the returns E_i / E_i-1 − 1 of an equity curve of positive values, one a bar."""
    if len(equity) < 3:
        return ReturnShape(max(len(equity) - 1, 0), math.nan, math.nan)
    away = equity[1:] / equity[:-1]
    away -= 1.0
    away -= away.mean()
    square = away * away
    away *= square
    cubes, squares = float(away.sum()), float(square.sum())
    square *= square
    return ReturnShape(len(away), *shape_of(squares, cubes, float(square.sum()), len(away)))


def shape_of(squares: float, cubes: float, fourths: float, returns: int) -> tuple[float, float]:
    """Return skewness and kurtosis from the sums of (r − mean)², (r − mean)³ and (r − mean)⁴."""
    if returns < 2 or squares == 0.0:
        return math.nan, math.nan
    variance = squares / returns
    return cubes / returns / variance**1.5, fourths / returns / variance**2


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of some trials shows on average though none is worth anything.

    Parameters
    ----------
    trials : int
        Independent trials, N. Sets of neighbouring parameters trade alike, so N sets are fewer independent trials, and
        the result is then too high: it errs on the strict side.
    variance : float
        Variance across the trials' Sharpe ratios, in the unit of the result: per bar here.

    Notes
    -----
    √V × ((1 − γ) Z⁻¹(1 − 1/N) + γ Z⁻¹(1 − 1/(N e))), γ the Euler-Mascheroni constant and Z the normal distribution:
    Bailey and López de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management 40 (5). 0 for one
    trial: it is the best of itself.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - _EULER_MASCHERONI) * first + _EULER_MASCHERONI * second)


def probabilistic_sharpe(sharpe: float, benchmark: float, returns: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio lies above a benchmark.

    Parameters
    ----------
    sharpe, benchmark : float
        Observed ratio and the one to beat, both per bar, not annualised.
    returns : int
        Number of returns, T.
    skewness, kurtosis : float
        Of the returns; a normal distribution has 0 and 3.

    Returns
    -------
    float
        In [0, 1]; NaN where an argument is, or below two returns.

    Notes
    -----
    Z((SR − SR*) √(T − 1) / √(1 − skewness × SR + (kurtosis − 1) / 4 × SR²)): Bailey and López de Prado (2012), The
    Sharpe Ratio Efficient Frontier, Journal of Risk 15 (2). It takes returns as independent of each other.
    """
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if returns < 2 or not spread > 0:  # false for NaN too
        return math.nan
    score = (sharpe - benchmark) * math.sqrt(returns - 1) / math.sqrt(spread)
    return math.nan if math.isnan(score) else _NORMAL.cdf(score)


def deflate_sharpes(sharpe: Floats, returns: Floats, skewness: Floats, kurtosis: Floats) -> Deflation:
    """Return each trial's deflated Sharpe ratio: its probabilistic one against the expected maximum of all trials.

    Parameters
    ----------
    sharpe : array
        Per bar, one a trial; NaN is a trial without one, which does not count.
    returns, skewness, kurtosis : array
        Number of returns, and their shape, of each trial.

    Notes
    -----
    Bailey and López de Prado (2014), as `expected_maximum_sharpe`. The variance is the sample's (N − 1). That of luck
    is the mean of 1 / (T − 1): the square of the error that `probabilistic_sharpe` has at a ratio of 0.
    """
    is_known = ~np.isnan(sharpe)
    known = sharpe[is_known]
    variance = float(known.var(ddof=1)) if len(known) > 1 else math.nan
    bar = expected_maximum_sharpe(len(known), variance)
    by_luck = float(np.mean(1.0 / (returns[is_known] - 1.0))) if len(known) else math.nan
    trials = zip(sharpe.tolist(), returns.tolist(), skewness.tolist(), kurtosis.tolist(), strict=True)
    deflated = [probabilistic_sharpe(each, bar, count, skew, kurt) for each, count, skew, kurt in trials]
    luck = expected_maximum_sharpe(len(known), by_luck)
    return Deflation(len(known), variance, bar, luck, np.array(deflated, dtype=np.float64))
