"""What sets share is made once, and kept within a bound."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from quantflow_nodes.ports import Factor
from quantflow_nodes.sweep.memo import Memo, size_of
from schemas.timeframes import Timeframe


def factor(rows: int) -> Factor:
    """A factor of some rows."""
    times = pd.date_range("2022-01-01", periods=rows, freq="min", tz="UTC")
    return Factor(pd.DataFrame({"symbol": "A", "datetime": times, "factor": 0.0}), Timeframe.parse("1m"))


def test_threads_share_what_they_compute() -> None:
    """Many ask for one value at once: it is made once, and again where that failed."""
    memo, made = Memo(0), list[int]()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: memo.get("key", lambda: made.append(1) or len(made)), range(64)))
    assert found == [1] * 64
    with pytest.raises(ZeroDivisionError):
        memo.get("bad", lambda: 1 // 0)
    assert memo.get("bad", lambda: 2) == 2


def test_what_is_shared_is_bounded() -> None:
    """With room for two frames the one that is least used goes; the newest stays, however large."""
    memo, made = Memo(2 * size_of(factor(100))), list[str]()

    def get(key: str, rows: int = 100) -> None:
        memo.get(key, lambda: made.append(key) or factor(rows))

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)
    assert made == ["a", "b", "c", "b"]
    get("large", 1_000)
    get("large", 1_000)
    get("b")
    assert made[4:] == ["large", "b"]
