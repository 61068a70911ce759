"""What a sweep stores: the sweep as it ran last, and the figures of each parameter set."""

from typing import Any

from pydantic import Field

from schemas.documents import Document, Name, RunState, UtcTime


class SweptParam(Document):
    """A parameter that a sweep varies, and the values that it takes."""

    node: Name
    param: Name
    values: list[Any]


class Sweep(Document):
    """One sweep in `sweeps`: of which graph, over which bars, with which parameters, as it ran last.

    `graph` is the backtest and what leads to it, with the parameters of the first set. `walk_forward` is
    TRAIN:TEST:STEP, with ` anchored` behind it where every train window begins with the first bar. `clearing` is there
    while `--fresh` deletes results: after an end in the middle none of the sweep's results may be reused.
    """

    sweep_id: Name
    name: Name
    target: Name
    graph: dict[str, Any]
    graph_digest: Name
    grid: list[SweptParam]
    sets: int = Field(ge=1)
    walk_forward: str | None = None
    metric: Name
    versions: dict[str, str]
    data_first: UtcTime
    data_last: UtcTime
    data_bars: int = Field(ge=1)
    data_digest: Name
    clearing: bool | None = None
    state: RunState
    started_at: UtcTime
    ended_at: UtcTime | None = None
    host: Name
    pid: int
    error: str | None = None


class SweepResult(Document):
    """One parameter set in one stretch of time, in `sweep_results`.

    `split` is "all", or START/END of a window. `params` has a mapping for each node that is swept. A figure that is not
    defined is left out; there is none where the set had too few bars.
    """

    sweep_id: Name
    split: Name
    set_id: Name
    params: dict[str, dict[str, Any]]
    figures: dict[str, float | int]
    computed_at: UtcTime
