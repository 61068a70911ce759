"""Keeps the venue's state across a kill: a file that only grows, one checked line for each operation.

A line is the CRC-32 of a JSON text in eight hex digits, a space, and that text. The first line is the header, the
second holds the whole state at the venue's last start, and each further one what an operation changed. A line is
written by one call before anybody hears of the operation, so a killed process loses nothing that was told; what a cut
of power may lose without fsync is the end of the file. A last line that is torn was never told and is cut off.
"""

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from paper_exchange.errors import StartError
from paper_exchange.market.instrument import Instrument
from paper_exchange.trading.errors import JournalError
from paper_exchange.trading.state import Record, State

if sys.platform != "win32":
    import fcntl

_FORMAT, _VERSION = "paper-exchange journal", 1
_CRC_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal belongs to.

    Parameters
    ----------
    clock
        The clock's mapping of wall time to venue time, as the venue wrote it.
    symbols
        Base, quote, tick and lot by symbol; the latter two in units of 1e-8.
    """

    clock: dict[str, Any]
    symbols: dict[str, list[Any]]

    @classmethod
    def of(cls, instruments: Mapping[str, Instrument], clock: Mapping[str, Any]) -> "Header":
        """Return the header for a market and a clock."""
        rules: dict[str, list[Any]] = {
            name: [one.base, one.quote, one.tick, one.lot] for name, one in instruments.items()
        }
        return cls(dict(clock), rules)


def read_header(path: Path) -> Header | None:
    """Return the header of the journal at `path`; None where there is no journal yet.

    Raises
    ------
    StartError
        Where the file can not be read or is no journal.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"--journal {path} can not be read: {error.strerror}.") from None
    return _header(path, first) if first else None


class Journal:
    """An open journal, which no other venue can open.

    Parameters
    ----------
    path
        The file; made where there is none.
    header
        The market and the clock of this venue. A journal of another market is refused.
    fsync
        Whether each record is on the disk before `append` returns.

    Raises
    ------
    StartError
        Where the file can not be used; the message says why and what to do.
    """

    def __init__(self, path: Path, header: Header, *, fsync: bool = False) -> None:
        self.path = path
        self._fsync = fsync
        try:
            old = _open_locked(path)
            try:
                self.state, self.cut_bytes = _read(path, old, header)
                self._file = _compact(path, header, self.state)
            finally:
                os.close(old)
        except OSError as error:
            raise StartError(f"--journal {path} can not be used: {error.strerror}.") from None
        self._size = os.fstat(self._file).st_size

    def append(self, record: Record) -> None:
        """Write one record, all of it or nothing.

        Raises
        ------
        JournalError
            Where the file does not take it; what was written of it is cut off again.
        """
        line = _line(record)
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(0, f"only {written} of {len(line)} bytes were taken; the disk may be full")
            if self._fsync:
                os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):  # a torn line at the end is cut off when the file is opened again
                os.ftruncate(self._file, self._size)
            raise JournalError(
                f"The journal {self.path} could not be written: {error.strerror}. The venue keeps what it has "
                "acknowledged and takes nothing more; make room and start it again."
            ) from error
        self._size += len(line)

    def close(self) -> None:
        """Close the file; another venue may open it then."""
        os.close(self._file)


def _line(document: Record) -> bytes:
    try:
        text = orjson.dumps(document)
    except TypeError:  # an amount beyond 64 bits, which orjson does not write
        text = json.dumps(document, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Record | None:
    """Return a line's document; None where the line is not whole."""
    text = line[_CRC_DIGITS + 1 : -1]
    if line[-1:] != b"\n" or line[:_CRC_DIGITS] != b"%08x" % zlib.crc32(text):
        return None
    # Not orjson: it reads an integer beyond 64 bits as a float, without a word.
    document = json.loads(text)
    return document if isinstance(document, dict) else None


def _header(path: Path, line: bytes) -> Header:
    document = _parsed(line)
    if document is None or document.get("format") != _FORMAT:
        raise StartError(
            f"--journal {path} is no journal of paper-exchange; name another file, or one that is not there."
        )
    if document["version"] != _VERSION:
        raise StartError(
            f"--journal {path} has version {document['version']}, and this paper-exchange reads version {_VERSION}; "
            "use the release that wrote it, or name another file."
        )
    return Header(document["clock"], document["symbols"])


def _read(path: Path, file: int, header: Header) -> tuple[State, int]:
    """Return the state in a journal, and how many bytes of a torn last line were left out."""
    state = State()
    with os.fdopen(os.dup(file), "rb") as lines:
        first = lines.readline()
        if not first:
            return state, 0
        _check_market(path, _header(path, first), header)
        for document, torn in _records(path, lines):
            if document is None:
                return state, torn
            state.apply(document)
    return state, 0


def _records(path: Path, lines: BinaryIO) -> Iterator[tuple[Record | None, int]]:
    for number, line in enumerate(lines, start=2):
        document = _parsed(line)
        if document is None and lines.read(1):
            raise StartError(
                f"--journal {path} is damaged at line {number}, and more follows: the disk or a person changed it. "
                "Restore the file from a copy, or name another one to begin anew."
            )
        yield document, len(line)


def _check_market(path: Path, found: Header, wanted: Header) -> None:
    for symbol, rules in found.symbols.items():
        if symbol not in wanted.symbols:
            raise StartError(
                f"--journal {path} is of a venue that lists {', '.join(found.symbols)}; {symbol} is not among this "
                f"one's {', '.join(wanted.symbols)}. Start it with the same bars, or name another journal."
            )
        if rules != wanted.symbols[symbol]:
            raise StartError(
                f"--journal {path} has {symbol} with base, quote, tick and lot (in 1e-8) {rules}, and this venue's "
                f"bars give {wanted.symbols[symbol]}. Start it with the same bars, or name another journal."
            )


def _open_locked(path: Path) -> int:
    """Return the open file, which is the one at `path` and locked against other venues."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(path, file)
            # Another venue may have put a compacted file in its place between the two calls, and ended.
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(path: Path, file: int) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"--journal {path} is in use by another venue; end that one, or name another file.") from None


def _compact(path: Path, header: Header, state: State) -> int:
    """Put a new file with the state in one record in the old one's place; return it, open and locked."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _lock(draft, file)
        first = {"format": _FORMAT, "version": _VERSION, "clock": header.clock, "symbols": header.symbols}
        _write_all(file, _line(first) + _line(state.record()))
        os.fsync(file)
        draft.replace(path)
    except BaseException:
        os.close(file)
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return file


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
