"""Proves that nothing has changed the stored bars since they were copied: MongoDB's change stream tells.

With a copy a token of the stream is kept, taken before the bars were read. Whoever wants to use the copy asks the
primary for its newest operation, and has it resume the stream in what the majority has committed, no earlier than that
operation: so the stream tells of every write that was acknowledged before, whatever its write concern was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.timestamp import Timestamp
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from research.stored.bars_copy import Moment
from research.stored.stored_bars import StoredBars
from schemas.collections import UNAUTHORIZED, Store

_TIMES_AS_MS = CodecOptions[dict[str, Any]](
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="replace"
)
_WAIT_MS = 2_000  # for the majority to commit what the primary has; a healthy set needs less than a journal's flush
_MOST_CHANGES = 1_000  # where there are more, all is taken as changed
_TOOK_TOO_LONG = 50


class NoProofError(Exception):
    """Freshness can not be proven here; the message says why."""


@dataclass(frozen=True, slots=True)
class Present:
    """What the primary said of itself: the moment, and the operation that a proof must reach."""

    moment: Moment
    newest: Timestamp


@dataclass(frozen=True, slots=True)
class Changes:
    """What the stream told.

    Attributes
    ----------
    token : dict
        Where to go on.
    after : Timestamp
        An operation that is not before the token.
    inserted : list of (str, int)
        Symbol and open of each bar that was inserted into the stretch that was watched.
    is_all : bool
        Whether any bar may have changed: something was replaced, updated, deleted, dropped or renamed, or the token
        is of no use any more. Such an event names no symbol that can be relied on.
    """

    token: Mapping[str, Any]
    after: Timestamp
    inserted: Sequence[tuple[str, int]]
    is_all: bool


def collection_id(db: Store, name: str) -> str:
    """Return the identity that a collection keeps under every name, and that no other has.

    Raises
    ------
    NoProofError
        Where there is none: no collection, a view, or one that compares texts by rules of its own.
    """
    found = _ask(db, {"listCollections": 1, "filter": {"name": name}})["cursor"]["firstBatch"]
    if not found or "uuid" not in found[0]["info"] or "collation" in found[0]["options"]:
        raise NoProofError(f"{name} is no plain collection")
    return bytes(found[0]["info"]["uuid"]).hex()


def present(db: Store) -> Present:
    """Return what the primary of a replica set says of itself.

    Raises
    ------
    NoProofError
        Where the server is none: a standalone has no change streams, and the routers of a cluster do not know every
        write that another one has acknowledged. Or where it is a cluster's shard: its own change stream does not tell
        of the documents that the cluster moves to it or away.
    """
    hello = _ask(db, {"hello": 1})
    if not (hello.get("isWritablePrimary") and hello.get("setName") and "topologyVersion" in hello):
        raise NoProofError("the server is no primary of a replica set")
    if "lastCommittedOpTime" in hello:  # only members of a cluster add that to their replies, for its routers
        raise NoProofError("the server is a member of a cluster")
    newest = hello["lastWrite"]["majorityOpTime"]
    process = str(hello["topologyVersion"]["processId"])
    moment = Moment(process, newest["ts"].time, newest["ts"].inc, newest["t"])
    return Present(moment, hello["operationTime"])


def is_past_of(db: Store, past: Moment, now: Moment) -> bool:
    """Tell whether a moment surely lies in the history of the server as it is now.

    Another process than then has to have that operation in its oplog. Who may not look there gets false.
    """
    if past.process == now.process:
        return True
    local: Any = db.client["local"]
    wanted = {"ts": Timestamp(past.seconds, past.increment)}
    try:
        entry = local.get_collection("oplog.rs", read_preference=ReadPreference.PRIMARY).find_one(wanted, {"t": 1})
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return False
    return bool(entry and entry.get("t") == past.term)


def changes(
    db: Store,
    stored: StoredBars,
    token: Mapping[str, Any] | None,
    after: Timestamp,
    watched: Mapping[str, int],
) -> Changes:
    """Return what has changed in a collection of bars since a token, as far as the majority has committed it.

    Parameters
    ----------
    db : Database
    stored : StoredBars
        Where the bars lie.
    token : dict or None
        Where to resume; None only takes a token of now.
    after : Timestamp
        The answer holds all up to this operation at least; it waits until the majority has committed that.
    watched : mapping of str to int
        The symbols, each with the ms before which an inserted bar matters.

    Raises
    ------
    NoProofError
        Where the server has no change stream for us.
    """
    # A cursor belongs to a session, and without one of its own each command takes any that no other thread uses.
    with db.client.start_session(causal_consistency=False) as session:
        cursor = _opened(db, _command(stored, token, after, watched), session)
        told = _read_to_end(db, stored, cursor, session) if cursor else None
    if told is None:
        anew = changes(db, stored, None, after, {})
        return Changes(anew.token, anew.after, (), is_all=True)
    # A stream that begins anew does so after the primary's newest operation, which the majority may not have yet: who
    # copies now has to wait for that one, or neither copy nor stream would ever hold it. So it is asked for afterwards.
    inserted, end = told
    return Changes(end, present(db).newest, inserted, is_all=False)


def _command(
    stored: StoredBars, token: Mapping[str, Any] | None, after: Timestamp, watched: Mapping[str, int]
) -> dict[str, Any]:
    """Return the command that opens the stream on all that is no insert, and on inserts that matter."""
    symbol, opens = "fullDocument.symbol", f"fullDocument.{stored.time_field}"
    inserts = [{symbol: name, opens: {"$lt": stored.bound(until_ms)}} for name, until_ms in watched.items()]
    return {
        "aggregate": stored.collection,
        "pipeline": [
            {"$changeStream": {} if token is None else {"resumeAfter": token}},
            {"$match": {"$or": [{"operationType": {"$ne": "insert"}}, *inserts]}},
            {"$project": {"operationType": 1, symbol: 1, opens: 1}},
        ],
        "cursor": {"batchSize": _MOST_CHANGES},
        "readConcern": {"level": "majority", "afterClusterTime": after},
        "maxTimeMS": _WAIT_MS,
    }


def _opened(db: Store, command: dict[str, Any], session: ClientSession) -> dict[str, Any] | None:
    """Open the stream and return its cursor; None where the token is of no use any more."""
    try:
        cursor: dict[str, Any] = _ask(db, command, session)["cursor"]
    except OperationFailure as error:
        resumes = command["pipeline"][0]["$changeStream"]
        if resumes and error.code not in (UNAUTHORIZED, _TOOK_TOO_LONG):
            # Whatever the server has against the token, the oplog's loss of its place above all: begin anew.
            return None
        whys = {UNAUTHORIZED: "this user may not watch it", _TOOK_TOO_LONG: "the majority takes too long"}
        why = whys.get(error.code or 0) or str(error).split(", full error")[0]
        raise NoProofError(f"{command['aggregate']} has no change stream for us: {why}") from None
    return cursor


def _read_to_end(
    db: Store, stored: StoredBars, cursor: dict[str, Any], session: ClientSession
) -> tuple[list[tuple[str, int]], Mapping[str, Any]] | None:
    """Return the inserted bars and the token of the stream's end; None where any bar may have changed."""
    batch = cursor["firstBatch"]
    inserted: list[tuple[str, int]] = []
    # A batch with nothing in it is the stream's end; one with something may have been cut.
    while batch and len(inserted) <= _MOST_CHANGES:
        places = [_inserted(event, stored) for event in batch]
        inserted += [place for place in places if place]
        if None in places or not cursor["id"]:
            break
        more = {"getMore": cursor["id"], "collection": stored.collection, "batchSize": _MOST_CHANGES}
        cursor = _ask(db, more | {"maxTimeMS": 1}, session)["cursor"]
        batch = cursor["nextBatch"]
    if cursor["id"]:
        _ask(db, {"killCursors": stored.collection, "cursors": [cursor["id"]]}, session)
    is_all = batch or len(inserted) > _MOST_CHANGES
    return None if is_all else (inserted, cursor["postBatchResumeToken"])


def _inserted(event: Mapping[str, Any], stored: StoredBars) -> tuple[str, int] | None:
    """Return symbol and open of an inserted bar; None for any other change, and for what has no plain ones."""
    document = event.get("fullDocument", {})
    symbol, opens = document.get("symbol"), document.get(stored.time_field)
    plain = event["operationType"] == "insert" and isinstance(symbol, str) and isinstance(opens, DatetimeMS)
    return (symbol, int(opens)) if plain else None


def _ask(db: Store, command: dict[str, Any], session: ClientSession | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = db.command(
        command, codec_options=_TIMES_AS_MS, read_preference=ReadPreference.PRIMARY, session=session
    )
    return answer
