"""quantflow db: the database and the embedded server."""

from typing import Annotated, Any

import typer
from pymongo.errors import OperationFailure

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json, summary_table
from quantflow_nodes.commands.db_cache import cache
from quantflow_nodes.commands.db_roles import roles
from schemas.collections import COLLECTIONS, UNAUTHORIZED, Store, ensure_collections, settle_signal_ttl
from schemas.console import configure_logging
from schemas.embedded import EmbeddedServer
from schemas.errors import InputError
from schemas.mongo import connect, pooled_database, serve, store_errors
from schemas.secrets import redact_uri
from schemas.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The database: make its collections and users, start, stop and look at the embedded server.",
)
app.command()(roles)
app.command()(cache)


def _settings() -> Settings:
    settings = Settings.load()
    configure_logging(settings)
    return settings


def _embedded(settings: Settings) -> EmbeddedServer:
    if settings.mongo_uri is not None:
        address = redact_uri(settings.mongo_uri.get_secret_value())
        raise InputError(
            f"QUANTFLOW_MONGO_URI names a server of your own ({address}), which quantflow neither starts nor stops. "
            "Unset it to use the embedded server."
        )
    return EmbeddedServer(settings.home)


@app.command()
def start() -> None:
    """Start the embedded server and let it run until `quantflow db stop`.

    Example: quantflow db start && mongosh "$(quantflow db uri)"
    """
    uri = _embedded(_settings()).keep()
    out.print(f"The embedded MongoDB runs at {uri}", soft_wrap=True)


@app.command()
def stop() -> None:
    """Stop the embedded server; where other processes use it, it stops after the last of them."""
    stopped = _embedded(_settings()).stop()
    out.print("The embedded MongoDB has stopped." if stopped else "The embedded MongoDB did not run.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show which server is used and, where it runs, how many documents each collection holds.

    kept: it runs until `quantflow db stop`; in use: a process holds it now.
    """
    settings = _settings()
    server = EmbeddedServer(settings.home)
    state = server.state()
    running = settings.mongo_uri is not None or (state is not None and state.mongod() is not None)
    shown: dict[str, Any] = {"server": "own" if settings.mongo_uri else "embedded", "running": running}
    if settings.mongo_uri is None:
        shown |= {"folder": str(server.home), "kept": server.keep_path.exists(), "in_use": server.is_leased()}
    if running:
        shown |= _contents(settings)
    if as_json:
        print_json(shown)
        return
    stored = shown.pop("collections", {})
    out.print(summary_table("MongoDB", shown))
    if stored:
        out.print(summary_table("Documents", stored, plain=True))


def _contents(settings: Settings) -> dict[str, Any]:
    with connect(settings) as db:
        counts = {item.name: _count(db, item.name) for item in COLLECTIONS}
        return {"version": db.command("buildInfo")["version"], "database": settings.db, "collections": counts}


def _count(db: Store, collection: str) -> int | None:
    """Return how many documents a collection holds; None where this user may not know."""
    try:
        return db[collection].estimated_document_count()
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return None


@app.command()
def uri() -> None:
    """Print the server's address, for other programs; the embedded server must run (`quantflow db start`).

    An address that holds a password is not printed.
    """
    settings = _settings()
    if settings.mongo_uri is None:
        typer.echo(EmbeddedServer(settings.home).running().uri)
        return
    own = settings.mongo_uri.get_secret_value()
    if redact_uri(own) != own:
        raise InputError(
            f"QUANTFLOW_MONGO_URI names a server of your own ({redact_uri(own)}), and a password is printed nowhere. "
            "Take the address from where you have set it."
        )
    typer.echo(own)


@app.command()
def init() -> None:
    """Make what collections and indexes are missing, and settle how long signals are kept (QUANTFLOW_SIGNAL_TTL_DAYS).

    Doing it again changes nothing.
    """
    settings = _settings()
    with serve(settings) as served, store_errors(served):
        db = pooled_database(served)  # `connect` would make them unseen
        done = ensure_collections(db) + settle_signal_ttl(db, settings.signal_ttl_days)
    for line in done:
        out.print(f"  {line}")
    out.print(f"The database {settings.db} has all {len(COLLECTIONS)} collections and their indexes.")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete the whole database: bars, signals, runs. There is no way back."""
    settings = _settings()
    where = redact_uri(settings.mongo_uri.get_secret_value()) if settings.mongo_uri else f"embedded, {settings.home}"
    if not yes:
        typer.confirm(f"Delete the database {settings.db} ({where}) with all its bars and signals?", abort=True)
    with connect(settings) as db:
        db.client.drop_database(settings.db)
        ensure_collections(db)
        settle_signal_ttl(db, settings.signal_ttl_days)
    out.print(f"The database {settings.db} is empty.")
