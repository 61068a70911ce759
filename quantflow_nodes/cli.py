"""The command `quantflow`: each sub-command is a module of quantflow_nodes.commands, imported when it is asked for."""

import importlib
from importlib.metadata import version as distribution_version
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from schemas.console import run_command

COMMANDS = {
    "run": "run",
    "live": "live",
    "lookahead": "lookahead",
    "check": "check",
    "nodes": "nodes",
    "runs": "runs",
    "parity": "parity",
    "replay": "replay",
    "demo": "demo",
    "demo-live": "demo_live",
    "exec": "execute",
    "db": "db",
}


class _Commands(typer.core.TyperGroup):
    """Imports a command's module when the command is run: pandas takes a second that `quantflow db` need not pay."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's interface
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"quantflow_nodes.commands.{COMMANDS[cmd_name]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="quantflow",
    cls=_Commands,
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
