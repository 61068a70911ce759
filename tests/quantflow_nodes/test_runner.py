"""Nodes run when their sources have, every run is kept, and a failing node ends the run with its sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.run_record import close_abandoned_runs
from quantflow_nodes.runner import NodeFailedError
from quantflow_nodes.workflow import run_graph
from schemas.collections import SIGNALS, WORKFLOW_RUNS, Store
from schemas.documents import WorkflowRun
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
FOLDER = Path(__file__).parent
DIAMOND = """
name: diamond
nodes:
  top: {type: "own_nodes:One", params: {value: 2}}
  left: {type: "own_nodes:Add", inputs: {left: top.number}}
  right: {type: "own_nodes:Add", inputs: {left: top.number, right: left.number}}
  bottom: {type: "own_nodes:Add", inputs: {left: left.number, right: right.number}}
"""
FAILING = """
name: failing
nodes:
  top: {type: "own_nodes:One"}
  bad: {type: "own_nodes:Broken", inputs: {left: top.number}}
  after: {type: "own_nodes:Add", inputs: {left: bad.number}}
"""


def stored_run(db: Store, run_id: str) -> WorkflowRun:
    document = db[WORKFLOW_RUNS].find_one({"run_id": run_id}, {"_id": 0})
    assert document is not None
    return WorkflowRun.model_validate(document)


def test_outputs_flow_along_the_edges(settings: Settings) -> None:
    """2, 2, 2 + 2 and 2 + 4, by hand."""
    finished = run_graph(plan_graph(parse_graph(DIAMOND, "g", FOLDER)), settings)
    numbers = {name: outputs.number for name, outputs in finished.result.outputs.items()}
    assert numbers == {"top": 2, "left": 2, "right": 4, "bottom": 6}


def test_run_is_kept_with_graph_versions_and_nodes(settings: Settings, db: Store) -> None:
    """What ran can be told afterwards from the database alone."""
    plan = plan_graph(parse_graph(DIAMOND, "g", FOLDER))
    run = stored_run(db, run_graph(plan, settings).result.context.run_id)
    assert (run.name, run.state, run.graph_digest) == ("diamond", "succeeded", plan.graph.digest)
    assert run.graph == plan.graph.as_document()
    assert run.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {name: node.state for name, node in run.nodes.items()} == dict.fromkeys(plan.nodes, "succeeded")
    assert all(node.seconds is not None and node.seconds >= 0 for node in run.nodes.values())
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at


def test_failing_node_ends_the_run_and_skips_what_waits_for_it(settings: Settings, db: Store) -> None:
    """The sentence names the node; the run is kept as failed."""
    with pytest.raises(NodeFailedError, match="bad failed with ZeroDivisionError: division by zero"):
        run_graph(plan_graph(parse_graph(FAILING, "g", FOLDER)), settings)
    (document,) = db[WORKFLOW_RUNS].find({}, {"_id": 0})
    run = WorkflowRun.model_validate(document)
    assert run.state == "failed"
    assert {name: node.state for name, node in run.nodes.items()} == {
        "top": "succeeded",
        "bad": "failed",
        "after": "skipped",
    }
    assert run.nodes["bad"].error == run.error
    assert str(run.error).startswith("bad failed with ZeroDivisionError: division by zero")


def test_a_sentence_of_ours_keeps_its_exit_code(settings: Settings) -> None:
    """A node that refuses its input ends the command as a user's mistake."""
    graph = FAILING.replace("Broken", "Refusing")
    with pytest.raises(NodeFailedError, match=r"^bad: More bars were needed\.$") as error:
        run_graph(plan_graph(parse_graph(graph, "g", FOLDER)), settings)
    assert error.value.exit_code == 2


def test_independent_nodes_run_side_by_side(settings: Settings) -> None:
    """Two nodes that wait for each other's start only end if both run at once."""
    graph = """
name: meet
nodes:
  a: {type: "meeting_nodes:Meet"}
  b: {type: "meeting_nodes:Meet"}
"""
    two = settings.model_copy(update={"workers": 2})
    finished = run_graph(plan_graph(parse_graph(graph, "g", FOLDER)), two)
    assert set(finished.result.outputs) == {"a", "b"}


def test_run_of_a_killed_process_is_marked_interrupted(settings: Settings, db: Store) -> None:
    """After kill -9 nobody writes the end: the next run does."""
    run_id = run_graph(plan_graph(parse_graph(DIAMOND, "g", FOLDER)), settings).result.context.run_id
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    as_killed = {"state": "running", "pid": dead.pid}
    db[WORKFLOW_RUNS].update_one({"run_id": run_id}, {"$set": as_killed})
    assert close_abandoned_runs(db) == 1
    assert stored_run(db, run_id).state == "interrupted"


def test_the_record_is_told_while_the_run_goes_on(settings: Settings, db: Store) -> None:
    """A node that waits for the record of the one before it ends."""
    graph = """
name: watched
nodes:
  top: {type: "own_nodes:One"}
  after: {type: "record_nodes:SeesTop", inputs: {left: top.number}}
"""
    run_id = run_graph(plan_graph(parse_graph(graph, "g", FOLDER)), settings).result.context.run_id
    assert {node.state for node in stored_run(db, run_id).nodes.values()} == {"succeeded"}


KILLED = """
name: killed
nodes:
  top: {type: "own_nodes:One"}
  bad: {type: "record_nodes:Killed", inputs: {left: top.number}}
  after: {type: "own_nodes:Add", inputs: {left: bad.number}}
"""


def test_the_record_of_a_killed_run_says_which_nodes_ended(
    settings: Settings, db: Store, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Killed in its second node: the first has ended, nothing is said of more, and the next run marks it as dead."""
    for name in ("own_nodes.py", "record_nodes.py"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "killed.yaml").write_text(KILLED)
    command = [str(Path(sys.executable).parent / "quantflow"), "run", str(tmp_path / "killed.yaml"), "--no-report"]
    assert subprocess.run(command, env=command_env, capture_output=True).returncode == -signal.SIGKILL
    (document,) = db[WORKFLOW_RUNS].find({}, {"_id": 0})
    run = WorkflowRun.model_validate(document)
    states = {name: node.state for name, node in run.nodes.items()}
    assert run.state == "running"
    assert (states["top"], states["after"]) == ("succeeded", "waiting")
    assert states["bad"] in ("waiting", "running")
    run_graph(plan_graph(parse_graph(DIAMOND, "g", FOLDER)), settings)
    assert stored_run(db, run.run_id).state == "interrupted"


PUBLISHING = """
name: publishing
nodes:
  top: {type: "own_nodes:One"}
  own: {type: "record_nodes:SeesItself", inputs: {left: top.number}}
"""


def test_a_node_that_publishes_starts_when_the_record_says_so(settings: Settings) -> None:
    """It finds itself running in the record without waiting for the next write."""
    finished = run_graph(plan_graph(parse_graph(PUBLISHING, "g", FOLDER)), settings)
    assert finished.result.outputs["own"].number == 1


KILLED_EXPORT = """
name: killed
nodes:
  long: {type: "record_nodes:Long"}
  publish: {type: "record_nodes:KilledExport", params: {strategy_id: s}, inputs: {position: long.position}}
"""


def test_signals_of_a_killed_run_stand_beside_a_record_that_it_began(
    db: Store, command_env: dict[str, str], tmp_path: Path
) -> None:
    """kill -9 right after publishing: who looks up the signal's run finds the export running, not waiting."""
    for name in ("own_nodes.py", "record_nodes.py"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "killed.yaml").write_text(KILLED_EXPORT)
    command = [str(Path(sys.executable).parent / "quantflow"), "run", str(tmp_path / "killed.yaml"), "--no-report"]
    assert subprocess.run(command, env=command_env, capture_output=True).returncode == -signal.SIGKILL
    (published,) = db[SIGNALS].find()
    states = {name: node.state for name, node in stored_run(db, published["run_id"]).nodes.items()}
    assert states == {"long": "succeeded", "publish": "running"}


def test_threads_share_a_wide_graph(settings: Settings) -> None:
    """A hundred nodes after one, by more threads than processors: each runs once, with its own number."""
    add = '  n{}: {{type: "own_nodes:Add", inputs: {{left: top.number, right: n{}.number}}}}'
    lines = [add.format(i, i // 2) for i in range(2, 100)]
    first = ['  top: {type: "own_nodes:One"}', '  n1: {type: "own_nodes:Add", inputs: {left: top.number}}']
    plan = plan_graph(parse_graph("\n".join(["name: wide", "nodes:", *first, *lines]), "g", FOLDER))
    seen: list[tuple[str, str]] = []
    eight = settings.model_copy(update={"workers": 8})
    finished = run_graph(plan, eight, lambda node, state, _seconds: seen.append((node, state)))
    depths = {f"n{i}": i.bit_length() for i in range(1, 100)}  # each is one more than the node of half its number
    assert {name: finished.result.outputs[name].number for name in depths} == depths
    assert sorted(seen) == sorted((name, state) for name in plan.nodes for state in ("running", "succeeded"))
    assert all(seen.index((node, "running")) < seen.index((node, "succeeded")) for node in plan.nodes)


def test_run_of_a_living_process_is_left_alone(settings: Settings, db: Store) -> None:
    """Two commands at once do not end each other's runs."""
    run_id = run_graph(plan_graph(parse_graph(DIAMOND, "g", FOLDER)), settings).result.context.run_id
    db[WORKFLOW_RUNS].update_one({"run_id": run_id}, {"$set": {"state": "running", "pid": os.getpid()}})
    assert close_abandoned_runs(db) == 0
    assert stored_run(db, run_id).state == "running"
