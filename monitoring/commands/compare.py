"""signal-monitor compare: live trades beside what the same signals give in the backtest."""

from typing import Annotated

import typer

from monitoring.commands.arguments import AsJson, Consumer, Since, Strategy, Tf, Until, load_settings, scope_of
from monitoring.commands.console import out, print_json
from schemas.errors import InputError
from schemas.mongo import connect

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    strategy: Strategy,
    consumer: Consumer = None,
    tf: Tf = "1m",
    since: Since = None,
    until: Until = None,
    fee: Annotated[
        float | None,
        typer.Option(
            help="What the backtest pays for each fill, as a fraction: 0.001 is 10 bps. Unset: what the bot paid.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold live trades beside the backtest of the same signals, and split what lies between them.

    For each trade: live and backtest profit, and how many basis points of the difference are delay, price and fees;
    then the trades that one side lacks, with the reason. A difference is no error: the exit code is 0.

    Example: signal-monitor compare --strategy btc_momentum --from 2026-11-21
    """
    if fee is not None and not 0 <= fee < 1:
        raise InputError(f"--fee must be a fraction from 0 to below 1, found {fee:g}. Ten basis points are 0.001.")
    with connect(load_settings()) as db:
        scope = scope_of(db, strategy, consumer, tf, since, until)
        from monitoring.chain.comparison import compare_with_backtest  # pandas takes a second
        from monitoring.chain.traded_span import read_span
        from monitoring.report.comparison_table import comparison_object, comparison_text

        found = compare_with_backtest(read_span(db, scope), fee)
    if as_json:
        print_json(comparison_object(found))
    else:
        out.print(comparison_text(found))
