"""One run of a graph from end to end: a connection, a record, the nodes, and what is worth showing afterwards."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from quantflow_nodes.node import RunContext
from quantflow_nodes.plan import Plan
from quantflow_nodes.run_record import RunRecord
from quantflow_nodes.runner import Observer, RunResult, run_plan
from schemas.mongo import open_database, serve, server_time
from schemas.run_id import new_run_id
from schemas.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that succeeded, and the files that it left."""

    result: RunResult
    reports: list[Path]

    def as_dict(self) -> dict[str, Any]:
        """Return the run as plain JSON values."""
        plan, result = self.result.plan, self.result
        nodes = {
            name: {
                "type": node.type,
                "seconds": round(result.seconds[name], 6),
                "summary": node.node.summary(node.params, result.outputs[name]),
            }
            for name, node in plan.nodes.items()
        }
        return {
            "run_id": result.context.run_id,
            "name": plan.graph.name,
            "nodes": nodes,
            "reports": [str(path) for path in self.reports],
        }


def run_graph(
    plan: Plan,
    settings: Settings,
    observe: Observer = lambda _node, _state, _seconds: None,
    executor: Executor | None = None,
    report_folder: Path | None = None,
) -> Finished:
    """Run a checked graph and return what it gave.

    Parameters
    ----------
    plan : Plan
        From `quantflow_nodes.plan.plan_graph`.
    settings : Settings
        Where the bars and signals lie.
    observe : callable, optional
        Called with node, state and seconds at each change.
    executor : concurrent.futures.Executor, optional
        Where nodes run; by default threads of this process.
    report_folder : Path, optional
        Folder in which nodes' HTML reports are written; without it none are.

    Raises
    ------
    QuantFlowError
        Where the store can not be used or a node fails.
    """
    with serve(settings) as served, open_database(served) as db:
        context = RunContext(served, new_run_id(), plan.graph.name, "", server_time(db))
        record = RunRecord(db, plan, context)
        log.info("run_started", graph=plan.graph.name, run_id=context.run_id, nodes=len(plan.nodes))
        result = run_plan(plan, context, record, executor, observe)
        log.info("run_succeeded", graph=plan.graph.name, run_id=context.run_id, seconds=sum(result.seconds.values()))
    return Finished(result, write_reports(result, report_folder) if report_folder else [])


def write_reports(result: RunResult, folder: Path) -> list[Path]:
    """Write the page of each node that has one: `report.html`, or `report-NODE.html` where several have."""
    pages = {}
    for name, node in result.plan.nodes.items():
        page = node.node.report(node.params, result.outputs[name], replace(result.context, node=name))
        if page is not None:
            pages[name] = page
    written = []
    for name, page in pages.items():
        path = folder / ("report.html" if len(pages) == 1 else f"report-{name}.html")
        path.write_text(page, encoding="utf-8")
        written.append(path)
    return written
