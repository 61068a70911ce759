"""The command `quantflow`: its sub-commands, one file each in quantflow_nodes.commands."""

from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

from quantflow_nodes.commands import check, db, demo, execute, nodes, parity, run, runs
from schemas.console import run_command

app = typer.Typer(
    name="quantflow",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: quantflow demo",
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("nodes")(nodes.nodes)
app.command("runs")(runs.runs)
app.command("parity")(parity.parity)
app.command("demo")(demo.demo)
app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(execute.execute)
app.add_typer(db.app, name="db")


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Run node graphs over bars in MongoDB: factors, positions, backtests, and signals for Freqtrade."""
    if version:
        typer.echo(f"quantflow {distribution_version('quantflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    run_command(app)
