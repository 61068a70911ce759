"""docs/importing.md tells the truth about options, reasons and exit codes."""

import re
from pathlib import Path
from typing import get_args

import typer

from importers.bars import Reason
from importers.cli import ROWS_REJECTED, app
from importers.followed_series import MOST_HELD, Timing
from importers.intake import RECHECKED_BARS, UNCONFIRMED_BARS
from schemas.console import INTERRUPTED, TERMINATED
from schemas.documents import GapState
from schemas.errors import InputError, StoreError, VenueError

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)


def test_every_option_is_listed() -> None:
    """The table names each option of the command, and none that it does not have."""
    command = typer.main.get_command(app)
    own = {option for parameter in command.params for option in parameter.opts if "completion" not in option}
    listed = {option for row in ROWS for option in re.findall(r"`(--[a-z-]+)", row)}
    assert listed == own


def test_every_reason_is_listed() -> None:
    """Each reason for which a row is refused is explained."""
    listed = {name for row in ROWS for name in re.findall(r"`([a-z_]+)`", row)}
    assert set(get_args(Reason)) | set(get_args(GapState)) <= listed


def test_every_exit_code_is_listed() -> None:
    """The codes are those of the errors."""
    codes = {
        InputError.exit_code,
        StoreError.exit_code,
        VenueError.exit_code,
        ROWS_REJECTED,
        0,
        INTERRUPTED,
        TERMINATED,
    }
    assert {int(row) for row in ROWS if row.isdigit()} == codes


def test_the_figures_of_following_are_those_of_the_code() -> None:
    """The page's seconds and counts are the defaults."""
    timing = Timing()
    assert (timing.grace_s, timing.settle_s, timing.confirm_every_s) == (0.5, 5, 60)
    assert f"brought no candle for {timing.silence_s:g} s" in PAGE
    assert f"{timing.reconnect_max_s:g} s at most" in PAGE
    assert f"the newest {RECHECKED_BARS:,} bars, or {UNCONFIRMED_BARS} bars back" in PAGE
    assert f"Up to {MOST_HELD:,} bars" in PAGE


def test_the_events_of_following_are_listed() -> None:
    """Each thing that may be away has its pair of events."""
    for what in ("stream", "venue", "store"):
        assert f"| `{what}_away`, `{what}_back` |" in PAGE
