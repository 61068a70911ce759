"""The command `quantflow`: its sub-commands, one file each in quantflow_nodes.commands."""

import typer

from quantflow_nodes.commands import check, db, demo, execute, nodes, parity, run, runs
from schemas.console import run_command

app = typer.Typer(
    name="quantflow",
    help="Run node graphs over bars in MongoDB: factors, positions, backtests, and signals for Freqtrade.",
    no_args_is_help=True,
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


def main() -> None:
    """Run the command line."""
    run_command(app)
