"""The command `import-ohlcv`: bars from a venue or from files into MongoDB, and the gaps that remain."""

import signal
import sys
from typing import Annotated

import orjson
import typer

from importers.follow import Followed, run_follow
from importers.follow_report import FollowReport
from importers.gaps import read_gaps
from importers.import_run import Outcome, nothing_done, run_fill, run_import
from importers.intake import ImportRun
from importers.read_only import connect_to_read
from importers.rejects import read_rejects
from importers.request import (
    BarLength,
    FollowRequest,
    Source,
    parsed_address,
    parsed_follow_request,
    parsed_request,
)
from importers.summary import print_gaps, print_rejects, print_summary
from schemas.console import INTERRUPTED, TERMINATED, configure_logging, run_command
from schemas.errors import InputError
from schemas.mongo import connect
from schemas.run_id import new_run_id
from schemas.settings import Settings
from schemas.symbols import parse_names

# Good rows were stored, but some rows were refused: neither a success nor a failure.
ROWS_REJECTED = 6

_EXAMPLES = """\b
Examples:
  import-ohlcv --tf 1m --symbol BINANCE:BTCUSDT,BINANCE:ETHUSDT --since 2022-01-01
  import-ohlcv --tf 1d --symbol BINANCE:BTCUSDT.P
  import-ohlcv --follow --tf 1m --symbol BINANCE:BTCUSDT,BINANCE:ETHUSDT
  import-ohlcv --tf 1m --symbol BINANCE:BTCUSDT --source csv --path bars.csv.gz
  import-ohlcv --tf 1m --symbol BINANCE:BTCUSDT --source binance-dump --path 'BTCUSDT-1m-2022-*.zip'
  import-ohlcv --tf 1d --symbol BINANCE:BTCUSDT --resample-from 1m
  import-ohlcv gaps --symbol BINANCE:BTCUSDT --fill
"""

_GAPS_EXAMPLES = """\b
Examples:
  import-ohlcv gaps
  import-ohlcv gaps --symbol BINANCE:BTCUSDT --tf 1m --fill
"""
_REJECTS_EXAMPLES = """\b
Examples:
  import-ohlcv rejects
  import-ohlcv rejects --symbol BINANCE:BTCUSDT --most 100 --json
"""

app = typer.Typer(
    name="import-ohlcv",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Exchange = Annotated[str | None, typer.Option(help="ccxt's name of the exchange; unset: the symbols' venue.")]
_ExchangeUrl = Annotated[
    str | None, typer.Option(help="Where the exchange is found instead, such as http://127.0.0.1:8080.")
]
_Length = Annotated[str | None, typer.Option(metavar="[1m|1d]", help="The bars' length.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.callback(invoke_without_command=True, epilog=_EXAMPLES)
def import_ohlcv(
    context: typer.Context,
    tf: _Length = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="One symbol or several, such as BINANCE:BTCUSDT or BINANCE:BTC/USDT."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="First open, ISO, UTC. Unset: after the last stored bar.", show_default=False)
    ] = None,
    until: Annotated[str | None, typer.Option(help="End, not included. Unset: the last closed bar.")] = None,
    source: Annotated[
        str, typer.Option(metavar=f"[{'|'.join(Source)}]", help="Where the bars come from.")
    ] = Source.CCXT.value,
    path: Annotated[str | None, typer.Option(help="File, folder or pattern of the files to read.")] = None,
    exchange: _Exchange = None,
    exchange_url: _ExchangeUrl = None,
    resample_from: Annotated[
        str | None, typer.Option(help="1m: make bars of 1d from the stored bars of 1m, complete days only.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on after the import: store every bar as it closes.")
    ] = False,
    follow_for: Annotated[str | None, typer.Option("--for", help="End following after 90s, 10m, 2h or 1d.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="With --follow: no line for each stored bar.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Import closed OHLCV bars from a venue (through ccxt) or from files into MongoDB, each bar once."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    request = parsed_request(
        tf=BarLength.of(tf), symbol=",".join(symbol) if symbol else None, source=Source.of(source), since=since,
        until=until, path=path, exchange=exchange, exchange_url=exchange_url, resample_from=resample_from,
    )  # fmt: skip
    if follow:
        _follow(parsed_follow_request(request, follow_for, dry_run), as_json, quiet)
        return
    if follow_for is not None or quiet:
        raise InputError("--for and --quiet belong to --follow: add it, or leave them out.")
    settings = _settings()
    with connect_to_read(settings) if dry_run else connect(settings) as db:
        outcome = run_import(db, request, dry_run)
    _report(outcome, as_json, dry_run)


@app.command(epilog=_GAPS_EXAMPLES)
def gaps(
    symbol: Annotated[str | None, typer.Option(help="Only gaps of this symbol.")] = None,
    tf: Annotated[str | None, typer.Option(metavar="[1m|1d]", help="Only gaps in bars of this length.")] = None,
    fill: Annotated[bool, typer.Option("--fill", help="Ask the venue for the missing bars and store them.")] = False,
    exchange: _Exchange = None,
    exchange_url: _ExchangeUrl = None,
    as_json: _Json = False,
) -> None:
    """List the gaps in stored bars: open, or absent at the venue. With --fill, refill the open ones."""
    if symbol is not None:
        symbol = _one_name(symbol)
    length = BarLength.of(tf)
    with connect(_settings()) as db:
        if not fill:
            print_gaps(read_gaps(db, symbol, length, ["open", "absent"]), as_json)
            return
        open_gaps = read_gaps(db, symbol, length, ["open"])
        names = [gap.symbol for gap in open_gaps]
        outcome = run_fill(db, parsed_address(names, exchange, exchange_url), open_gaps) if names else nothing_done()
    _report(outcome, as_json, dry_run=False)


@app.command(epilog=_REJECTS_EXAMPLES)
def rejects(
    symbol: Annotated[str | None, typer.Option(help="Only rows of this symbol.")] = None,
    tf: Annotated[str | None, typer.Option(metavar="[1m|1d]", help="Only rows of bars of this length.")] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest rows to list.")] = 20,
    as_json: _Json = False,
) -> None:
    """List the rows that imports refused, with the reason and the row as it came, the newest first."""
    name, length = None if symbol is None else _one_name(symbol), BarLength.of(tf)
    with connect(_settings()) as db:
        print_rejects(read_rejects(db, name, length, most), as_json)


def main() -> None:
    """Run the command: errors become a sentence and an exit code."""
    run_command(app)


def _follow(request: FollowRequest, as_json: bool, quiet: bool) -> None:
    """Follow until the end; the exit code tells a signal, or what could not be had."""
    run = new_run_id()
    report = FollowReport(run, as_json, shows_bars=not quiet and (as_json or sys.stdout.isatty()))
    with connect(_settings()) as db:
        followed = run_follow(request, ImportRun(db, run, "ccxt"), report)
    report.ended()
    _exit_as(followed)


def _exit_as(followed: Followed) -> None:
    for error in followed.errors:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
    if followed.errors:
        raise typer.Exit(followed.errors[0].exit_code)
    if followed.stopped_by is not None:
        raise typer.Exit(INTERRUPTED if followed.stopped_by == signal.SIGINT else TERMINATED)


def _refuse_options_before(context: typer.Context, command: str) -> None:
    """Options before a command are those of an import: the command would not see them, and do more than was meant."""
    sources = {option: context.get_parameter_source(option.name or "") for option in context.command.params}
    given = [option.opts[0] for option, found in sources.items() if found is not None and found.name != "DEFAULT"]
    if given:
        raise InputError(
            f"{', '.join(given)} before {command} would have no effect. Write it behind: import-ohlcv {command} "
            f"{given[0]} ... (import-ohlcv {command} --help lists what {command} takes)."
        )


def _one_name(text: str) -> str:
    names = parse_names(text)
    if len(names) > 1:
        raise InputError(f"--symbol takes one symbol here, found {', '.join(names)}. Leave it out for all.")
    return names[0]


def _settings() -> Settings:
    settings = Settings.load()
    configure_logging(settings)
    return settings


def _report(outcome: Outcome, as_json: bool, dry_run: bool) -> None:
    """Print what was done, then what was not; exit with the first error's code, or that of refused rows."""
    summary = outcome.summary
    if as_json:
        sys.stdout.write(orjson.dumps(summary.as_object()).decode() + "\n")
    else:
        print_summary(summary, dry_run)
        for counts in summary.symbols:
            if counts.fetched == 0 and not outcome.errors:
                typer.echo(f"{counts.symbol} {counts.timeframe}: no bar that is not stored yet was found.", err=True)
    for note in outcome.notes:
        typer.echo(note, err=True)
    for error in outcome.errors:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
    rejected = sum(counts.rejected for counts in summary.symbols)
    if rejected:
        kept = "would be refused" if dry_run else "refused, and kept with their reasons in import_rejects"
        typer.secho(
            f"Rows {kept}: {rejected:,}. The good rows are not affected. `import-ohlcv rejects` lists them.",
            err=True,
            fg=typer.colors.YELLOW,
        )
    if outcome.errors or rejected:
        raise typer.Exit(outcome.errors[0].exit_code if outcome.errors else ROWS_REJECTED)
