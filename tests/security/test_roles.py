"""Each side of the chain may do in the database what is declared, and nothing else: tried on a guarded server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from auth_server import is_refused
from guarded import DATABASE, Guarded
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from schemas.collections import COLLECTIONS, SIGNAL_EXPORTS, SIGNAL_REVISIONS, SIGNALS
from schemas.roles import EVERY_COLLECTION, ROLES, Role

pytestmark = pytest.mark.mongo
ROOT = Path(__file__).parents[2]
NAMES = [collection.name for collection in COLLECTIONS]
PRIVILEGE = {"resource": {"db": DATABASE, "collection": SIGNALS}, "actions": ["insert"]}
NOBODY = {"_id": "nobody"}
Act = Callable[[Database[Any], str], object]


def follow(db: Database[Any], name: str) -> None:
    with db[name].watch(max_await_time_ms=1) as changes:
        changes.try_next()


ACTS: dict[str, Act] = {
    "find": lambda db, name: db[name].find_one(NOBODY),
    "insert": lambda db, name: db[name].insert_one({"_id": "tried"}),
    "update": lambda db, name: db[name].update_one(NOBODY, {"$set": {"tried": True}}),
    "remove": lambda db, name: db[name].delete_one(NOBODY),
    "changeStream": follow,
    "createIndex": lambda db, name: db[name].create_index("tried"),
    "dropIndex": lambda db, name: db[name].drop_index("tried"),
    "collMod": lambda db, name: db.command("collMod", name, validator={}),
    "rename": lambda db, name: db[name].rename(f"{name}_tried"),
    "drop": lambda db, name: db[name].drop(),
}


def may(db: Database[Any], act: Act, name: str) -> bool:
    """Whether the server lets this user do it; what fails for another reason was let through."""
    try:
        act(db, name)
    except PyMongoError as error:
        return not is_refused(error)
    return True


@pytest.fixture(scope="module", autouse=True)
def nothing_stays(guarded: Guarded) -> Any:
    """What the trials inserted is taken away again."""
    yield
    with guarded.as_user("admin") as db:
        for name in NAMES:
            db[name].delete_many({"_id": "tried"})


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_may_do_exactly_what_is_declared(guarded: Guarded, role: Role) -> None:
    """Every act on every collection is tried: those declared pass, all others are refused."""
    with guarded.as_user(role.name) as db:
        found = {(name, act) for name in NAMES for act, do in ACTS.items() if may(db, do, name)}
    assert found == {(name, right) for name in NAMES for right in role.may(name)}


def test_the_admin_may_do_all_that_is_tried(guarded: Guarded) -> None:
    """So a refusal above is the role's, not a mistake in the trial."""
    with guarded.as_user("admin") as db:
        scratch = "scratch"
        db.create_collection(scratch)
        assert all(may(db, do, scratch) for do in ACTS.values())
        db.drop_collection(f"{scratch}_tried")


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_nobody_but_the_admin_touches_users_databases_or_the_server(guarded: Guarded, role: str) -> None:
    """No user, no role, no other database, not the own password; and no collection is made or database dropped."""
    acts: dict[str, Callable[[Database[Any]], object]] = {
        "make a user": lambda db: db.command("createUser", "eve", pwd="x", roles=[]),
        "drop a user": lambda db: db.command("dropUser", "importer"),
        "drop itself": lambda db: db.command("dropUser", role),
        "change its password": lambda db: db.command("updateUser", role, pwd="x"),
        "take a role": lambda db: db.command("grantRolesToUser", role, roles=["dbOwner"]),
        "widen its role": lambda db: db.command("grantPrivilegesToRole", role, privileges=[PRIVILEGE]),
        "read users": lambda db: db.command("usersInfo", 1),
        "read the system's collections": lambda db: db.client["admin"]["system.users"].find_one(),
        "read another database": lambda db: db.client["another"]["crypto_signals"].find_one(),
        "write another database": lambda db: db.client["another"]["crypto_signals"].insert_one({}),
        "list databases": lambda db: db.client.admin.command("listDatabases", authorizedDatabases=False),
        "make a collection": lambda db: db.create_collection("another", check_exists=False),
        "drop the database": lambda db: db.client.drop_database(DATABASE),
        "see the oplog": lambda db: db.client["local"]["oplog.rs"].find_one(),
        "stop the server": lambda db: db.client.admin.command("shutdown"),
        "read the log": lambda db: db.client.admin.command("getLog", "global"),
        "profile": lambda db: db.command("profile", 2),
    }
    with guarded.as_user(role) as db:
        passed = [name for name, do in acts.items() if may(db, lambda one, _, act=do: act(one), "")]  # type: ignore[misc]
    assert passed == []


def test_the_executor_can_not_write_a_signal(guarded: Guarded) -> None:
    """Neither a new one nor a change, by any way of writing."""
    with guarded.as_user("executor") as db:
        for write in (
            lambda: db[SIGNALS].insert_one({"strategy_id": "mine"}),
            lambda: db[SIGNALS].update_many({}, {"$set": {"action": "enter_long"}}),
            lambda: db[SIGNALS].find_one_and_delete({}),
            lambda: list(db["signal_receipts"].aggregate([{"$out": SIGNALS}])),
            lambda: list(db["signal_receipts"].aggregate([{"$merge": {"into": SIGNALS}}])),
        ):
            with pytest.raises(OperationFailure) as refused:
                write()
            assert is_refused(refused.value)


def test_research_can_not_change_or_delete_what_it_said(guarded: Guarded) -> None:
    """Exports and earlier contents only ever grow, also where an aggregation would write them."""
    with guarded.as_user("research") as db:
        for name in (SIGNAL_EXPORTS, SIGNAL_REVISIONS):
            for write in (
                lambda name=name: db[name].update_one({}, {"$set": {"run_id": "another"}}),
                lambda name=name: db[name].replace_one({}, {}, upsert=True),
                lambda name=name: db[name].delete_many({}),
                lambda name=name: db[name].find_one_and_update({}, {"$set": {"run_id": "another"}}),
                lambda name=name: list(db[SIGNALS].aggregate([{"$out": name}])),
                lambda name=name: list(db[SIGNALS].aggregate([{"$merge": {"into": name, "whenMatched": "replace"}}])),
                lambda name=name: db[name].drop(),
            ):
                with pytest.raises(OperationFailure) as refused:
                    write()
                assert is_refused(refused.value)


def test_the_docs_list_the_declared_privileges() -> None:
    """The table of docs/security.md is schemas/roles.py, row by row."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|every collection) \| (.+) \|$", page, re.MULTILINE)
    declared = [(role.name, name, ", ".join(rights)) for role in ROLES for name, rights in role.rights.items()]
    assert rows == declared
    assert {name for role in ROLES for name in role.rights} <= {*NAMES, EVERY_COLLECTION}
