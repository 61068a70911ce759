"""Names what a node gave by a digest, so that a sweep can tell its data from other data."""

import hashlib
from collections.abc import Iterable
from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from quantflow_nodes.node import Ports
from quantflow_nodes.ports import SymbolFrame

_PLAIN = (str, bytes, bool, int, float, Decimal, type(None), type(pd.NA), type(pd.NaT))


class NoDigestError(Exception):
    """A value is of a kind of which nobody can tell whether it is the one of another run."""


def outputs_digest(outputs: Ports) -> str:
    """Return SHA-256 of what a node gave, in hex: of values, whatever objects hold them.

    The gaps of bars are not in it: they are shown beside figures and change none.

    Raises
    ------
    NoDigestError
        Where an output is neither a frame, a table, an array nor made of plain values.
    """
    digest = hashlib.sha256()
    for port in type(outputs).model_fields:
        for part in _parts(getattr(outputs, port)):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterable[bytes]:
    """Return a value as bytes that are equal only where the value is."""
    yield type(value).__qualname__.encode()
    if isinstance(value, SymbolFrame):
        yield value.timeframe.name.encode()
        yield "\n".join(value.symbols).encode()
        yield value.symbol_starts.tobytes()
        yield value.times_ms.tobytes()
        yield from _columns(value.data.drop(columns=["symbol", "datetime"]))
        for own in fields(value):
            if own.name not in ("data", "timeframe", "gaps"):
                yield from _parts(getattr(value, own.name))
    elif isinstance(value, pd.DataFrame):
        yield from _columns(value)
        yield from _parts(value.index)
    elif isinstance(value, pd.Series):
        yield from _parts(value.to_frame())
    elif isinstance(value, pd.Index):
        yield _plain(list(value.names))
        yield from _columns(pd.DataFrame({"index": value.to_flat_index()}))
    elif isinstance(value, np.ndarray):
        yield repr(value.shape).encode()
        yield from _array(value)
    else:
        yield _plain(value)


def _columns(table: pd.DataFrame) -> Iterable[bytes]:
    for position, name in enumerate(table.columns):
        column = table.iloc[:, position]
        kind = column.dtype
        yield _plain(name)
        yield str(kind).encode()
        yield from _array(column.to_numpy(f"M8[{kind.unit}]" if isinstance(kind, pd.DatetimeTZDtype) else None))


def _array(values: Any) -> Iterable[bytes]:
    if values.dtype.kind == "V":
        raise NoDigestError
    yield str(values.dtype).encode()
    yield _plain(values.tolist()) if values.dtype.kind == "O" else values.tobytes()


def _plain(value: Any) -> bytes:
    """Return the text of plain values, and of lists and mappings of them."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            left += one
        elif type(one) not in _PLAIN and not isinstance(one, date | timedelta | np.generic):
            raise NoDigestError
    return repr(value).encode()
