"""docs/importing.md tells the truth about options, reasons and exit codes."""

import re
from pathlib import Path
from typing import get_args

import typer

from importers.bars import Reason
from importers.cli import ROWS_REJECTED, app
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
    codes = {InputError.exit_code, StoreError.exit_code, VenueError.exit_code, ROWS_REJECTED, 0, 130}
    assert {int(row) for row in ROWS if row.isdigit()} == codes
