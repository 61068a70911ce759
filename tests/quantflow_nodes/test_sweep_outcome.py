"""What a sweep says of its sets is true: of none, of one, of many, and of sets that fees ruin."""

import pytest
from swept import swept

from schemas.collections import Store
from schemas.settings import Settings

pytestmark = pytest.mark.mongo


def test_no_trade_is_no_ratio(walk: Store, walk_settings: Settings) -> None:
    """The entry lies above all that the factor reaches."""
    outcome = swept(walk_settings, ["position.enter_above=9,10"])
    assert outcome.verdict() == "No set traded, so none has a Sharpe ratio."


def test_of_one_set_nothing_is_taken_off(walk: Store, walk_settings: Settings) -> None:
    """Nothing is claimed of how it was found."""
    said = swept(walk_settings, ["position.enter_above=0,9"]).verdict()
    assert said.startswith("One set has a Sharpe ratio, so nothing is taken off.")
    assert "Sets of other sweeps are not counted." in said


def test_sets_that_fees_ruin_raise_the_bar_and_it_is_said(walk: Store, walk_settings: Settings) -> None:
    """Of equal costs no word; with fees of ten bps beside none, both bars are told."""
    alike = swept(walk_settings, ["momentum.lookback_bars=200,300,400", "backtest.fee_bps=0"])
    assert "by far more than luck" not in alike.verdict()
    ruined = swept(walk_settings, ["momentum.lookback_bars=5,200,300,400", "backtest.fee_bps=0,30"])
    assert ruined.expected_maximum_sharpe > 2 * ruined.luck_maximum_sharpe
    said = ruined.verdict()
    assert "The sets differ by far more than luck makes them" in said
    assert f"{ruined.expected_maximum_sharpe:.2f}" in said
    assert f"by luck alone the best would show about {ruined.luck_maximum_sharpe:.2f}" in said
