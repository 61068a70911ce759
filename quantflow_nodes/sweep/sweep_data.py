"""Reads the bars of a sweep once, before anything runs: what tells them from others, their range and their gaps."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quantflow_nodes.ports import Bars, Gap, SymbolFrame
from quantflow_nodes.sweep.evaluation import Evaluator, bars_digest
from quantflow_nodes.sweep.grid import Grid
from schemas.errors import GraphError, InputError


@dataclass(frozen=True, slots=True)
class SweepData:
    """The bars that a sweep reads.

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of what each read_bars node gives, under each choice of its parameters.
    digest : str
        SHA-256 of all of those.
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
    """Return the bars of a sweep.

    Raises
    ------
    QuantFlowError
        Where bars can not be read, or their length changes from set to set, or nothing is traded.
    """
    digests: dict[str, str] = {}
    found: list[Bars] = []
    chosen = [grid.values(positions) for positions in grid.sets]
    for name in evaluator.readers:
        lengths = set()
        for values in {evaluator.key_of(name, values): values for values in chosen}.values():
            bars = evaluator.reader_bars(name, values)
            digests[repr(evaluator.key_of(name, values))] = bars_digest(bars)
            found.append(bars)
            lengths.add(bars.timeframe.name)
        if len(lengths) > 1:
            raise InputError(
                f"A sweep compares sets on bars of one length, but {name} reads those of "
                f"{' and '.join(sorted(lengths))}."
            )
    if not found:
        raise GraphError(f"The graph {evaluator.spec.graph.name} reads no bars with read_bars, so none can be named.")
    return SweepData(
        digests=digests,
        digest=hashlib.sha256("".join(f"{key}{value}" for key, value in sorted(digests.items())).encode()).hexdigest(),
        first=min(bars.data["datetime"].min() for bars in found).to_pydatetime(),
        last=max(bars.data["datetime"].max() for bars in found).to_pydatetime(),
        bars=max(len(bars.data) for bars in found),
        gaps=tuple(dict.fromkeys(gap for bars in found for gap in bars.gaps)),
        frame=evaluator.traded_frame(chosen[0]),
        varies=tuple(axis.name for axis in grid.axes if axis.node in evaluator.readers),
    )
