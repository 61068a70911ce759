"""quantflow db roles: a user for each side of the chain, with the least that it needs in the database."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json
from quantflow_nodes.database_users import (
    UserPlan,
    plan_users,
    settle_role,
    settle_user,
    user_uri,
)
from quantflow_nodes.secret_files import replaced_secret
from schemas.collections import Store
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.mongo import connect, signed_in_user
from schemas.roles import EVERY_COLLECTION, ROLES
from schemas.settings import Settings


def roles(
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="Write each user's address, with its password, into this folder, such as monitor/quantflow_mongo_uri.",
            metavar="FOLDER",
        ),
    ] = None,
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="Give users that exist another password too.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show what each role may do; ask no server.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the users importer, research, executor and monitor, each with the least that it needs, or update them.

    QUANTFLOW_MONGO_URI names the server, with a user who may make users. Passwords are made, and stand in the files
    only; or they are those of QUANTFLOW_IMPORTER_PASSWORD and so on. Doing it again changes what has to be changed, and
    keeps passwords.

    Examples:

      quantflow db roles --show

      quantflow db roles --secrets ./secrets

      QUANTFLOW_SECRETS_DIR=./secrets/monitor signal-monitor check
    """
    if show:
        _show(as_json)
        return
    settings = Settings.load()
    configure_logging(settings)
    if settings.mongo_uri is None:
        raise InputError(
            "QUANTFLOW_MONGO_URI must name a server with authentication and a user who may make users. The embedded "
            "server has none: it serves this machine's user only."
        )
    with connect(settings) as db:
        plans = plan_users(db, _given(settings), new_passwords=new_passwords)
        if secrets is None:
            _refuse_unkept(plans, settings)
        done = [_settle(db, plan, settings.mongo_uri.get_secret_value(), secrets) for plan in plans]
        open_to_all = signed_in_user(db) is None
    if as_json:
        print_json({"database": settings.db, "authentication": not open_to_all, "users": done})
    else:
        out.print(_table(done))
    if open_to_all:
        typer.echo(
            "Warning: this server lets everybody in without a password, so these users bind nobody. Start mongod with "
            "--auth (see docs/security.md).",
            err=True,
        )


def _given(settings: Settings) -> dict[str, str]:
    passwords = {role.name: getattr(settings, f"{role.name}_password") for role in ROLES}
    return {name: password.get_secret_value() for name, password in passwords.items() if password is not None}


def _refuse_unkept(plans: list[UserPlan], settings: Settings) -> None:
    """Refuse to make a password that nobody would ever read."""
    lost = [plan.role.name for plan in plans if plan.password is not None and plan.role.name not in _given(settings)]
    if lost:
        variables = ", ".join(f"QUANTFLOW_{name.upper()}_PASSWORD" for name in lost)
        raise InputError(
            f"New passwords of {', '.join(lost)} must be kept somewhere: name a folder with --secrets, or set "
            f"{variables}."
        )


def _settle(db: Store, plan: UserPlan, admin_uri: str, folder: Path | None) -> dict[str, Any]:
    role_change = settle_role(db, plan.role)
    path = None if folder is None else folder / plan.role.name / plan.role.uri_variable.lower()
    writing: Any = nullcontext()
    if path is not None and plan.password is not None:
        writing = replaced_secret(path, user_uri(admin_uri, db.name, plan.role.name, plan.password))
    with writing:
        user_change = settle_user(db, plan)
    is_missing = path is not None and plan.password is None and not path.exists()
    return {
        "user": plan.role.name,
        "role_change": role_change,
        "user_change": user_change,
        "password": "kept" if plan.password is None else "set",
        "file": None if path is None or is_missing else str(path),
        "missing": str(path) if is_missing else None,
    }


def _table(done: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("user", "role", "user is", "password", "address in"):
        table.add_column(title, overflow="fold")
    for one in done:
        where = one["file"] or ("not known: --new-passwords" if one["missing"] else "–")
        table.add_row(one["user"], one["role_change"], one["user_change"], one["password"], where)
    return table


def _show(as_json: bool) -> None:
    if as_json:
        print_json({role.name: {name or "*": list(rights) for name, rights in role.rights.items()} for role in ROLES})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("role", "collection", "may"):
        table.add_column(title)
    for role in ROLES:
        for position, (collection, rights) in enumerate(role.rights.items()):
            shown = "every collection" if collection == EVERY_COLLECTION else collection
            table.add_row("" if position else role.name, shown, ", ".join(rights))
    out.print(table)
    out.print("Each role may also list collections and indexes. What is not listed is refused.")
