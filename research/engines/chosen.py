"""Chooses how a backtest goes over every bar: by numpy at once, or by compiled code that must be loaded first."""

from research.engines.numpy_engine import NUMPY, Engine
from schemas.errors import InputError

ENGINES = ("auto", "numpy", "compiled")
BARS_BEFORE_COMPILED = 100_000_000
"""What numpy simulates in about the second that loading compiled code takes: whoever gets there has work for it."""


def chosen_engine(name: str, bars: int) -> Engine:
    """Return the engine of a simulation of `bars` bars; errors as for `is_compiled`."""
    if not is_compiled(name, bars):
        return NUMPY
    from research.engines.compiled_engine import COMPILED  # numba takes a second to load

    return COMPILED


def is_compiled(name: str, bars: int) -> bool:
    """Tell whether `bars` bars are simulated by compiled code, counting them.

    'auto' is numpy until this process has `BARS_BEFORE_COMPILED` bars simulated, and compiled beyond them.

    Raises
    ------
    InputError
        Where the name is none of `ENGINES`.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, found {name!r}.")
    return name == "compiled" or (name == "auto" and _SIMULATED.passed_limit(bars))


def engine_for(bars: int) -> str:
    """Return the engine of work that simulates `bars` bars in all, whatever this process has simulated before."""
    return "compiled" if bars > BARS_BEFORE_COMPILED else "numpy"


class _Simulated:
    """Counts the bars that this process simulated without saying how."""

    def __init__(self) -> None:
        self.bars = 0

    def passed_limit(self, more: int) -> bool:
        """Count these bars, and tell whether that makes too many for numpy."""
        self.bars += more
        return self.bars > BARS_BEFORE_COMPILED


_SIMULATED = _Simulated()
