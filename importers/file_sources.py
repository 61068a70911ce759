"""Bars from files: which files belong to a symbol, and their content as batches."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather

from importers.bars import OHLCV, Bars, Batch, RejectedRow
from importers.csv_text import CsvRows, CsvShape, check_spacing, csv_rows, first_step_back, header_shape
from importers.file_bytes import read_bytes, read_zipped_csv
from importers.request import Source
from importers.writer import INSERT_ROWS
from schemas.errors import InputError
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_BOM = b"\xef\xbb\xbf"
_KLINE_NAMES = (
    "open_time", *OHLCV, "close_time", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileSeries:
    """One symbol's bars of one timeframe, from `since_ms` on and before `until_ms`, wanted from files."""

    symbol: Symbol
    timeframe: Timeframe
    since_ms: int | None = None
    until_ms: int | None = None

    def batches(self, rows: CsvRows, where: str) -> Iterator[Batch]:
        """Give the rows of one file in batches; rows of one time are never divided between two of them."""
        check_spacing(rows.bars, where)
        bars = rows.bars.within(self.since_ms, self.until_ms)
        rejected: list[RejectedRow] = rows.rejected
        start = 0
        while start < len(bars) or rejected:
            end = min(start + INSERT_ROWS, len(bars))
            while end < len(bars) and bars.open_ms[end] == bars.open_ms[end - 1]:
                end += 1
            notes = [note for note in (_torn_note(rejected, where),) if note]
            yield Batch(
                bars.take(slice(start, end)), rejected, rows_ahead=len(bars) - start + len(rejected), notes=notes
            )
            start, rejected = end, []


def files_batches(source: Source, path: str, series: FileSeries) -> Iterator[Iterator[Batch]]:
    """Give the bars of the files that a source and a path name: for each file an iterator over its batches.

    Raises
    ------
    InputError
        Where there is no such file; and from the iterator of a file that can not be used, before its first batch. The
        other files may be read all the same.
    """
    if source is Source.CSV:
        yield csv_batches(Path(path), series)
    elif source is Source.FREQTRADE:
        yield freqtrade_batches(freqtrade_file(Path(path), series), series)
    else:
        for file in dump_files(path, series):
            yield dump_batches(file, series)


def csv_batches(path: Path, series: FileSeries) -> Iterator[Batch]:
    """Give the bars of a CSV (or .csv.gz) whose first line names its columns.

    Raises
    ------
    InputError
        Where the file is missing, empty or torn, lacks a column, or its times run backwards; nothing of it is given.
    """
    data = read_bytes(path).removeprefix(_BOM)
    shape = header_shape(data, str(path))
    yield from series.batches(csv_rows(data, shape, str(path), series.symbol, series.timeframe), str(path))


def dump_files(pattern: str, series: FileSeries) -> list[Path]:
    """Return the vendor's kline files of a symbol and timeframe that a file, a folder or a pattern names, sorted.

    Raises
    ------
    InputError
        Where there are none.
    """
    path = Path(pattern)
    start = f"{series.symbol.venue_name}-{series.timeframe}-"
    if path.is_dir():
        found = [file for file in path.rglob(f"{start}*") if _market_fits(file.relative_to(path), series.symbol)]
    else:
        found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - patterns may be absolute
    wanted = sorted(file for file in found if file.name.startswith(start) and file.suffix.lower() in (".zip", ".csv"))
    if not wanted:
        raise InputError(f"{pattern} names no file such as {start}2022-01.zip. Check --path, --tf and --symbol.")
    return wanted


def dump_batches(path: Path, series: FileSeries) -> Iterator[Batch]:
    """Give the bars of one of the vendor's kline files, with or without a header, its times in ms or µs.

    Raises
    ------
    InputError
        As `csv_batches`.
    """
    data = read_zipped_csv(path) if path.suffix.lower() == ".zip" else read_bytes(path)
    first = data.lstrip()[:1]
    if not first:
        raise InputError(f"{path} is empty: rows of klines were needed.")
    shape = CsvShape(_KLINE_NAMES, "open_time", ",", has_header=not first.isdigit())
    yield from series.batches(csv_rows(data, shape, str(path), series.symbol, series.timeframe), str(path))


def freqtrade_file(path: Path, series: FileSeries) -> Path:
    """Return the feather file in which Freqtrade's download-data keeps a series; `path` is it or its folder.

    Raises
    ------
    InputError
        Where the folder has no such file, or the file given is another series'.
    """
    name = series.symbol.pair.replace("/", "_").replace(":", "_") + f"-{series.timeframe}"
    wanted = Path("futures", f"{name}-futures.feather") if series.symbol.settle else Path(f"{name}.feather")
    if path.is_dir():
        places = [path / wanted, path / wanted.name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(
                f"{path} has no {wanted}, as Freqtrade's download-data would have named it. Check --path; where base "
                f"and quote are others, write them as in --symbol {series.symbol.venue}:{series.symbol.pair}."
            )
        return found
    if path.exists() and path.name != wanted.name:
        raise InputError(f"{path} is not the file of {series.symbol} {series.timeframe}, which is named {wanted.name}.")
    return path


def freqtrade_batches(path: Path, series: FileSeries) -> Iterator[Batch]:
    """Give the bars of a feather file of Freqtrade's.

    Raises
    ------
    InputError
        Where the file is missing or torn, lacks a column, or its times run backwards; nothing of it is given.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check --path.")
    try:
        frame = feather.read_feather(path)
    except (pa.ArrowException, OSError) as error:
        system = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise InputError(f"{path} is torn or no feather file{system}. Nothing of it was imported.") from None
    missing = [name for name in ("date", *OHLCV) if name not in frame]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}, found {', '.join(map(str, frame.columns))}.")
    if not isinstance(frame["date"].dtype, pd.DatetimeTZDtype):
        raise InputError(f"In {path} the column date must hold times with a zone, found {frame['date'].dtype}.")
    texts = [f"{name} ({frame[name].dtype})" for name in OHLCV if frame[name].dtype.kind not in "iuf"]
    if texts:
        raise InputError(f"In {path} the columns {', '.join(OHLCV)} must hold numbers, found {', '.join(texts)}.")
    opens = frame["date"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    values = frame[list(OHLCV)].to_numpy(np.float64, na_value=np.nan)
    bars = Bars.of(series.symbol, series.timeframe, opens, values)
    backwards = first_step_back(bars)
    if backwards is not None:
        raise InputError(
            f"In {path} dates run backwards at row {backwards}. Nothing of it was imported; sort it by date."
        )
    yield from series.batches(CsvRows(bars, []), str(path))


def _torn_note(rejected: list[RejectedRow], where: str) -> str:
    if all(row.reason != "no_line_end" for row in rejected):
        return ""
    return (
        f"{where} ends without a line end, so that its last line may have been cut off: that row was refused. "
        "Fetch the file again, or end it with a line end if it is whole."
    )


def _market_fits(relative: Path, symbol: Symbol) -> bool:
    """Spot and perpetuals have files of the same names, in folders of their own."""
    folders = set(relative.parts[:-1])
    return not folders & ({"spot"} if symbol.settle else {"futures"})
