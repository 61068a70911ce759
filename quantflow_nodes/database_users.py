"""Makes the database's roles and users on a server, and the addresses by which the users connect."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus

from pymongo.uri_parser import parse_uri

from schemas.collections import Store
from schemas.errors import InputError
from schemas.roles import ROLES, Role

# How the admin signs in, here and at a proxy, is the admin's business; so is the database that the address names. A
# proxy's user without its password is refused by drivers, so both go.
_OF_THE_ADMIN = (
    "authsource", "authmechanism", "authmechanismproperties",
    "tlscertificatekeyfile", "tlscertificatekeyfilepassword", "proxyusername", "proxypassword",
)  # fmt: skip

Change = Literal["made", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class UserPlan:
    """What is to be done for one role.

    Attributes
    ----------
    role : Role
    is_new : bool
        Whether the user has to be made.
    password : str or None
        The password that the user gets; None where it keeps its own.
    """

    role: Role
    is_new: bool
    password: str | None


def plan_users(db: Store, given: Mapping[str, str], *, new_passwords: bool) -> list[UserPlan]:
    """Return, for each role, whether its user has to be made, and the password that it gets.

    Parameters
    ----------
    db : Database
        Whose users are meant: they lie in the database itself, so that several of one server have their own.
    given : mapping of str to str
        Passwords by role; they are set at every run.
    new_passwords : bool
        Whether users that exist get another one too.
    """
    present = {user["user"] for user in db.command("usersInfo", 1)["users"]}
    plans = []
    for role in ROLES:
        is_new = role.name not in present
        made = secrets.token_urlsafe(32) if is_new or new_passwords else None
        plans.append(UserPlan(role, is_new, given.get(role.name) or made))
    return plans


def settle_role(db: Store, role: Role) -> Change:
    """Make the role, or give it the privileges that are declared, and return which of the two was needed."""
    wanted = role.privileges(db.name)
    found = db.command("rolesInfo", role.name, showPrivileges=True)["roles"]
    if not found:
        db.command("createRole", role.name, privileges=wanted, roles=[])
        return "made"
    if _comparable(found[0]["privileges"]) == _comparable(wanted) and not found[0]["roles"]:
        return "unchanged"
    db.command("updateRole", role.name, privileges=wanted, roles=[])
    return "updated"


def settle_user(db: Store, plan: UserPlan) -> Change:
    """Make the role's user, or give it its password; it has this one role and no other."""
    roles = [{"role": plan.role.name, "db": db.name}]
    if plan.is_new:
        db.command("createUser", plan.role.name, pwd=plan.password, roles=roles)
        return "made"
    (user,) = db.command("usersInfo", plan.role.name)["users"]
    if plan.password is None and user["roles"] == roles:
        return "unchanged"
    update: dict[str, Any] = {"updateUser": plan.role.name, "roles": roles}
    db.command(update if plan.password is None else {**update, "pwd": plan.password})
    return "updated"


def user_uri(admin_uri: str, database: str, user: str, password: str) -> str:
    """Return the address by which a user of a database connects: the admin's hosts and options, its own name.

    Raises
    ------
    InputError
        Where the admin signs in by a certificate, which says nothing about how others would.
    """
    scheme, _, rest = admin_uri.partition("://")
    options = parse_uri(admin_uri, validate=False)["options"] if scheme == "mongodb" else {}
    if str(options.get("authMechanism", "")).upper() == "MONGODB-X509":
        raise InputError(
            "QUANTFLOW_MONGO_URI signs in by a certificate; addresses with a password can not be made from it. Give "
            "an address with the admin's user and password."
        )
    address = rest.rpartition("@")[2]
    hosts, _, after = address.partition("/")
    kept = [
        option
        for option in re.split("[&;]", after.partition("?")[2])  # drivers take either
        if option and option.partition("=")[0].lower() not in _OF_THE_ADMIN
    ]
    query = "&".join([*kept, f"authSource={quote_plus(database)}"])
    return f"{scheme}://{quote_plus(user)}:{quote_plus(password)}@{hosts}/?{query}"


def _comparable(privileges: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, tuple[str, ...]]]:
    return sorted(
        (str(one["resource"].get("db")), str(one["resource"].get("collection")), tuple(sorted(one["actions"])))
        for one in privileges
    )
