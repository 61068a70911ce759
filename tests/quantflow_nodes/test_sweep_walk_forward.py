"""A walk-forward chooses by what was known, and trades it on what came after."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from market import START, write_walk
from pymongo import UpdateOne
from swept import PEEK, same_splits, swept, walk_graph

from research.metrics import YEAR_SECONDS
from schemas.collections import MINUTE_BARS, Store
from schemas.errors import InputError, QuantFlowError
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
GRID = ["momentum.lookback_bars=20,60,120", "position.enter_above=0,0.002"]


def test_the_best_of_each_train_is_traded_in_its_test(walk: Store, walk_settings: Settings) -> None:
    """Each window by itself is what a sweep of a graph over those bars and those before them would show as best."""
    outcome = swept(walk_settings, GRID, walk_forward="12h:6h")
    assert len(outcome.splits) == 6
    for one in outcome.splits:
        assert one.train is not None
        assert one.chosen is not None
        stored = walk["sweep_results"].find({"sweep_id": outcome.sweep_id, "split": str(one.split.train)})
        sharpes = [result["figures"]["sharpe"] for result in stored]
        assert len(sharpes) == 6
        assert one.train["sharpe"] == max(sharpes)


def test_the_first_train_is_a_backtest_of_its_bars(walk: Store, walk_settings: Settings) -> None:
    """It begins with the first bar, so a graph that ends where it ends gives the same figures."""
    outcome = swept(walk_settings, GRID, walk_forward="12h:6h")
    ended = walk_graph(**{"end: 2022-01-03": "end: '2022-01-01T12:00'"})
    alone = swept(walk_settings, GRID, ended).best(1).iloc[0]
    train = outcome.splits[0].train
    assert train is not None
    assert train["sharpe"] == pytest.approx(alone["sharpe"], rel=1e-9)
    assert outcome.splits[0].deflated == pytest.approx(alone["deflated_sharpe"], rel=1e-9)


def test_the_future_changes_no_choice(settings: Settings, db: Store) -> None:
    """Other bars after the fourth split's train: the first four choices and three tests stay."""
    write_walk(db, 2880)
    before = swept(settings, GRID, walk_forward="12h:6h")
    cut = before.splits[3].split.train.end
    changes = []
    for bar in db[MINUTE_BARS].find({"datetime": {"$gte": cut}}):
        prices = {name: bar[name] * (2 + np.sin(bar["datetime"].minute)) for name in ("open", "close")}
        high, low = max(prices.values()), min(prices.values())
        changes.append(UpdateOne({"_id": bar["_id"]}, {"$set": {**prices, "high": high, "low": low}}))
    db[MINUTE_BARS].bulk_write(changes)
    after = swept(settings, GRID, walk_forward="12h:6h")
    same_splits(after.splits[:3], before.splits[:3])
    same_splits([replace(after.splits[3], test=None)], [replace(before.splits[3], test=None)])
    assert after.splits[3].test != before.splits[3].test


@pytest.mark.parametrize("plain", [False, True])
def test_a_node_that_looks_ahead_sees_no_further_than_its_window(settings: Settings, db: Store, *, plain: bool) -> None:
    """Bars after a window are not there, not even for a node that peeks: the choice does not know what they hold."""
    write_walk(db, 1440)
    grid = ["momentum.ahead_bars=1,30,90"]
    before = swept(settings, grid, walk_graph(**PEEK), walk_forward="6h:2h", plain=plain)
    cut = before.splits[5].split.train.end
    db[MINUTE_BARS].delete_many({"datetime": {"$gte": cut + timedelta(hours=2)}})
    after = swept(settings, grid, walk_graph(**PEEK), walk_forward="6h:2h", plain=plain)
    assert len(after.splits) == 6
    same_splits(after.splits, before.splits[:6])


def test_a_look_back_reaches_before_its_window(walk: Store, walk_settings: Settings) -> None:
    """120 bars are known at the first bar of a test of 60: it trades, which it could not by its own bars alone."""
    outcome = swept(walk_settings, ["momentum.lookback_bars=120"], walk_forward="12h:1h")
    assert sum(one.test["trades"] for one in outcome.splits if one.test is not None) > 10


def test_tests_are_stitched_to_one_curve(walk: Store, walk_settings: Settings) -> None:
    """Growth multiplies, times increase, and the figures are those of the curve."""
    outcome = swept(walk_settings, GRID, walk_forward="12h:6h")
    stitched = outcome.stitched
    assert stitched is not None
    growth = np.prod([1 + one.test["total_return"] for one in outcome.splits if one.test is not None])
    equity = stitched.equity.to_numpy()
    assert stitched.figures.total_return == pytest.approx(growth - 1, rel=1e-12)
    assert equity[0] == 10_000
    assert stitched.equity.index.is_monotonic_increasing
    assert len(equity) == 6 * 360
    assert stitched.equity.index[0] == START + timedelta(hours=12)
    returns = equity[1:] / equity[:-1] - 1
    annual = returns.mean() / returns.std(ddof=1) * np.sqrt(YEAR_SECONDS / 60)
    assert stitched.figures.sharpe == pytest.approx(annual, rel=1e-9)
    assert stitched.trades == sum(one.test["trades"] for one in outcome.splits if one.test is not None)


def test_anchored_trains_grow(walk: Store, walk_settings: Settings) -> None:
    """All begin with the first bar; the last one holds all but its test."""
    outcome = swept(walk_settings, GRID[:1], walk_forward="12h:6h", anchored=True)
    assert {one.split.train.start for one in outcome.splits} == {START}
    last = outcome.splits[-1]
    assert last.train is not None
    assert last.train["returns"] == 2880 - 360 - 1


def test_windows_are_computed_once(walk: Store, walk_settings: Settings) -> None:
    """Again: nothing but the curves of the tests; another step finds the windows that it shares."""
    first = swept(walk_settings, GRID, walk_forward="12h:6h")
    again = swept(walk_settings, GRID, walk_forward="12h:6h")
    assert (first.computed, again.computed) == (7 * 6, 0)
    same_splits(again.splits, first.splits)
    assert swept(walk_settings, GRID, walk_forward="12h:6h:12h").computed == 0


def test_a_split_in_which_nothing_can_be_chosen_is_told(walk: Store, walk_settings: Settings) -> None:
    """The look-back is longer than the first trains: no set, no test, no zero."""
    outcome = swept(walk_settings, ["momentum.lookback_bars=730"], walk_forward="6h:6h")
    chosen = [one for one in outcome.splits if one.chosen is not None]
    assert [one.test for one in outcome.splits[:2]] == [None, None]
    assert outcome.chosen_text(outcome.splits[0]) == "none"
    assert len(chosen) > 2
    assert outcome.stitched is not None
    assert len(outcome.stitched.equity) == len(chosen) * 360


def test_the_bars_of_a_walk_forward_are_the_same_for_all_sets(walk: Store, walk_settings: Settings) -> None:
    """Its windows are cut out of them."""
    with pytest.raises(InputError, match=r"needs the same bars for all sets.*Take bars.end out of it"):
        swept(walk_settings, ["bars.end=2022-01-02,2022-01-03"], walk_forward="12h:6h")


def test_more_backtests_than_can_be_meant_are_refused(walk: Store, walk_settings: Settings) -> None:
    """2:1 of 2,880 bars are 2,878 splits: 781 sets in those and in all bars, and a test each, 781 * 2,879 + 2,878."""
    grid = ["momentum.lookback_bars=20:800:1"]
    with pytest.raises(InputError, match=r"found 2,878 splits and 2,251,377 backtests: 781 sets .* are bars; 7d:1d"):
        swept(walk_settings, grid, walk_forward="2:1")
    with pytest.raises(InputError, match=r"781 sets in the windows of 2m:1m\. Lengthen its windows"):
        swept(walk_settings, grid, walk_forward="2m:1m")
    assert walk["sweep_results"].count_documents({}) == 0


def test_a_table_without_times_is_refused(walk: Store, walk_settings: Settings) -> None:
    """Nobody can tell which of its rows are known in a window; over all bars it may be used."""
    replaced = {
        "type: factor, params: {name: momentum, lookback_bars: 60}, inputs: {bars: bars.bars}": (
            "type: swept:Scaled, inputs: {bars: bars.bars, table: table.table}"
        ),
        "nodes:\n": "nodes:\n  table: {type: swept:Table}\n",
    }
    grid = ["momentum.ahead_bars=1,5"]
    assert swept(walk_settings, grid, walk_graph(**replaced)).too_few == 0
    with pytest.raises(QuantFlowError, match="table gives its table as a plain table"):
        swept(walk_settings, grid, walk_graph(**replaced), walk_forward="12h:6h")
