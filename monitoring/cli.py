"""The command `signal-monitor`: each sub-command is a module of monitoring.commands, imported when it is asked for."""

import typer

from schemas.command_group import lazy_group
from schemas.console import run_command

COMMANDS = {
    "run": "run",
    "check": "check",
    "latency": "latency",
    "reconcile": "reconcile",
    "compare": "compare",
    "report": "report",
    "test-alert": "test_alert",
}

app = typer.Typer(
    name="signal-monitor",
    cls=lazy_group("monitoring.commands", COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: signal-monitor check",
)


@app.callback()
def monitor() -> None:
    """Watch signals on their way: bar closed, exported, seen by a bot, ordered, filled."""


def main() -> None:
    """Run the command: errors become a sentence and an exit code."""
    run_command(app)
