"""quantflow replay: an older stretch traded again, beside what happened then."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import err, out, print_json
from quantflow_nodes.programs import make_folder
from quantflow_nodes.replay import Comparison, Observer, ReplayRequest, replay
from schemas.console import DISAGREES, configure_logging
from schemas.errors import InputError
from schemas.settings import Settings
from schemas.timeframes import Timeframe, parse_time

_OWN = ("EXT_SIG_MONGO_URI", "EXT_SIG_DB", "EXT_SIG_COLLECTION", "EXT_SIG_STRATEGY_ID", "EXT_SIG_CONSUMER")

app = typer.Typer(add_completion=False)


@app.command("replay")
def replay_stretch(
    strategy: Annotated[str, typer.Option(help="The strategy_id of the signals.")],
    consumer: Annotated[str, typer.Option(help="The bot that traded them then.")],
    start: Annotated[str, typer.Option("--from", help="First bar's open, ISO, UTC.")],
    end: Annotated[str, typer.Option("--to", help="End, not included.")],
    tf: Annotated[str, typer.Option("--tf", help="Length of the signals' bars.")] = "1m",
    speed: Annotated[float, typer.Option(min=1, max=60, help="How many times as fast as then.")] = 20.0,
    stake: Annotated[
        float | None, typer.Option(min=0, help="What an entry is worth; unset: as the first then.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep Freqtrade's folder, with its log, here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Trade an older stretch again, with the signals as they were known, and compare the fills with those of then.

    Bars and signals come from the store; a paper-exchange replays the bars, Freqtrade trades in live mode by the
    replay's clock, with the EXT_SIG_* settings of the environment. The store is only read. Exit code 7 where a signal
    was filled then and not now, or now and not then. Needs the extras embedded, freqtrade and venue.

    Example: quantflow replay --strategy btc_momentum --consumer quantflow --from 2026-11-21T09:00 --to 2026-11-21T10:00
    """
    settings = Settings.load()
    configure_logging(settings)
    first, last = parse_time(start, "--from"), parse_time(end, "--to")
    if first >= last:
        raise InputError(f"--from must lie before --to, found {first.isoformat()} and {last.isoformat()}.")
    with tempfile.TemporaryDirectory(prefix="quantflow-replay-") as temporary:
        folder = make_folder(keep.absolute()) if keep else Path(temporary)
        own = {name: value for name, value in os.environ.items() if name.startswith("EXT_SIG_") and name not in _OWN}
        request = ReplayRequest(strategy, consumer, Timeframe.parse(tf), first, last, speed, stake, folder, own)
        with _progress(first, last, quiet=as_json) as observe:
            compared = replay(request, settings, observe)
    if as_json:
        print_json(as_object(compared))
    else:
        print_comparisons(compared)
    if not all(one.agrees for one in compared):
        raise typer.Exit(DISAGREES)


def as_object(compared: list[Comparison]) -> dict[str, Any]:
    """Return the comparison as plain JSON values."""
    return {
        "agrees": all(one.agrees for one in compared),
        "fills": [
            {
                "pair": one.pair,
                "ts": one.ts.isoformat(),
                "side": one.side,
                "difference_bps": one.difference_bps,
                **{
                    name: None
                    if side is None
                    else {"price": str(side.price), "amount": str(side.amount), "delay_ms": side.delay_ms}
                    for name, side in (("then", one.then), ("replayed", one.replayed))
                },
            }
            for one in compared
        ],
    }


def print_comparisons(compared: list[Comparison]) -> None:
    """Print a row for each signal that was filled, then or now, and what they come to."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    several = len({one.pair for one in compared}) > 1
    for title in (["pair"] if several else []) + ["bar (UTC)", "side"]:
        table.add_column(title, no_wrap=True)
    for title in ("then", "ms", "now", "ms", "bps", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for one in compared:
        cells = [cell for side in (one.then, one.replayed) for cell in _cells(side)]
        bps = one.difference_bps
        verdict = "both" if one.agrees else f"[red]only {'then' if one.replayed is None else 'now'}[/red]"
        shown = "–" if bps is None else f"{bps:+.2f}"
        own = [one.pair] if several else []
        table.add_row(*own, f"{one.ts:%Y-%m-%d %H:%M}", one.side, *cells, shown, verdict)
    if compared:
        out.print(table)
    both = [abs(one.difference_bps) for one in compared if one.difference_bps is not None]
    worst = f", prices at most {max(both):.2f} bps apart" if both else ""
    out.print(f"Fills compared: {len(compared):,}, both then and now: {len(both):,}{worst}.")


def _cells(side: Any) -> tuple[str, str]:
    return ("–", "–") if side is None else (f"{side.price:,.2f}", f"{side.delay_ms:,.0f}")


@contextmanager
def _progress(first: datetime, last: datetime, *, quiet: bool) -> Iterator[Observer]:
    if quiet:
        yield lambda _now: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting", total=(last - first).total_seconds())

        def observe(now: datetime) -> None:
            done = max(0.0, (now - first).total_seconds())
            progress.update(task, completed=done, description=f"{now:%Y-%m-%d %H:%M} UTC")

        yield observe
