"""signal-monitor latency: how long signals took from a bar's close to each stage."""

from typing import Annotated

import typer

from monitoring.chain.unseen_bot import check_seen
from monitoring.commands.arguments import AsJson, Since, Until, load_settings, span_of
from monitoring.commands.console import out, print_json
from monitoring.report.latency_table import latency_object, latency_page
from monitoring.sources.span_signals import read_span
from schemas.mongo import connect, server_time
from schemas.timeframes import Timeframe

app = typer.Typer(add_completion=False)


@app.command()
def latency(
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="The strategy_id of the signals. Unset: all strategies.")
    ] = None,
    consumer: Annotated[str | None, typer.Option(help="The bot that trades them. Unset: each one that does.")] = None,
    tf: Annotated[str | None, typer.Option("--tf", help="Length of the bars. Unset: all.")] = None,
    since: Since = None,
    until: Until = None,
    summary: Annotated[bool, typer.Option("--summary", help="Show the figures without a row for each signal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how long signals took from their bar's close to each stage: percentiles, the share in time, each signal.

    Example: signal-monitor latency --strategy btc_momentum --summary
    """
    timeframe = None if tf is None else Timeframe.parse(tf)
    with connect(load_settings()) as db:
        start, end = span_of(db, since, until)
        if consumer is not None:
            check_seen(db, strategy, consumer)
        found = read_span(db, start, end, server_time(db), strategy_id=strategy, timeframe=timeframe, consumer=consumer)
    shown = [one for one in found if one.chains]
    if as_json:
        print_json(latency_object(shown, with_signals=not summary))
    elif shown:
        out.print(latency_page(shown, with_signals=not summary))
    else:
        of = f" of {strategy}" if strategy else ""
        typer.echo(f"No signals{of}{f' {tf}' if tf else ''} are stored for that time.", err=True)
