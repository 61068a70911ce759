"""Nodes that look at the record of their own run while it goes on."""

import os
import signal
import time
from datetime import UTC, datetime

import pandas as pd
from own_nodes import Nothing, Number, Pair

from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.nodes.export_signals import (
    ExportSignals,
    ExportSignalsInputs,
    ExportSignalsOutputs,
    ExportSignalsParams,
)
from quantflow_nodes.ports import Position
from schemas.collections import WORKFLOW_RUNS
from schemas.timeframes import Timeframe

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


class SeesItself(Node[Params, Pair, Number]):
    """Gives 1 where the record, looked at without waiting, says that this node runs."""

    type_name = "sees_itself"
    publishes = True

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        run = context.db[WORKFLOW_RUNS].find_one({"run_id": context.run_id})
        return Number(number=int(run is not None and run["nodes"][context.node]["state"] == "running"))


class Held(Ports):
    """A position."""

    position: Position


class Long(Node[Params, Nothing, Held]):
    """Holds at one bar."""

    type_name = "long"

    def run(self, params: Params, inputs: Nothing, context: RunContext) -> Held:
        row = {"symbol": "BINANCE:BTCUSDT", "datetime": datetime(2022, 1, 1, tzinfo=UTC), "position": 1.0}
        return Held(position=Position(pd.DataFrame([row]), Timeframe.parse("1m")))


class KilledExport(ExportSignals):
    """Publishes, and kills its process at once."""

    type_name = "killed_export"

    def run(
        self, params: ExportSignalsParams, inputs: ExportSignalsInputs, context: RunContext
    ) -> ExportSignalsOutputs:
        super().run(params, inputs, context)
        os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("not reached")
