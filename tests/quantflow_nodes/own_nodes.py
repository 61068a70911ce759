"""Nodes as a user would write them, for the tests of plan and runner."""

from typing import Annotated

from quantflow_nodes.node import Node, Params, Ports, RunContext, SameAs
from quantflow_nodes.ports import SymbolFrame
from schemas.errors import InputError


class Nothing(Ports):
    """No ports."""


class Number(Ports):
    """One number."""

    number: int


class Start(Params):
    """The number to start with."""

    value: int = 1


class One(Node[Start, Nothing, Number]):
    """Gives its value."""

    type_name = "one"

    def run(self, params: Start, inputs: Nothing, context: RunContext) -> Number:
        return Number(number=params.value)


class Pair(Ports):
    """Two numbers, the second may stay open."""

    left: int
    right: int | None = None


class Add(Node[Params, Pair, Number]):
    """Adds its inputs."""

    type_name = "add"

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        return Number(number=inputs.left + (inputs.right or 0))


class Broken(Node[Params, Pair, Number]):
    """Fails with an error that is no sentence of ours."""

    type_name = "broken"

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        raise ZeroDivisionError("division by zero")


class Refusing(Node[Params, Pair, Number]):
    """Fails with a sentence."""

    type_name = "refusing"

    def run(self, params: Params, inputs: Pair, context: RunContext) -> Number:
        raise InputError("More bars were needed.")


class Frames(Ports):
    """Any frame."""

    frame: SymbolFrame


class SameFrames(Ports):
    """The same kind of frame."""

    frame: Annotated[SymbolFrame, SameAs("frame")]


class PassOn(Node[Params, Frames, SameFrames]):
    """Passes a frame on as it is."""

    type_name = "pass_on"

    def run(self, params: Params, inputs: Frames, context: RunContext) -> SameFrames:
        return SameFrames(frame=inputs.frame)


class WithoutRun(Node[Params, Pair, Number]):
    """Forgets `run`."""

    type_name = "without_run"


class NotANode:
    """Just a class."""
