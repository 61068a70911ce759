"""Marks functions that numba compiles: the one place that knows how, imported only where compiled code is wanted."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Numbers = TypeVar("Numbers", npt.NDArray[np.float64], npt.NDArray[np.int64])
P = ParamSpec("P")
R = TypeVar("R")

EXACT: frozenset[str] = frozenset()
"""Arithmetic as it is written, to the last bit."""
ANY_ORDER = frozenset({"reassoc"})
"""Sums may be taken in any order, which lets the compiler add eight numbers at once."""


def compiled(rules: frozenset[str] = EXACT) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that compiles a function at its first call and keeps the machine code on disk.

    Kept code is made anew when the function's own file changes, and only then: a compiled function calls none of
    another file, and takes another file's constants as arguments. It runs without Python's lock. Division by zero
    gives infinity or NaN, as in numpy. Loops are compiled to vector instructions only where numba knows that an index
    is not negative: go over whole slices, `range(x.size)`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        try:
            return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=set(rules))(function)
        except RuntimeError:  # there is no folder to keep machine code in: compile in each process
            return numba.njit(nogil=True, error_model="numpy", fastmath=set(rules))(function)

    return decorate


def read_only(values: Numbers) -> Numbers:
    """Return a read-only view in one piece: where all that is only read looks alike, it is compiled once."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view
