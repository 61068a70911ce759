"""Describes a factor: its function, the columns and parameters that it takes, and how many bars it needs."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from research.bars import Floats
from schemas.errors import InputError

Value = int | float | str
Params = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Whole:
    """A parameter that is a whole number within [lowest, highest]."""

    name: str
    default: int
    lowest: int
    highest: int
    meaning: str

    def checked(self, factor: str, value: object) -> int:
        """Return `value` as an int; InputError where it is none or out of bounds."""
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if whole and self.lowest <= int(value) <= self.highest:  # type: ignore[call-overload]
            return int(value)  # type: ignore[call-overload, no-any-return]
        raise InputError(
            f"{factor} needs {self.name} as a whole number from {self.lowest} to {self.highest}, found {value!r}."
        )


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter that is a finite number above `above`, up to `highest`."""

    name: str
    default: float
    above: float
    highest: float
    meaning: str

    def checked(self, factor: str, value: object) -> float:
        """Return `value` as a float; InputError where it is none or out of bounds."""
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if number and math.isfinite(value) and self.above < float(value) <= self.highest:  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
        raise InputError(
            f"{factor} needs {self.name} as a number above {self.above:g}, at most {self.highest:g}, found {value!r}."
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that is one of some words."""

    name: str
    default: str
    words: tuple[str, ...]
    meaning: str

    def checked(self, factor: str, value: object) -> str:
        """Return `value`; InputError where it is none of the words."""
        if isinstance(value, str) and value in self.words:
            return value
        raise InputError(
            f"{factor} needs {self.name} as one of {', '.join(self.words)}, found {value!r}."
            f"{suggestion(str(value), self.words)}"
        )


Parameter = Whole | Number | Choice


@dataclass(frozen=True, slots=True)
class FactorSpec:
    """What is known about one factor.

    Attributes
    ----------
    name : str
    function : callable
        Takes the `inputs` columns of one symbol as arrays, in that order, and the parameters by name; returns one
        value a bar, NaN where it is not known.
    inputs : tuple of str
        Columns of the bars frame.
    parameters : tuple of Parameter
    lookback : callable
        From checked parameters to the number of earlier bars that the first value needs: the value of bar i is NaN
        for i below it.
    formula, source : str
        As docs/factors.md prints them.
    order : tuple of str
        Names of parameters that must increase from one to the next.
    """

    name: str
    function: Callable[..., Floats]
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    lookback: Callable[[Params], int]
    formula: str
    source: str
    order: tuple[str, ...] = ()

    def checked_params(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Return all parameters, the given ones checked and the others by default.

        Raises
        ------
        InputError
            Where a name is unknown or a value is out of its bounds; the message says what would fit.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                raise InputError(
                    f"{self.name} takes {', '.join(names)}, found the parameter {name!r}.{suggestion(name, names)}"
                )
        params: dict[str, Value] = {
            parameter.name: parameter.checked(self.name, given.get(parameter.name, parameter.default))
            for parameter in self.parameters
        }
        for lower, upper in pairwise(self.order):
            if not params[lower] < params[upper]:  # type: ignore[operator]
                raise InputError(f"{self.name} needs {lower} below {upper}, found {params[lower]} and {params[upper]}.")
        return params

    def lookback_bars(self, params: Mapping[str, object] | None = None) -> int:
        """Return how many earlier bars the first value that is not NaN needs."""
        return self.lookback(self.checked_params(params or {}))


def suggestion(found: str, names: Iterable[str]) -> str:
    """Return ' Did you mean …?' where a name is close to what was found, else nothing."""
    near = difflib.get_close_matches(found, list(names), n=1)
    return f" Did you mean {near[0]}?" if near else ""
