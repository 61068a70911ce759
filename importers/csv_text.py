"""Turns the text of a CSV into columns of bars, and names the line where that can not be done."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from importers.bars import OHLCV, Bars, Column, Reason, RejectedRow, is_possible_ms
from importers.row_times import RowTimes, TimeUnitError, row_times
from schemas.errors import InputError
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

TIME_NAMES = ("time", "timestamp", "date", "datetime")
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class CsvShape:
    """Where the columns of a CSV are: all its names in order, which one is the time, and whether line 1 is a header."""

    names: tuple[str, ...]
    time_name: str
    delimiter: str
    has_header: bool


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The rows of a CSV: those that could be read, in the file's order, and those that could not."""

    bars: Bars
    rejected: list[RejectedRow]


def header_shape(data: bytes, where: str) -> CsvShape:
    """Return the shape that a CSV's first line declares; names in any case, other columns are ignored.

    Raises
    ------
    InputError
        Where a column is missing, or several can be the time.
    """
    header = data.split(b"\n", 1)[0].decode("utf-8", errors="replace").strip()
    delimiter = max(_DELIMITERS, key=header.count)
    names = tuple(name.strip().strip('"').lower() for name in header.split(delimiter))
    missing = [name for name in OHLCV if names.count(name) != 1]
    times = [name for name in names if name in TIME_NAMES]
    if (missing or not times) and ("\0" in header or "\N{REPLACEMENT CHARACTER}" in header):
        raise InputError(
            f"{where} is no CSV: its first line holds bytes that are no UTF-8 text. Check --path and --source."
        )
    if missing or not times:
        wanted = ([] if times else ["one of " + ", ".join(TIME_NAMES)]) + missing
        raise InputError(
            f"{where} has no column {'; '.join(wanted)} (each was needed once in its first line), "
            f"found {_readable(', '.join(names))}. Rename its columns."
        )
    if len(times) > 1:
        raise InputError(f"{where} has several columns of times: {', '.join(times)}. Leave the one that is the open.")
    return CsvShape(names, times[0], delimiter, has_header=True)


def csv_rows(data: bytes, shape: CsvShape, where: str, symbol: Symbol, timeframe: Timeframe) -> CsvRows:
    """Return the rows of a CSV.

    A row with too few or too many columns, a time or a number that can not be read, or no line end (as the last line
    of a file that was cut off) is refused; the others go on.

    Raises
    ------
    InputError
        Where there are no rows, times run backwards or are in no one unit, or bars of another timeframe are in it.
    """
    torn: list[RejectedRow] = []
    whole = data
    if not data.endswith((b"\n", b"\r")):
        whole, _, tail = data.rpartition(b"\n")
        whole += b"\n"
        if whole.strip() or not shape.has_header:  # else the one line is the header, and no row
            torn.append(_unread(tail.decode("utf-8", errors="replace"), "no_line_end", shape))
    table, rejected = _table(whole, shape, where)
    rejected += torn
    if not table.num_rows:
        if not rejected:
            raise InputError(f"{where} has no rows of bars, only a header.")
        return CsvRows(_no_bars(symbol, timeframe), rejected)
    texts: pd.Series[str] = table[shape.time_name].to_pandas()
    try:
        times = row_times(texts)
    except TimeUnitError as error:
        raise InputError(f"{where}, line {_line(whole, shape, error.row)}: {error}.") from None
    columns = [_numbers(table[name]) for name in OHLCV]
    reasons = _reasons(times, columns)
    rejected += [_rejected(table, shape, int(row), reason) for row, reason in reasons.items()]
    is_good = np.ones(table.num_rows, np.bool_)
    is_good[list(reasons)] = False
    good = np.flatnonzero(is_good)
    values = (column.values[good] for column in columns)
    bars = Bars(symbol, timeframe, times.open_ms[good], *values)
    backwards = first_step_back(bars)
    if backwards is not None:
        line = _line(whole, shape, int(good[backwards]))
        raise InputError(
            f"In {where} dates run backwards at line {line}: {texts.iloc[good[backwards]]} comes after "
            f"{texts.iloc[good[backwards - 1]]}. Nothing of it was imported; sort the file by time, oldest first."
        )
    return CsvRows(bars, rejected)


def first_step_back(bars: Bars) -> int | None:
    """Return the position of the first bar that opens before the one above it, or None; a mistyped year is no step."""
    rows = np.flatnonzero(is_possible_ms(bars.open_ms))
    steps = np.flatnonzero(np.diff(bars.open_ms[rows]) < 0)
    return int(rows[steps[0] + 1]) if len(steps) else None


def check_spacing(bars: Bars, where: str) -> None:
    """Refuse bars of another timeframe than the one asked for.

    Longer ones would all lie on its grid. Of shorter ones those that do would be stored as what they are not: the
    minute after midnight as a day, over the good bar of that day.

    Raises
    ------
    InputError
        Where most neighbours are closer together than one bar, or of at least ten bars no two are one bar apart.
    """
    steps = np.diff(bars.open_ms[is_possible_ms(bars.open_ms)])
    steps = steps[steps > 0]
    if not len(steps):
        return
    remedy = "Nothing of it was imported; give the timeframe of its bars, or another file."
    if np.count_nonzero(steps < bars.bar_ms) > len(steps) / 2:
        raise InputError(
            f"{where} holds bars of a shorter timeframe than {bars.timeframe}: most are {np.median(steps) / 1000:g} s "
            f"apart or less. {remedy}"
        )
    nearest = int(steps.min())
    if len(bars) >= 10 and nearest > bars.bar_ms:
        raise InputError(
            f"{where} holds no bars of {bars.timeframe}: the nearest two are {nearest / 1000:g} s apart. {remedy}"
        )


def _readable(text: str) -> str:
    """Return a text of a file, cut; one with signs that a terminal would obey or not show comes as its repr."""
    cut = text[:200]
    return cut if cut.isprintable() and "\N{REPLACEMENT CHARACTER}" not in cut else ascii(cut)[:200]


@dataclass(frozen=True, slots=True)
class _Numbers:
    values: Column
    is_readable: NDArray[np.bool_]


def _table(data: bytes, shape: CsvShape, where: str) -> tuple[pa.Table, list[RejectedRow]]:
    """Return the needed columns as texts, and the lines that have another number of columns."""
    skipped: list[RejectedRow] = []

    def skip(row: csv.InvalidRow) -> str:
        skipped.append(_unread(row.text, "wrong_column_count", shape))
        return "skip"

    wanted = [shape.time_name, *OHLCV]
    if shape.has_header and not data.partition(b"\n")[2].strip():
        return pa.table({name: pa.array([], pa.string()) for name in wanted}), skipped
    try:
        table = csv.read_csv(
            io.BytesIO(data),
            read_options=csv.ReadOptions(
                column_names=list(shape.names), skip_rows=int(shape.has_header), use_threads=False
            ),
            parse_options=csv.ParseOptions(delimiter=shape.delimiter, invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        reason = "it is no UTF-8 text" if "UTF8" in str(error) else "its lines are no rows of values"
        raise InputError(f"{where} can not be read as a CSV: {reason}. Nothing of it was imported.") from None
    return table, skipped


def _numbers(texts: pa.ChunkedArray) -> _Numbers:
    trimmed = pc.utf8_trim_whitespace(texts)
    try:
        values = pc.cast(trimmed, pa.float64()).to_numpy()
        return _Numbers(values, np.ones(len(values), np.bool_))
    except pa.ArrowInvalid:  # some text is no number: find out which, one by one
        parsed = [_number(text) for text in trimmed.to_pylist()]
    is_readable = np.array([value is not None for value in parsed], np.bool_)
    return _Numbers(np.array([np.nan if value is None else value for value in parsed]), is_readable)


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _reasons(times: RowTimes, columns: list[_Numbers]) -> dict[int, Reason]:
    """Return, for each row that can not become a bar, why."""
    is_number = np.logical_and.reduce([column.is_readable for column in columns])
    reasons: dict[int, Reason] = {int(row): "off_grid" for row in np.flatnonzero(times.is_off_grid)}
    reasons |= {int(row): "value_unreadable" for row in np.flatnonzero(~is_number)}
    # Here, not later: a mistyped year would look like dates that run backwards, and refuse the whole file.
    reasons |= {int(row): "time_out_of_range" for row in np.flatnonzero(~is_possible_ms(times.open_ms))}
    return reasons | {int(row): "time_unreadable" for row in np.flatnonzero(~times.is_readable)}


def _rejected(table: pa.Table, shape: CsvShape, row: int, reason: Reason) -> RejectedRow:
    texts = {name: table[name][row].as_py() for name in (shape.time_name, *OHLCV)}
    return RejectedRow(texts[shape.time_name], reason, texts)


def _unread(line: str, reason: Reason, shape: CsvShape) -> RejectedRow:
    fields = line.strip("\r\n").split(shape.delimiter)
    place = shape.names.index(shape.time_name)
    return RejectedRow(fields[place] if place < len(fields) else "", reason, {"line": line.strip("\r\n")})


def _line(data: bytes, shape: CsvShape, row: int) -> int:
    """Return the line on which a row of the table stands, by counting again what was counted as a row."""
    separators = len(shape.names) - 1
    seen = -1
    for number, line in enumerate(data.splitlines(), 1):
        is_header = shape.has_header and number == 1
        if not is_header and line.strip() and line.count(shape.delimiter.encode()) == separators:
            seen += 1
            if seen == row:
                return number
    return 0


def _no_bars(symbol: Symbol, timeframe: Timeframe) -> Bars:
    return Bars.of(symbol, timeframe, np.empty(0, np.int64), np.empty((0, 5)))
