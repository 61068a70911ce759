"""Makes a fresh mongod ready: the replica set, its admin, the collections, and the users of each side, in this order.

It is run at each start of compose.yaml, changes what is missing, and leaves the rest. The admin is the one that
QUANTFLOW_MONGO_URI names; as long as a server has no user, MongoDB lets the first be made over its own loopback.
"""

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.uri_parser import parse_uri

from schemas.settings import Settings

WAIT_S = 60.0
_ALREADY_INITIALIZED, _UNAUTHORIZED, _AUTHENTICATION_FAILED, _USER_EXISTS = 23, 13, 18, 51003

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("make_ready")


class NotReadyError(Exception):
    """What could not be made ready, as a sentence."""


def main() -> None:
    """Make the server ready; exit code 1 and a sentence where that can not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="The server as other containers reach it, such as mongo:27017.")
    parser.add_argument("--secrets", required=True, type=Path, help="Folder for the users' addresses.")
    given = parser.parse_args()
    uri = Settings.load().mongo_uri
    try:
        if uri is None:
            raise NotReadyError("The admin's address is needed in QUANTFLOW_MONGO_URI, or in a file of that name.")
        make_admin(uri.get_secret_value(), given.member)
        quantflow("db", "init")
        quantflow("db", "roles", "--secrets", str(given.secrets))
        monitor = given.secrets / "monitor" / "quantflow_mongo_uri"
        name_host(monitor, parse_uri(uri.get_secret_value())["nodelist"][0], given.member)
    except NotReadyError as error:
        log.info("Error: %s", error)
        sys.exit(1)


def make_admin(uri: str, member: str) -> None:
    """Start the replica set and make the admin, unless both are there."""
    parsed = parse_uri(uri)
    (host, port), *_ = parsed["nodelist"]
    # Without a user: MongoDB's exception for its own loopback holds until there is one.
    with MongoClient[dict[str, Any]](host, port, directConnection=True, serverSelectionTimeoutMS=2_000) as client:
        wait_until(client, "answer", bool)
        if can_log_in(uri):
            log.info("The admin is there.")
            return
        initiate(client, member)
        wait_until(client, "become primary", lambda hello: bool(hello["isWritablePrimary"]))
        try:
            client.admin.command("createUser", parsed["username"], pwd=parsed["password"], roles=["root"])
        except OperationFailure as error:
            if error.code not in (_UNAUTHORIZED, _USER_EXISTS):
                raise
            raise NotReadyError(
                "The server has users already, and does not know the admin with the password of QUANTFLOW_MONGO_URI. "
                "Give that file the password that the server knows."
            ) from None
    log.info("The admin was made.")


def can_log_in(uri: str) -> bool:
    """Tell whether the server knows the user of an address."""
    try:
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5_000) as client:
            client.admin.command("ping")
    except OperationFailure as error:
        if error.code != _AUTHENTICATION_FAILED:
            raise
        return False
    return True


def initiate(client: MongoClient[dict[str, Any]], member: str) -> None:
    """Make the server the only member of its replica set, unless it is."""
    name = client.admin.command("hello").get("setName")
    if name is not None:
        return
    config = {"_id": "quantflow", "members": [{"_id": 0, "host": member}]}
    try:
        client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise NotReadyError(f"The replica set could not be started: {error.details}") from None
    log.info("The replica set was started.")


def wait_until(client: MongoClient[dict[str, Any]], what: str, is_reached: Callable[[dict[str, Any]], bool]) -> None:
    """Wait for a state of the server, at most a minute."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            if is_reached(client.admin.command("hello")):
                return
        except AutoReconnect:
            pass
        time.sleep(0.2)
    raise NotReadyError(f"MongoDB did not {what} within {WAIT_S:.0f} s.")


def quantflow(*arguments: str) -> None:
    """Run a command of ours as the admin."""
    ended = subprocess.run(["quantflow", *arguments], check=False)
    if ended.returncode != 0:
        raise NotReadyError(f"`quantflow {' '.join(arguments)}` failed.")


def name_host(path: Path, found: tuple[str, int], member: str) -> None:
    """Let the monitor's address name the server as containers reach it, where it names its loopback."""
    text = path.read_text(encoding="utf-8")
    renamed = text.replace(f"@{found[0]}:{found[1]}/", f"@{member}/")
    if renamed != text:
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(renamed, encoding="utf-8")
        fresh.replace(path)
        log.info("The monitor reaches MongoDB at %s.", member)


if __name__ == "__main__":
    main()
