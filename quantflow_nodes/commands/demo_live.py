"""quantflow demo-live: the live chain at replay speed, on a server and a venue of its own."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow_nodes.commands.console import out
from quantflow_nodes.demo_live import DemoLive
from schemas.console import DISAGREES

app = typer.Typer(add_completion=False)


@app.command()
def demo_live(
    bars: Annotated[
        Path | None,
        typer.Option(
            help="A CSV (.gz too) of 1m bars to replay; without it a seeded generator makes them.", exists=True
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=1, max=60, help="How many times as fast the market's time runs.")] = 20.0,
    minutes: Annotated[int, typer.Option(min=5, max=1440, help="How many bars of 1m are traded.")] = 30,
    folder: Annotated[Path, typer.Option(help="Where the programs' logs are left.")] = Path("demo-run/live"),
) -> None:
    """Bars stream in, signals go out, Freqtrade trades them in live mode: all on this machine, nothing left running.

    Ends with what each signal took from its bar's close to its fill, and holds signals, receipts, fills and the venue's
    orders against each other. Exit code 0 only if nothing is missing and nothing double, 7 otherwise.

    Examples: quantflow demo-live; quantflow demo-live --bars my_1m_bars.csv.gz --speed 30 --minutes 60
    """

    def say(line: str) -> None:
        out.print(line, soft_wrap=True, markup=False)

    if not DemoLive(bars, speed, minutes, folder, say).run():
        raise typer.Exit(DISAGREES)
