"""Graphs and sweeps give the same on a Dask cluster of two processes as in threads: what they need can be sent."""

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any

import distributed
import psutil
import pytest
from market import graph_text, write_walk
from pydantic import SecretStr
from swept import same, same_splits, swept, walk_graph

from quantflow_nodes.commands.run import executor_of
from quantflow_nodes.dask_cluster import Cluster
from quantflow_nodes.graph import parse_graph
from quantflow_nodes.node import RunContext
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.sweep.evaluation import SweepSpec, Task, evaluate
from quantflow_nodes.sweep.workers import results_of
from quantflow_nodes.workflow import run_graph
from schemas.collections import SWEEP_RESULTS, Store
from schemas.errors import InputError, QuantFlowError, StoreError, StoreUnreachableError
from schemas.settings import Settings

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    workers = int(sys.argv[1])
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
PAGE = Path(__file__).parents[2] / "docs" / "sweeps.md"
MOST_BYTES_A_TASK, MOST_BYTES_A_RESULT = 16_384, 65_536
A_BAR_OF_FLOATS = 8 * 5


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A Dask scheduler with worker processes: its address, and the scheduler's process."""
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, script, str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip(), process
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes."""
    with dask(tmp_path_factory.mktemp("cluster"), 2) as (address, _):
        yield address


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_a_cluster_gives_what_threads_give(scheduler: str, settings: Settings, db: Store) -> None:
    """The same trades, and no signal is written a second time."""
    write_walk(db, 1440)
    plan = plan_graph(parse_graph(graph_text(days=1), "g.yaml", Path()))
    here = run_graph(plan, settings).as_dict()["nodes"]
    with executor_of(scheduler) as executor:
        there = run_graph(plan, settings, executor=executor).as_dict()["nodes"]
    assert there["backtest"]["summary"] == here["backtest"]["summary"]
    assert there["export"]["summary"]["unchanged"] == here["export"]["summary"]["inserted"] > 5


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
def test_a_sweep_on_a_cluster_gives_what_threads_give(scheduler: str, settings: Settings, db: Store) -> None:
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


def test_a_scheduler_that_does_not_answer_is_a_sentence() -> None:
    """Nobody listens on port 1."""
    nowhere = "tcp://127.0.0.1:1"
    with pytest.raises(InputError, match=f"No Dask scheduler answers at {nowhere}"), executor_of(nowhere, 1.0):
        pass


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_a_scheduler_that_is_killed_is_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """While tasks wait; what Dask logs of each of them is not shown."""
    tasks: list[Any] = [0.0] * 3
    with dask(tmp_path, 0) as (address, process), executor_of(address) as executor:
        assert executor is not None
        killing = Timer(0.5, process.kill)
        killing.start()
        with pytest.raises(QuantFlowError, match=f"The Dask scheduler at {address} is gone. What was stored is kept"):
            list(results_of(executor, time.sleep, tasks))
        killing.join()
    assert "Traceback" not in capfd.readouterr().err


def page_lines() -> list[list[str]]:
    """The commands of docs/sweeps.md that start a scheduler and a worker, at a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    lines = [line.replace("8786", port) for line in PAGE.read_text().splitlines() if line.startswith("dask ")]
    return [[str(Path(sys.executable).with_name("dask")), *line.split()[1:]] for line in lines]


@contextmanager
def started(command: list[str]) -> Iterator[psutil.Process]:
    """A program that is ended after the block."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def listens_at(process: psutil.Process) -> set[str]:
    """The addresses at which a program and those that it started listen."""
    processes = [process, *process.children(recursive=True)]
    opened = [one for each in processes for one in each.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return {str(one.laddr.ip) for one in opened}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_the_pages_cluster_is_told_to_have_no_worker_until_it_has_one() -> None:
    """Once; tasks run when a worker comes, and nobody on another machine reaches either program."""
    scheduler_line, worker_line = page_lines()
    address, told = worker_line[2], list[str]()
    with (
        started(scheduler_line) as scheduler,
        distributed.Client(address, timeout=60) as client,  # type: ignore[no-untyped-call]
        Cluster(client, address, told.append, patience_s=0.1) as cluster,
    ):
        waiting = cluster.submit(abs, -3)
        while not told:
            time.sleep(0.01)
        time.sleep(0.5)
        with started(worker_line) as worker:
            assert waiting.result(60) == 3
            assert listens_at(scheduler) == listens_at(worker) == {"127.0.0.1"}
    assert told == [f"No worker is connected to {address}; waiting. Start one with: dask worker {address}"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_what_one_worker_can_not_read_another_one_reads(scheduler: str) -> None:
    """Who can not is told of once; it is given no more tasks."""
    told: list[str] = []
    with (
        distributed.Client(scheduler) as client,  # type: ignore[no-untyped-call]
        Cluster(client, scheduler, told.append) as cluster,
    ):
        lost, fine = sorted(client.nthreads())

        def read(number: int) -> tuple[int, str]:
            time.sleep(0.2)  # so that both workers are given some
            worker = str(distributed.get_worker().address)
            if worker == lost:
                raise StoreUnreachableError("MongoDB at mongodb://db:27017/ did not answer: no route.", "Start it.")
            return number, worker

        found = [one.result(60) for one in [cluster.submit(read, number) for number in range(8)]]
    assert found == [(number, fine) for number in range(8)]
    (line,) = told
    said = f"The Dask worker {lost} can not reach the MongoDB of this command: MongoDB at mongodb://db:27017/ did not"
    assert line.startswith(said)
    assert "Start it" not in line


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the client's sockets close after its `with` block
def test_a_worker_without_mongodb_is_named(scheduler: str, tmp_path: Path) -> None:
    """With the address that it can not reach, and no password, where no worker reaches it; nobody listens on port 1."""
    uri = SecretStr("mongodb://research:hunter2222@127.0.0.1:1/")
    settings = Settings(mongo_uri=uri, mongo_timeout_s=0.1, home=tmp_path)
    context = RunContext(settings, "run", "walk", "", datetime(2022, 1, 1, tzinfo=UTC))
    spec = SweepSpec("key", walk_graph(), (("momentum", "lookback_bars"),), "backtest", context, {})
    with executor_of(scheduler) as executor:
        assert executor is not None
        results = results_of(executor, evaluate, [Task(spec, None, ((20,),))])
        with pytest.raises(StoreError) as ended:
            next(results)
    said = str(ended.value)
    assert said.startswith("The Dask worker tcp://127.0.0.1:")
    assert "MongoDB at mongodb://***@127.0.0.1:1/ did not answer" in said
    assert "hunter2222" not in said
