"""How the monitor's commands print: tables for people, JSON for machines."""

import sys
from typing import Any

import orjson
import typer
from rich.console import Console

out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def print_json(value: Any) -> None:
    """Print exactly one JSON object on standard output."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
