"""Nodes that look at the record of their own run while it goes on."""

import os
import signal
import time

from own_nodes import Number, Pair

from quantflow_nodes.node import Node, Params, RunContext
from schemas.collections import WORKFLOW_RUNS

PATIENCE_S = 30.0


def wait_until_recorded(context: RunContext, node: str) -> None:
    """Wait until the record says that a node has succeeded."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        run = context.db[WORKFLOW_RUNS].find_one({"run_id": context.run_id})
        if run is not None and run["nodes"][node]["state"] == "succeeded":
            return
    raise TimeoutError(f"{node} is not recorded as succeeded after {PATIENCE_S} s.")


class SeesTop(Node[Params, Pair, Number]):
    """Ends when the record says that the node top has ended."""

    type_name = "sees_top"

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        wait_until_recorded(context, "top")
        return Number(number=inputs.left)


class Killed(Node[Params, Pair, Number]):
    """Kills its process when the record says that the node top has ended."""

    type_name = "killed"

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        wait_until_recorded(context, "top")
        os.kill(os.getpid(), signal.SIGKILL)
        return Number(number=inputs.left)
