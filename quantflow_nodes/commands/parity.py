"""quantflow parity: our trades beside Freqtrade's, trade by trade."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson, Changes, GraphPath
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.commands.step_progress import step_progress
from quantflow_nodes.graph import load_graph
from quantflow_nodes.parity import Parity, graph_parity
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.programs import make_folder
from schemas.console import DISAGREES, configure_logging
from schemas.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def parity(
    graph: GraphPath,
    change: Changes = None,
    show: Annotated[int, typer.Option(min=0, help="Trades to show from each end; differences are always shown.")] = 5,
    keep: Annotated[Path | None, typer.Option(help="Keep Freqtrade's folder, with its log and results, here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a graph, trade its signals with `freqtrade backtesting`, and compare trade by trade.

    The graph runs as with `quantflow run`: its signals are published under its strategy_id.

    Times and rates must be equal, profit ratios within 1e-12. Exit code 7 where any trade differs. Needs the extras
    freqtrade and venue.

    Example: quantflow parity examples/btc_momentum_1m.yaml --json
    """
    settings = Settings.load()
    configure_logging(settings)
    plan = plan_graph(load_graph(graph, change))
    with tempfile.TemporaryDirectory(prefix="quantflow-parity-") as folder, step_progress(quiet=as_json) as progress:
        result = graph_parity(plan, settings, make_folder(keep.absolute()) if keep else Path(folder), progress)
    if as_json:
        print_json(result.as_dict())
    else:
        print_parity(result, show)
    if not result.agrees:
        raise typer.Exit(DISAGREES)


def print_parity(result: Parity, show: int) -> None:
    """Print the trades of both sides and what they come to."""
    table = result.table
    rows = table.index.isin(table.index[:show]) | table.index.isin(table.index[len(table) - show :]) | ~table["equal"]
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    several = table["symbol"].nunique() > 1
    titles = ["opened (UTC)", "closed", "rates", "ours", "Freqtrade", ""]
    for title in ["symbol", *titles] if several else titles:
        shown.add_column(title, justify="right", no_wrap=True)
    for row in table.loc[rows].to_dict("records"):
        shown.add_row(*([row["symbol"]] if several else []), *_cells(row))
    out.print(shown)
    if int(rows.sum()) < len(table):
        out.print(f"… {len(table) - int(rows.sum()):,} more trades are equal and not shown.")
    for difference in result.differences:
        out.print(f"[red]{difference.symbol} {difference.open_time}[/red]: {escape(difference.what)}", soft_wrap=True)
    if result.missing_bars:
        out.print(
            f"{result.missing_bars:,} bars are missing. Freqtrade puts flat candles in their place, so that trades "
            "decided just before a gap may differ."
        )
    out.print(
        f"ours {result.ours:,}, Freqtrade {result.freqtrade:,}, equal {result.equal:,}, "
        f"largest difference of profit ratios {result.max_profit_ratio_diff:.1e}: "
        + ("every trade agrees." if result.agrees else "the two sides do not agree.")
    )


def _cells(row: dict[Any, Any]) -> list[str]:
    side = "freqtrade" if row["_merge"] == "right_only" else "ours"
    return [
        f"{row['open_time']:%Y-%m-%d %H:%M}",
        f"{row[f'close_time_{side}']:%m-%d %H:%M}",
        f"{row[f'open_rate_{side}']:g} → {row[f'close_rate_{side}']:g}",
        f"{row['profit_ratio_ours']:+.6f}",
        f"{row['profit_ratio_freqtrade']:+.6f}",
        "equal" if row["equal"] else "[red]differs[/red]",
    ]
