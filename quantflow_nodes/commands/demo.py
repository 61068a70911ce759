"""quantflow demo: the main job from end to end, on a server and a venue of its own."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow_nodes.commands.console import out
from quantflow_nodes.demo import Demo
from schemas.console import DISAGREES

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    bars: Annotated[
        Path | None,
        typer.Option(
            help="A CSV (.gz too) of 1m bars to replay; without it a seeded generator makes them.", exists=True
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where report.html is left.")] = Path("demo-run"),
) -> None:
    """Bars in, a graph run, signals out, Freqtrade trades them: all on this machine, nothing left running.

    Exit code 0 only if every trade of ours agrees with Freqtrade's.

    Examples: quantflow demo; quantflow demo --bars my_1m_bars.csv.gz
    """

    def say(line: str) -> None:
        out.print(line, soft_wrap=True, markup=False)

    if not Demo(bars, folder, say).run():
        raise typer.Exit(DISAGREES)
