"""What a look at a whole column may tell, and when it must not."""

import numpy as np
import pandas as pd
import pytest

from research.whole_columns import is_one_text, long_runs, same_texts, steps_between

NAMES = ["AB", "AB", "C", "DEF"]


def test_columns_of_the_same_texts_are_the_same():
    """Whether they share their memory, were made anew, or are parts of other columns."""
    column = pd.Series(NAMES, dtype="str")
    assert same_texts(column, column)
    assert same_texts(column, pd.Series(NAMES, dtype="str"))
    assert same_texts(column.iloc[1:], column.iloc[1:])


@pytest.mark.parametrize("other", [["AB", "AB", "C", "DEX"], ["ABA", "B", "C", "DEF"], ["AB", "AB", "C", None]])
def test_other_texts_are_not_the_same(other):
    """One other letter, the same letters parted elsewhere, or none."""
    assert not same_texts(pd.Series(NAMES, dtype="str"), pd.Series(other, dtype="str"))


def test_other_kinds_of_columns_are_not_known():
    """Objects and categories are left to a slower look."""
    column = pd.Series(["A", "A"], dtype="str")
    assert is_one_text(column)
    for dtype in ("object", "category"):
        assert not same_texts(column, column.astype(dtype))
        assert not is_one_text(column.astype(dtype))


def test_a_column_in_pieces_is_looked_at_as_a_whole_one():
    """Runs go on from piece to piece, wherever the pieces end; a piece of another text is found."""
    runs = pd.Series(["A"] * 12_000 + ["B"] * 15_000, dtype="str")
    column = pd.concat([runs.iloc[:7_000], runs.iloc[7_000:12_500], runs.iloc[12_500:]], ignore_index=True)
    assert long_runs(column).tolist() == long_runs(runs).tolist() == [0, 12_000]
    assert same_texts(column, runs)
    assert is_one_text(column.iloc[:12_000])
    assert not is_one_text(column)
    assert not same_texts(column, pd.concat([runs.iloc[:26_999], runs.iloc[:1]], ignore_index=True))


def test_a_column_without_a_text_in_some_row_is_not_known():
    """Missing texts are alike, and no symbol."""
    column = pd.Series([None, None], dtype="str")
    assert not is_one_text(column)
    assert not same_texts(column, column)
    assert long_runs(column) is None


@pytest.mark.parametrize("count", [2, 3, 16_384, 16_385, 40_000])
def test_steps_are_found_across_pieces(count):
    """The smallest and largest step, wherever they lie."""
    steps = np.full(count - 1, 5)
    steps[(count - 1) // 2] = 2
    steps[-1] = 9
    values = np.concatenate([[7], 7 + np.cumsum(steps)])
    assert steps_between(values) == (int(np.diff(values).min()), 9)
