"""Nodes that only end if two of them run at the same time."""

import threading

from own_nodes import Nothing, Number

from quantflow_nodes.node import Node, Params, RunContext

BARRIER = threading.Barrier(2, timeout=30)


class Meet(Node[Params, Nothing, Number]):
    """Waits for the other one."""

    type_name = "meet"

    def run(self, params: Params, inputs: Nothing, context: RunContext) -> Number:
        return Number(number=BARRIER.wait())
