"""The command `quantflow`: each sub-command is a module of quantflow_nodes.commands, imported when it is asked for."""

from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

from schemas.command_group import lazy_group
from schemas.console import run_command

COMMANDS = {
    "run": "run",
    "sweep": "sweep",
    "live": "live",
    "lookahead": "lookahead",
    "check": "check",
    "nodes": "nodes",
    "runs": "runs",
    "parity": "parity",
    "replay": "replay",
    "audit": "audit",
    "demo": "demo",
    "demo-live": "demo_live",
    "exec": "execute",
    "db": "db",
}


app = typer.Typer(
    name="quantflow",
    cls=lazy_group("quantflow_nodes.commands", COMMANDS),
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: quantflow demo",
)


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
