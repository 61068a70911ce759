"""The grid of a sweep: which parameters take which values, and the sets that their product gives."""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import Any

import orjson

from schemas.errors import InputError
from schemas.yaml_text import parse_yaml

MOST_SETS = 250_000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER})")
_NO_RANGE = re.compile(rf"{_NUMBER}:{_NUMBER}(?:(?::{_NUMBER}){{2,}})?")  # two numbers, or four and more
Positions = tuple[int, ...]
Values = tuple[Any, ...]
"""A set's values, one an axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter of a node, and the values that it takes, each once, as JSON has them."""

    node: str
    param: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """`node.param`."""
        return f"{self.node}.{self.param}"


@dataclass(frozen=True, slots=True)
class Grid:
    """Axes, and the sets that are wanted of their product: for each axis the place of the set's value."""

    axes: tuple[Axis, ...]
    sets: tuple[Positions, ...]

    def values(self, positions: Positions) -> Values:
        """Return a set's values, one an axis."""
        return tuple(axis.values[place] for axis, place in zip(self.axes, positions, strict=True))


def parse_grid(texts: Sequence[str], drawn: int | None = None, seed: int = 0) -> Grid:
    """Return the grid that `node.param=values` texts give.

    Parameters
    ----------
    texts : sequence of str
        Values are `start:stop:step` (numbers; the stop belongs to them where a step hits it), a YAML list, or YAML
        values with commas between them.
    drawn : int, optional
        How many sets to draw of the product, each at most once; all by default.
    seed : int
        Of the draw: the same seed gives the same sets.

    Raises
    ------
    InputError
        Where a text has another form, names a parameter twice, or there are more than a quarter of a million sets.
    """
    if not texts:
        raise InputError("A sweep needs at least one --grid, such as --grid momentum.lookback_bars=30:240:30.")
    axes = tuple(parse_axis(text) for text in texts)
    names = [axis.name for axis in axes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--grid names {', '.join(twice)} more than once. Put all its values into one list.")
    lengths = [len(axis.values) for axis in axes]
    total = prod(lengths)
    count = total if drawn is None else min(drawn, total)
    if count > MOST_SETS:
        raise InputError(
            f"A sweep takes at most {MOST_SETS:,} sets, found {count:,} ({' × '.join(map(str, lengths))}). "
            "Widen the steps, or draw some of them with --random."
        )
    numbers = range(total) if count == total else sorted(random.Random(seed).sample(range(total), count))
    return Grid(axes, tuple(_positions(number, lengths) for number in numbers))


def parse_axis(text: str) -> Axis:
    """Return the axis of one `node.param=values` text; see `parse_grid`."""
    match = re.fullmatch(r"([^.=\s]+)\.([^.=\s]+)=(.*)", text, re.DOTALL)
    if match is None or not match[3].strip():
        raise InputError(f"--grid takes node.param=start:stop:step or node.param=a,b,c, found {text!r}.")
    node, param, values = match[1], match[2], match[3].strip()
    if _NO_RANGE.fullmatch(values):
        raise InputError(f"--grid {text}: a range is start:stop:step, three numbers such as 30:240:30; found {values}.")
    stepped = _RANGE.fullmatch(values)
    found = _stepped(text, *stepped.groups()) if stepped else _listed(text, values)
    unique = {value_key(value): value for value in found}
    return Axis(node, param, tuple(unique.values()))


def counted(count: int, noun: str) -> str:
    """Return how many there are as text: 1 set, 2 sets."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def value_key(value: Any) -> bytes:
    """Return what tells a parameter's value from others: 1 and 1.0 differ, lists are compared item by item."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _stepped(text: str, start: str, stop: str, step: str) -> list[Any]:
    """Step in decimals: in binary, 0.1 + 0.2 is not 0.3."""
    first, last, by = Decimal(start), Decimal(stop), Decimal(step)
    if by == 0 or (last - first) * by < 0:
        raise InputError(f"--grid {text}: a step from {start} towards {stop} was needed, found {step}.")
    count = int((last - first) / by) + 1
    if count > MOST_SETS:
        raise InputError(f"--grid {text}: at most {MOST_SETS:,} values were expected, found {count:,}. Widen the step.")
    whole = all(re.fullmatch(r"[+-]?\d+", number) for number in (start, stop, step))
    return [int(first + by * at) if whole else float(first + by * at) for at in range(count)]


def _listed(text: str, values: str) -> list[Any]:
    given = parse_yaml(values if values.startswith("[") else f"[{values}]", f"--grid {text}")
    if not isinstance(given, list) or not given:
        raise InputError(f"--grid {text}: a list of values was needed, found {given!r}.")
    for name, number in (("NaN", math.nan), ("infinity", math.inf), ("-infinity", -math.inf)):
        if _holds(given, number):
            raise InputError(f"--grid {text}: finite numbers, words or lists were needed, found {name}.")
    plain: list[Any] = orjson.loads(orjson.dumps(given))  # a date becomes its text, as a stored graph has it
    return plain


def _holds(value: Any, number: float) -> bool:
    """Tell whether a value of YAML is a number that is not finite, or holds it."""
    if isinstance(value, list | dict):
        return any(_holds(item, number) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and (value == number or (math.isnan(value) and math.isnan(number)))


def _positions(number: int, lengths: list[int]) -> Positions:
    places = []
    for length in reversed(lengths):
        number, place = divmod(number, length)
        places.append(place)
    return tuple(reversed(places))
