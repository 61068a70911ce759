"""What a node is: a class with models for its parameters, inputs and outputs, and `run`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from types import UnionType
from typing import Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from quantflow_nodes.ports import SymbolFrame
from schemas.collections import Store
from schemas.errors import InputError
from schemas.mongo import pooled_database
from schemas.settings import Settings


class TooFewBarsError(InputError):
    """There are not enough bars yet: a run ends with it, a live session waits for more."""


class Params(BaseModel):
    """A node's parameters: what YAML gives is converted where that loses nothing; a name not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ports(BaseModel):
    """A node's inputs or outputs: one field a port. An input of type `X | None` with default None may stay open."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True)
class SameAs:
    """Marks an output port, by `Annotated[X, SameAs("port")]`, whose type is that of the frame at an input port."""

    port: str


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run lends to its nodes; small enough to be sent to another process.

    Attributes
    ----------
    settings : Settings
        The settings of the run; `mongo_uri` names the server in use. In a process to which they were sent, MongoDB's
        address is the only secret among them.
    run_id : str
        Names the run in `workflow_runs` and in what it writes.
    graph : str
        The graph's name.
    node : str
        The node's name in the graph.
    now : datetime
        When the run started, aware UTC. Nodes read no clock.
    threads : int or None
        How many threads a node may work on by itself, its own included; None: as many as there are processors.
    """

    settings: Settings
    run_id: str
    graph: str
    node: str
    now: datetime
    threads: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep to this process the secrets that no node needs, where the context is sent to another one."""
        return RunContext, (
            self.settings.for_workers(),
            self.run_id,
            self.graph,
            self.node,
            self.now,
            self.threads,
        )

    @property
    def db(self) -> Store:
        """The database; connections are pooled, one pool a process."""
        return pooled_database(self.settings)


P = TypeVar("P", bound=Params)
I = TypeVar("I", bound=Ports)  # noqa: E741 - P, I and O are the parameters, inputs and outputs of a node
O = TypeVar("O", bound=Ports)  # noqa: E741


class Node(ABC, Generic[P, I, O]):
    """One step of a graph: values in, values out.

    Subclass `Node[YourParams, YourInputs, YourOutputs]`, set `type_name` (the word in YAML) and write `run`. The
    class's docstring is what `quantflow nodes` shows, and `lookback` is how it words what `lookback_bars` returns. Set
    `publishes` where `run` writes what outlives the run: it starts only when the run's record says so.
    """

    type_name: ClassVar[str]
    lookback: ClassVar[str] = "all bars"
    publishes: ClassVar[bool] = False
    params_model: ClassVar[type[Params]]
    inputs_model: ClassVar[type[Ports]]
    outputs_model: ClassVar[type[Ports]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for parent in getattr(cls, "__orig_bases__", ()):
            if get_origin(parent) is Node:
                cls.params_model, cls.inputs_model, cls.outputs_model = get_args(parent)

    @abstractmethod
    def run(self, params: P, inputs: I, context: RunContext) -> O:
        """Return the node's outputs."""

    def lookback_bars(self, params: P) -> int | None:  # noqa: ARG002 - for subclasses
        """Return how many earlier bars an output row can depend on; None, the safe default: all since the start.

        A number is a promise, on which a live session relies to give a node a window instead of all bars: an output row
        is the same to the last bit whether the node is given the whole history, or only that many rows of each symbol
        before it, counted symbol by symbol. Rows of other symbols may matter at the same bar only; a node that looks at
        their earlier rows returns None, as does one that makes fewer rows than it is given. A recursion, such as an
        exponential mean, depends on all bars.
        """
        return None

    def unsettled(self, params: P, inputs: I) -> SymbolFrame | None:  # noqa: ARG002 - for subclasses
        """Return the rows of an input whose output may differ when earlier rows are added; None where none may.

        For nodes that remember for as long as it takes, such as a position that stays between two thresholds: they say
        in `lookback_bars` where to begin, and are given twice as many bars while one of the rows asked for is among
        those returned here.
        """
        return None

    def summary(self, params: P, outputs: O) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """Return figures worth showing after the run, as plain JSON values; none by default."""
        return {}

    def report(self, params: P, outputs: O, context: RunContext) -> str | None:  # noqa: ARG002 - for subclasses
        """Return an HTML page about the outputs, or None where there is nothing to look at."""
        return None


def port_type(model: type[Ports], port: str) -> type:
    """Return the type that flows through a port, without the `| None` of an input that may stay open."""
    annotation = model.model_fields[port].annotation
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation if isinstance(annotation, type) else object


def same_as(model: type[Ports], port: str) -> str | None:
    """Return the input port whose type an output port takes, or None where it has a type of its own."""
    marks = [mark for mark in model.model_fields[port].metadata if isinstance(mark, SameAs)]
    return marks[0].port if marks else None
