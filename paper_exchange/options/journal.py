"""Options that keep the venue's state on disk, and how a venue that is started again goes on with its time."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from paper_exchange.clock import Clock, ClockMapping, RunningClock, StandingClock
from paper_exchange.errors import StartError
from paper_exchange.market.market import Market
from paper_exchange.trading.journal import Header, Journal, read_header

JournalFile = Annotated[Path | None, typer.Option("--journal", help="Keep accounts and orders in this file.")]
JournalFsync = Annotated[bool, typer.Option("--journal-fsync", help="Have each record on the disk, not only written.")]


def continued_clock(path: Path | None, clock: Clock) -> Clock:
    """Return the clock with which a journal's venue goes on: a running one keeps to the line it was started on.

    Raises
    ------
    StartError
        Where the journal's venue ran at another speed.
    """
    header = None if path is None else read_header(path)
    if header is None:
        return clock
    kept = ClockMapping(**header.clock)
    if kept.speed != clock.mapping.speed:
        raise StartError(
            f"--journal {path} is of a venue at speed {kept.speed:g}, found speed {clock.mapping.speed:g}. "
            "Start it with the same --speed, or name another journal."
        )
    if isinstance(clock, RunningClock):
        return RunningClock.of(replace(kept, stop_ms=clock.stop_ms))
    return clock


def open_journal(path: Path | None, markets: dict[str, Market], clock: Clock, *, fsync: bool) -> Journal | None:
    """Return the open journal, with a note on stderr where its last record was torn.

    Raises
    ------
    StartError
        Where the file can not be used, is of another market, or holds what lies in this clock's future.
    """
    if path is None:
        if fsync:
            raise StartError("--journal-fsync needs --journal FILE.")
        return None
    if not path.parent.is_dir():
        raise StartError(f"--journal {path} can not be written: there is no folder {path.parent}.")
    header = Header.of({symbol: market.instrument for symbol, market in markets.items()}, asdict(clock.mapping))
    journal = Journal(path, header, fsync=fsync)
    if journal.cut_bytes:
        typer.echo(f"Note: the last record of {path} was not whole and was never told; it is cut off.", err=True)
    if isinstance(clock, StandingClock) and clock.now_ms() < journal.state.last_ms:
        journal.close()
        raise StartError(
            f"--journal {path} has come to {journal.state.last_ms} (ms since 1970), and the clock stands before that, "
            f"at {clock.now_ms()}. Give a later --start, or name another journal."
        )
    return journal
