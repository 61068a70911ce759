"""quantflow exec: runs any command with the MongoDB server held and its address in the environment."""

import os

import typer

from schemas.console import configure_logging
from schemas.embedded import EmbeddedServer, exec_with_lease
from schemas.errors import InputError
from schemas.settings import Settings

app = typer.Typer(add_completion=False)


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def execute(context: typer.Context) -> None:
    """Run a command with the server held for as long as it runs, and EXT_SIG_MONGO_URI and EXT_SIG_DB set.

    This process becomes the command: signals reach it, and its exit code is the command's.

    Example: quantflow exec -- freqtrade trade --strategy ExternalSignalStrategy -c config.json
    """
    command = context.args
    if not command:
        raise InputError("A command was needed: quantflow exec -- COMMAND [ARGUMENT ...].")
    settings = Settings.load()
    configure_logging(settings)
    try:
        if settings.mongo_uri is not None:
            os.execvpe(command[0], command, _environment(settings, settings.mongo_uri.get_secret_value()))  # noqa: S606
        server = EmbeddedServer(settings.home)
        with server.open_lease() as lease:
            exec_with_lease(lease, command, _environment(settings, server.running().uri))
    except OSError as error:
        raise InputError(f"The command {command[0]} can not be run: {error.strerror}.") from None


def _environment(settings: Settings, uri: str) -> dict[str, str]:
    return os.environ | {
        "EXT_SIG_MONGO_URI": uri,
        "EXT_SIG_DB": settings.db,
        "QUANTFLOW_MONGO_URI": uri,
        "QUANTFLOW_DB": settings.db,
    }
