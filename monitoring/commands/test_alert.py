"""signal-monitor test-alert: whether messages arrive, before one is needed."""

from datetime import UTC, datetime

import typer

from monitoring.alerts.channels import Channels, read_channels
from monitoring.alerts.message import Message
from monitoring.alerts.verdict import utc
from monitoring.commands.arguments import AsJson, Watch, load_settings
from monitoring.commands.console import print_json
from monitoring.problem import Severity
from monitoring.watch_file import WatchFile
from schemas.errors import SettingsError

app = typer.Typer(add_completion=False)
_NOT_TAKEN = 4  # as for a venue that did not answer: somebody else's side


@app.command("test-alert")
def send_test(watch: Watch = None, as_json: AsJson = False) -> None:
    """Send a test message to every address in QUANTFLOW_ALERT_URLS, and say for each whether it was taken.

    Quiet hours do not hold it back. Taken means that the service said so; look whether it has come. Exit code 4 where
    one did not take it. With --watch the file is checked too.

    Example: signal-monitor test-alert
    """
    settings = load_settings()
    if watch is not None:
        WatchFile.read(watch)
    channels = read_channels(settings.alert_urls)
    if not channels:
        raise SettingsError(
            "There is nobody to send a test to: set QUANTFLOW_ALERT_URLS to addresses as apprise writes them, such as "
            "mailto://user:password@host or tgram://token/chat."
        )
    now = datetime.now(UTC)
    message = Message("TEST: signal-monitor", f"This is a test. Nothing is wrong.\nSeen: {utc(now)}", Severity.HEALTHY)
    answers = Channels(channels).test(message)
    if as_json:
        print_json({"channels": [{"channel": name, "taken": why is None, "why": why} for name, why in answers.items()]})
    else:
        for name, why in answers.items():
            typer.echo(f"{name}: taken" if why is None else f"{name}: not taken: {why}.")
    if any(why is not None for why in answers.values()):
        raise typer.Exit(_NOT_TAKEN)
