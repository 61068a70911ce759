"""signal-monitor check: one look, for people and for monitoring systems that read exit codes."""

import typer

from monitoring.alerts.rules import judge
from monitoring.alerts.verdict import Verdict, joined
from monitoring.commands.arguments import AsJson, Watch, load_settings
from monitoring.commands.console import out, print_json
from monitoring.facts import Look
from monitoring.look import looker_at
from monitoring.problem import Problem, Severity
from monitoring.report.health_table import health_object, health_text
from monitoring.sources.store_health import open_store, read_store_health
from monitoring.watch_file import WatchFile
from monitoring.witnesses import open_witnesses
from schemas.mongo import serve
from schemas.settings import Settings

app = typer.Typer(add_completion=False)
_PATIENCE_S = 10.0


@app.command()
def check(watch: Watch = None, as_json: AsJson = False) -> None:
    """Look once and list what is wrong: exit code 0 healthy, 1 warning, 2 critical.

    The first line sums it up. A side that does not answer at once is wrong at once; `run` gives it time. While MongoDB
    is away no other side is asked. Nothing is written and no alert is sent.

    Examples:

      signal-monitor check

      signal-monitor check --watch watch.yaml --json
    """
    settings = load_settings()
    file = WatchFile.read(watch) if watch else WatchFile()
    look = _look(settings, file)
    verdict = judge(look, file.rules)
    if look.store.error is None and not look.strategies:
        text = (
            "Nothing is watched: no strategy has exported within a day, and no watch file names one. Is this the "
            f"database that is meant ({settings.db})?"
        )
        verdict = joined([verdict, Verdict((Problem("check", "strategies", Severity.WARNING, text, look.at),))])
    if as_json:
        print_json(health_object(look, verdict))
    else:
        out.print(health_text(look, verdict), soft_wrap=not out.is_terminal)  # a machine reads whole sentences
    raise typer.Exit(int(verdict.severity))


def _look(settings: Settings, file: WatchFile) -> Look:
    """Look at MongoDB, and where it answers at all else: to open and to wait for bots and venues takes many seconds."""
    with serve(settings) as served, open_store(served) as store:
        answer = read_store_health(store.db, store.uri)
        if answer.health.error is not None:
            return Look(answer.at, answer.at, answer.health)
        with open_witnesses(settings, file) as witnesses, looker_at(store, file, witnesses) as looker:
            return looker.look(_PATIENCE_S)
