"""Workers bring what was computed to whoever stores it, also where a task beside it failed, and end with the sweep."""

import multiprocessing
import os
import time
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from swept import walk_graph

from quantflow_nodes.node import RunContext
from quantflow_nodes.sweep.evaluation import SweepSpec, Task
from quantflow_nodes.sweep.workers import local_pool, results_of
from schemas.errors import QuantFlowError
from schemas.settings import Settings


class AtOnce(Executor):
    """Has run a task when it is given one."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments, **named))
        except QuantFlowError as error:
            done.set_exception(error)
        return done


def test_results_come_before_a_failure(tmp_path: Path) -> None:
    """Thirty tasks have ended when they are looked at, one of them badly: the others are given first."""
    context = RunContext(Settings(home=tmp_path), "run", "walk", "", datetime(2022, 1, 1, tzinfo=UTC))
    spec = SweepSpec("key", walk_graph(), (("momentum", "lookback_bars"),), "backtest", context, {})

    def work(task: Task) -> int:
        if task.sets[0][0] == 3:
            raise QuantFlowError("The third is bad.")
        return int(task.sets[0][0])

    tasks = [Task(spec, None, ((number,),)) for number in range(30)]
    found: list[int] = []
    with pytest.raises(QuantFlowError, match="The third is bad"):
        found.extend(one for _, one in results_of(AtOnce(), work, tasks))
    assert sorted(found) == [number for number in range(30) if number != 3]


def test_a_failure_ends_no_process_of_others(tmp_path: Path) -> None:
    """Whoever runs a sweep from Python may have processes of their own: one that waits ends by itself."""
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=theirs.recv)
    other.start()
    pids = list[int]()

    def fail() -> None:
        with local_pool(2, Settings(home=tmp_path), threads=False) as pool:
            pids.append(pool.submit(os.getpid).result())
            pool.submit(time.sleep, 60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pids[0]).wait(30)
    ours.send("end")
    other.join(30)
    assert other.exitcode == 0
