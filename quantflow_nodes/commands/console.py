"""How our commands print: tables for people on standard output, progress on standard error, JSON for machines."""

import os
import sys
from datetime import timedelta
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_HAS_WIDTH = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
out = Console(highlight=False, width=None if _HAS_WIDTH else 160)
err = Console(stderr=True, highlight=False)

_HISTORY_S = 86_400


def print_json(value: Any) -> None:
    """Print exactly one JSON object on standard output."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def summary_table(title: str, figures: dict[str, Any], *, plain: bool = False) -> Table:
    """Return a table of two columns: what, how much; `plain` leaves names as they are."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in figures.items():
        if value != []:
            shown = name if plain else name.removesuffix("_s").replace("_", " ")
            table.add_row(shown, escape(figure(name, value)))
    return table


def figure(name: str, value: Any) -> str:
    """Return a figure as a person reads it; what is not defined is a dash."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if name == "delay_s" and value > _HISTORY_S:
        return "history"  # how late an export of old bars was says nothing
    if name.endswith("_duration_s") or name == "delay_s":
        return str(timedelta(seconds=round(float(value))))
    if isinstance(value, float):
        from research.metrics import PERCENTAGES  # brings pandas, which many a command does without

        return f"{value * 100:,.2f} %" if name in PERCENTAGES else f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
