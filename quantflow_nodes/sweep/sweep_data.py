"""Reads the data of a sweep once, before anything runs: what tells it from other data, its bars and their gaps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quantflow_nodes.node import TooFewBarsError, port_type
from quantflow_nodes.nodes.read_bars import ReadBars
from quantflow_nodes.own_code import own_code
from quantflow_nodes.ports import Bars, Gap, SymbolFrame
from quantflow_nodes.sweep.evaluation import Evaluator, SetFailedError
from quantflow_nodes.sweep.grid import Grid, Values
from quantflow_nodes.sweep.outputs_digest import NoDigestError, outputs_digest
from schemas.errors import GraphError, InputError


@dataclass(frozen=True, slots=True)
class SweepData:
    """What a sweep reads.

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of what each node without sources gives, under each choice of its parameters.
    digest : str
        SHA-256 of all of those, and of the code of own nodes.
    unknown : tuple of str
        The nodes and modules of which nobody can tell whether they are those of another run: where there are any, the
        digest is of this run alone.
    first, last : datetime
        Open times of the first and the last bar.
    bars : int
        The most that one read_bars node gives.
    gaps : tuple of Gap
        Open gaps in them.
    frame : SymbolFrame
        What is traded by the first set: its times are those that a walk-forward cuts.
    varies : tuple of str
        The swept parameters that change which bars are read.
    """

    digests: dict[str, str]
    digest: str
    unknown: tuple[str, ...]
    first: datetime
    last: datetime
    bars: int
    gaps: tuple[Gap, ...]
    frame: SymbolFrame
    varies: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return what is stored with the sweep."""
        return {
            "data_first": self.first,
            "data_last": self.last,
            "data_bars": self.bars,
            "data_digest": self.digest,
        }


def read_data(evaluator: Evaluator, grid: Grid) -> SweepData:
    """Return what a sweep reads.

    Raises
    ------
    QuantFlowError
        Where bars can not be read, or their length changes from set to set, or nothing is traded.
    """
    chosen = [grid.values(positions) for positions in grid.sets]
    readers = [name for name, node in evaluator.plan.nodes.items() if isinstance(node.node, ReadBars)]
    if not readers:
        raise GraphError(f"The graph {evaluator.spec.graph.name} reads no bars with read_bars, so none can be named.")
    digests, unknown = _digests(evaluator, chosen)
    found = [bars for name in readers for bars in _bars_of(evaluator, name, chosen)]
    code = own_code(evaluator.plan)
    unknown = [*(f"the module {module}" for module, digest in code.items() if digest is None), *unknown]
    parts = [*sorted(digests.items()), *code.items()]
    if unknown:
        parts.append(("run", evaluator.spec.context.run_id))
    return SweepData(
        digests=digests,
        digest=hashlib.sha256("".join(f"{key}{value}" for key, value in parts).encode()).hexdigest(),
        unknown=tuple(unknown),
        first=min(bars.data["datetime"].min() for bars in found).to_pydatetime(),
        last=max(bars.data["datetime"].max() for bars in found).to_pydatetime(),
        bars=max(len(bars.data) for bars in found),
        gaps=tuple(dict.fromkeys(gap for bars in found for gap in bars.gaps)),
        frame=_traded_frame(evaluator, chosen[0]),
        varies=tuple(axis.name for axis in grid.axes if axis.node in readers),
    )


def _bars_of(evaluator: Evaluator, reader: str, chosen: Sequence[Values]) -> list[Bars]:
    """Return what a read_bars node gives under each choice of its parameters."""
    found: list[Bars] = [
        evaluator.outputs(reader, values, None).bars  # type: ignore[attr-defined]
        for values in evaluator.choices(reader, chosen)
    ]
    lengths = {bars.timeframe.name for bars in found}
    if len(lengths) > 1:
        raise InputError(
            f"A sweep compares sets on bars of one length, but {reader} reads those of {' and '.join(sorted(lengths))}."
        )
    return found


def _digests(evaluator: Evaluator, chosen: Sequence[Values]) -> tuple[dict[str, str], list[str]]:
    """Return the digest of what each source gives under each choice of its parameters, and the sources without one."""
    digests: dict[str, str] = {}
    unknown = []
    for name in [name for name, node in evaluator.plan.nodes.items() if not node.sources]:
        try:
            for values in evaluator.choices(name, chosen):
                digests[repr(evaluator.key_of(name, values))] = _digest_of_source(evaluator, name, values)
        except NoDigestError:
            unknown.append(name)
    return digests, unknown


def _digest_of_source(evaluator: Evaluator, name: str, values: Values) -> str:
    try:
        return outputs_digest(evaluator.outputs(name, values, None))
    except SetFailedError as error:
        if isinstance(error.__cause__, TooFewBarsError):
            return "too few bars"
        raise


def _traded_frame(evaluator: Evaluator, values: Values) -> SymbolFrame:
    """Return the bars that flow into the node that judges; of a node that takes none, the first frame."""
    target = evaluator.plan.nodes[evaluator.spec.target]
    takes = target.node.inputs_model
    for _, source in sorted(target.sources.items(), key=lambda item: not issubclass(port_type(takes, item[0]), Bars)):
        frame = getattr(evaluator.outputs(source.node, values, None), source.output)
        if isinstance(frame, SymbolFrame):
            return frame
    raise InputError(f"{target.name} takes no frame, so there is nothing that a sweep could judge.")
