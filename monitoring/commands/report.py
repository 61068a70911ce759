"""signal-monitor report: one HTML page about a span of time."""

from pathlib import Path
from typing import Annotated

import typer

from monitoring.commands.arguments import AsJson, Since, Until, Watch, load_settings, span_of
from monitoring.commands.console import print_json
from monitoring.watch_file import WatchFile
from schemas.errors import InputError
from schemas.mongo import connect, server_time

app = typer.Typer(add_completion=False)
_DEFAULT_PAGE = Path("signal-report.html")


@app.command()
def report(
    since: Since = None,
    until: Until = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="Only this strategy_id. Unset: all of the span.")
    ] = None,
    watch: Watch = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The page's file. Unset: signal-report.html, or none with --json.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page about a span: latency, exports, live against backtest, findings, alerts and missing bars.

    The page is one HTML file that loads nothing. With --json the same facts are printed, and a page is written where
    -o names one.

    Example: signal-monitor report --from 2026-11-20 --to 2026-11-21 -o friday.html
    """
    named = () if watch is None else WatchFile.read(watch).strategies
    with connect(load_settings()) as db:
        at = server_time(db)
        start, end = span_of(db, since, until)
        from monitoring.report.span_object import span_object  # pandas and plotly take seconds
        from monitoring.report.span_page import lead, render_span
        from monitoring.sources.span_facts import read_span_facts

        facts = read_span_facts(db, start, end, at, named, strategy)
    page = output or (None if as_json else _DEFAULT_PAGE)
    if page is not None:
        _write(page, render_span(facts))
    if as_json:
        print_json(span_object(facts) | {"page": None if page is None else str(page)})
    else:
        typer.echo(f"{lead(facts)}\nThe page is {page}.")


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"The page could not be written to {page}: {error.strerror or error}.") from None
