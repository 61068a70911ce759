"""Which of many sets is better: ruin is never ranked first, and doing nothing is no rank."""

import math

import pytest

from quantflow_nodes.sweep.figures import FIGURES, METRICS, Figures, best_of, columns_of, rank_values


def figures(**known: float) -> Figures:
    """The figures of a set that traded; what is not named is 0.1."""
    return {**dict.fromkeys(FIGURES, 0.1), "trades": 5, **known}


def places(metric: str, sets: list[Figures]) -> list[int]:
    """The sets that are ranked, best first."""
    ranks = rank_values(metric, columns_of(sets)).tolist()
    return sorted((at for at, rank in enumerate(ranks) if not math.isnan(rank)), key=lambda at: -ranks[at])


def test_calmar_never_ranks_ruin_first() -> None:
    """Losses of 10 % and 90 % a year with calmar -2 and -1, a gain of 1 %: gain, small loss, ruin."""
    ruin, small = figures(cagr=-0.9, calmar=-1.0), figures(cagr=-0.1, calmar=-2.0)
    gain = figures(cagr=0.01, calmar=0.05)
    assert places("calmar", [ruin, small, gain]) == [2, 1, 0]
    assert best_of("calmar", [ruin, small]) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_a_set_that_never_traded_has_no_rank(metric: str) -> None:
    """Its return of 0 is better than a loss and its drawdown of 0 than any, but it did nothing."""
    idle, lost = figures(**dict.fromkeys(METRICS, 0.0), trades=0), figures(**dict.fromkeys(METRICS, -0.5))
    assert places(metric, [idle, lost, {}]) == [1]
    assert best_of(metric, [idle, {}]) is None


def test_less_is_better_of_a_drawdown() -> None:
    """The first of equals is best."""
    assert best_of("max_drawdown", [figures(max_drawdown=value) for value in (0.3, 0.1, 0.1)]) == 1
