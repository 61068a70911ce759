"""Copies of stored bars on the local disk, by symbol and month: files only, which ask MongoDB nothing.

A symbol has a folder: one file of columns a month, and a record that names them with their digests and says as of when
they are right. A file is written aside and renamed, and carries its digest in its name: whatever a process that was
killed, a full disk or another process leaves behind is not named by a record, and what a record names but is not there
byte for byte is not used.
"""

import contextlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from bson import json_util
from bson.errors import BSONError

from research.stored.raw_columns import Column

FOLDER = "bars"  # below QUANTFLOW_HOME
_RECORD = "record.json"
_FORMAT = 1
_VALUE_BYTES = 8
_WRITTEN_WITHIN_S = 3600  # an older file that lies aside is of a process that was killed


class DamagedCopyError(Exception):
    """A copy in a symbol's folder is not what its record says, or is gone."""

    def __init__(self, folder: Path, sentence: str) -> None:
        super().__init__(sentence)
        self.folder = folder


@dataclass(frozen=True, slots=True)
class MonthCopy:
    """The bars of one month as they lie in a file, column after column.

    Attributes
    ----------
    rows : int
        How many bars; of none there is no file.
    until_ms : int
        The copy holds all bars that open from the month's begin on and before this time.
    digests : dict of str to int
        The columns in the file's order, each with the CRC-32 of its bytes.
    """

    rows: int
    until_ms: int
    digests: Mapping[str, int]

    def file_name(self, month: str) -> str:
        """Return the name of its file, which no other content has."""
        digest = zlib.crc32(json.dumps([self.rows, *self.digests.items()]).encode())
        return f"{month}-{digest:08x}.columns"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in a replica set's history: the process that was its primary, and an operation of its oplog.

    As long as that process runs its history only grows. After it, a copy of the data folder from before may have been
    laid in its place; then the operation is no longer there.
    """

    process: str
    seconds: int
    increment: int
    term: int


@dataclass(frozen=True, slots=True)
class Record:
    """Which months of a symbol are copied, and as of when they are right.

    Attributes
    ----------
    token : dict
        The change stream's token from which on a change would make them wrong.
    moment : Moment
        A point in the server's history that holds all that the copies hold.
    source : str
        Database and collection, for people.
    months : dict of str to MonthCopy
        By month, such as '2022-01'.
    """

    token: Mapping[str, Any]
    moment: Moment
    source: str
    months: Mapping[str, MonthCopy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptSymbol:
    """What the folder keeps of one symbol of one collection, for people."""

    symbol: str
    source: str
    bars: int
    months: tuple[str, ...]
    size_bytes: int
    used_at: float


class BarsCopies:
    """The folder of copies below a home, bounded in size."""

    def __init__(self, home: Path, limit_bytes: int) -> None:
        self.folder = home.expanduser().absolute() / FOLDER
        self.limit_bytes = limit_bytes

    def symbol_copy(self, collection_id: str, symbol: str) -> "SymbolCopy":
        """Return the place of one symbol's copies."""
        return SymbolCopy(self.folder / collection_id / quote(symbol, safe=""))

    def kept(self) -> list[KeptSymbol]:
        """Return what is there, the one used longest ago first."""
        found = []
        for folder in self._symbol_folders():
            record = SymbolCopy(folder).record()
            with contextlib.suppress(OSError):
                found.append(
                    KeptSymbol(
                        unquote(folder.name),
                        record.source if record else "unknown",
                        sum(copy.rows for copy in record.months.values()) if record else 0,
                        tuple(sorted(record.months)) if record else (),
                        sum(path.stat().st_size for path in folder.iterdir()),
                        (folder / _RECORD if record else folder).stat().st_mtime,
                    )
                )
        return sorted(found, key=lambda kept: kept.used_at)

    def make_room(self) -> None:
        """Delete the symbols used longest ago until what is left fits the limit."""
        sizes = []
        for folder in self._symbol_folders():
            with contextlib.suppress(OSError):
                files = [path.stat() for path in folder.iterdir()]
                used_at = max((file.st_mtime for file in files), default=0.0)  # a full disk leaves empty folders
                sizes.append((used_at, sum(file.st_size for file in files), folder))
        too_much = sum(size for _, size, _ in sizes) - self.limit_bytes
        for _, size, folder in sorted(sizes):
            if too_much <= 0:
                return
            SymbolCopy(folder).forget()  # first, so that who reads it now does not take it for damaged
            shutil.rmtree(folder, ignore_errors=True)
            too_much -= size

    def clear(self) -> None:
        """Delete all copies.

        Raises
        ------
        OSError
            Where something can not be deleted.
        """
        for folder in self._symbol_folders():
            SymbolCopy(folder).forget()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _symbol_folders(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            for collection in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    yield from collection.iterdir()


class SymbolCopy:
    """The folder that holds the copies of one symbol's bars."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self) -> Record | None:
        """Return the record; None where there is none that can be read."""
        try:
            found = json.loads((self.folder / _RECORD).read_bytes())
            if found.pop("format") != _FORMAT:
                return None
            months = {month: MonthCopy(**copy) for month, copy in found.pop("months").items()}
            token = json_util.loads(json.dumps(found["token"]), json_options=json_util.CANONICAL_JSON_OPTIONS)
            return Record(**found | {"token": token, "moment": Moment(**found["moment"])}, months=months)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, BSONError):
            return None

    def write_record(self, record: Record) -> None:
        """Replace the record, whole or not at all, and delete the files that it does not name.

        Raises
        ------
        OSError
            Where it can not be written.
        """
        named = {copy.file_name(month) for month, copy in record.months.items()}
        # A token may hold bytes, which JSON alone does not have.
        token = json.loads(json_util.dumps(record.token, json_options=json_util.CANONICAL_JSON_OPTIONS))
        _replace(self.folder / _RECORD, json.dumps({"format": _FORMAT, **asdict(record), "token": token}).encode())
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process tidies up too
                is_new = path.name.startswith(".") and time.time() - path.stat().st_mtime < _WRITTEN_WITHIN_S
                if path.name not in named and path.name != _RECORD and not is_new:
                    path.unlink()

    def note_use(self) -> None:
        """Note that the copies were used now, so that others are deleted before them."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / _RECORD)

    def forget(self) -> None:
        """Let nobody use these copies any more."""
        with contextlib.suppress(OSError):
            (self.folder / _RECORD).unlink(missing_ok=True)

    def has_month(self, month: str, copy: MonthCopy) -> bool:
        """Tell whether the file of a month is there in its length; what is in it is looked at when it is read."""
        try:
            size = (self.folder / copy.file_name(month)).stat().st_size if copy.rows else 0
        except OSError:
            return False
        return size == copy.rows * _VALUE_BYTES * len(copy.digests)

    def write_month(self, month: str, until_ms: int, columns: Mapping[str, Column]) -> MonthCopy:
        """Store the columns of a month and return what the record has to say of them.

        Raises
        ------
        OSError
            Where they can not be written.
        """
        parts = {name: np.ascontiguousarray(column) for name, column in columns.items()}
        rows = len(next(iter(parts.values())))
        copy = MonthCopy(rows, until_ms, {name: zlib.crc32(part.data) for name, part in parts.items()})
        if rows:
            _replace(self.folder / copy.file_name(month), *(part.data for part in parts.values()))
        return copy

    def read_month(self, month: str, copy: MonthCopy, targets: Mapping[str, Column]) -> None:
        """Read columns of a month into arrays of 8-byte values of its length.

        Raises
        ------
        DamagedCopyError
            Where the file is gone, or is not byte for byte what was written.
        """
        if not copy.rows:
            return
        path = self.folder / copy.file_name(month)
        size = copy.rows * _VALUE_BYTES
        names = list(copy.digests)
        try:
            with path.open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != size * len(names):
                    raise DamagedCopyError(self.folder, f"{path} has another length than it was written with")
                for name, target in targets.items():
                    file.seek(names.index(name) * size)
                    if file.readinto(target.data) != size or zlib.crc32(target.data) != copy.digests[name]:
                        raise DamagedCopyError(self.folder, f"{path} is not what was written")
        except (OSError, ValueError) as error:
            raise DamagedCopyError(self.folder, f"{path} can not be read: {error}") from None


def _replace(path: Path, *parts: "bytes | memoryview") -> None:
    """Write a file aside and move it to its place. It is not synced: after a power cut its digest tells."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{np.random.default_rng().integers(2**32):08x}")
    try:
        with aside.open("wb", buffering=0) as file:
            for part in parts:
                rest = memoryview(part).cast("B")
                while rest:
                    rest = rest[file.write(rest) :]
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@lru_cache(maxsize=4096)
def month_of(time_ms: int) -> str:
    """Return the month in which a time lies, such as '2022-01'."""
    return str(np.datetime64(time_ms, "ms").astype("datetime64[M]"))


@lru_cache(maxsize=4096)
def month_bounds(month: str) -> tuple[int, int]:
    """Return begin and end of a month, in ms."""
    begin = np.datetime64(month, "M")
    return int(begin.astype("datetime64[ms]").astype(np.int64)), int(
        (begin + 1).astype("datetime64[ms]").astype(np.int64)
    )
