"""A sweep on a Dask cluster of two processes gives what threads give; no bars travel to it."""

import pickle
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from market import write_walk
from swept import same, same_splits, swept

from quantflow_nodes.commands.run import executor_of
from schemas.collections import SWEEP_RESULTS, Store
from schemas.settings import Settings

MOST_BYTES_A_TASK, MOST_BYTES_A_RESULT = 16_384, 65_536
A_BAR_OF_FLOATS = 8 * 5


class Weighed(Executor):
    """Sends tasks on and notes how large they and their results are, and how many threads each may use."""

    def __init__(self, inner: Executor) -> None:
        self._inner, self.tasks, self.results = inner, list[int](), list[Future[Any]]()
        self.threads: set[int | None] = set()

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.threads |= {task.spec.context.threads for task in arguments}
        self.tasks.append(len(pickle.dumps((work, arguments, named))))
        self.results.append(self._inner.submit(work, *arguments, **named))
        return self.results[-1]


def keys(db: Store) -> list[Any]:
    """What is stored: which set, in which window."""
    order = [("split", 1), ("set_id", 1)]
    return list(db[SWEEP_RESULTS].find({}, {"_id": 0, "split": 1, "set_id": 1, "params": 1}).sort(order))


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_a_cluster_gives_what_threads_give(scheduler: str, settings: Settings, db: Store) -> None:
    """Every figure of every set and split; tasks and results are far smaller than the bars."""
    write_walk(db, 2880)
    grid = ["momentum.lookback_bars=20,60", "position.enter_above=0:0.002:0.001"]
    here = swept(settings, grid, walk_forward="24h:6h")
    stored = keys(db)
    with executor_of(scheduler) as executor:
        assert executor is not None
        weighed = Weighed(executor)
        there = swept(settings, grid, walk_forward="24h:6h", cluster=weighed, fresh=True)
    same(there.table, here.table)
    same_splits(there.splits, here.splits)
    assert there.stitched is not None
    assert here.stitched is not None
    assert there.stitched.equity.to_numpy() == pytest.approx(here.stitched.equity.to_numpy(), rel=1e-9)
    assert keys(db) == stored
    assert weighed.threads == {1}
    assert len(weighed.tasks) >= len(here.splits)
    assert max(weighed.tasks) < MOST_BYTES_A_TASK < 2880 * A_BAR_OF_FLOATS
    assert max(len(pickle.dumps(result.result())) for result in weighed.results) < MOST_BYTES_A_RESULT
