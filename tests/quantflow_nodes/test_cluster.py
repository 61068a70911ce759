"""A graph gives the same on a Dask cluster as in threads: its nodes and what flows between them can be sent."""

from pathlib import Path

import pytest
from market import graph_text, write_walk

from quantflow_nodes.commands.run import executor_of
from quantflow_nodes.graph import parse_graph
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.workflow import run_graph
from schemas.collections import Store
from schemas.errors import InputError
from schemas.settings import Settings


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


def test_a_scheduler_that_does_not_answer_is_a_sentence() -> None:
    """Nobody listens on port 1."""
    nowhere = "tcp://127.0.0.1:1"
    with pytest.raises(InputError, match=f"No Dask scheduler answers at {nowhere}"), executor_of(nowhere, 1.0):
        pass
