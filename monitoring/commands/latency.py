"""signal-monitor latency: how long signals took from a bar's close to each stage."""

import typer

from monitoring.chain.signal_chain import read_stored, signal_chains
from monitoring.commands.arguments import AsJson, Consumer, Since, Strategy, Tf, Until, load_settings, scope_of
from monitoring.commands.console import out, print_json
from monitoring.report.tables import chains_object, chains_table
from schemas.mongo import connect

app = typer.Typer(add_completion=False)


@app.command()
def latency(
    strategy: Strategy,
    consumer: Consumer = None,
    tf: Tf = "1m",
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List signals with the milliseconds from their bar's close to each stage, and the percentiles of each.

    Example: signal-monitor latency --strategy btc_momentum
    """
    with connect(load_settings()) as db:
        scope = scope_of(db, strategy, consumer, tf, since, until)
        chains = signal_chains(read_stored(db, scope), scope.timeframe)
    if as_json:
        print_json(chains_object(chains))
    elif chains:
        out.print(chains_table(chains))
    else:
        typer.echo(f"No signals of {strategy} {tf} are stored for that time.", err=True)
