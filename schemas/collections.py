"""Every collection with its indexes, declared once; `ensure_collections` makes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

from schemas.errors import StoreError
from schemas.timeframes import Timeframe

Store = Database[Mapping[str, Any]]

DAY_BARS = "crypto_market"
MINUTE_BARS = "crypto_market_1m"
SIGNALS = "crypto_signals"
SIGNAL_REVISIONS = "crypto_signal_revisions"
SIGNAL_EXPORTS = "signal_exports"
SIGNAL_EXPORT_LEASES = "signal_export_leases"
SIGNAL_RECEIPTS = "signal_receipts"
FILLS = "crypto_fills"
POSITIONS = "crypto_positions"
IMPORT_REJECTS = "import_rejects"
BAR_GAPS = "bar_gaps"
WORKFLOW_RUNS = "workflow_runs"
SWEEPS = "sweeps"
SWEEP_RESULTS = "sweep_results"
MONITOR_ALERTS = "monitor_alerts"

SIGNAL_KEY = ("strategy_id", "pair", "timeframe", "ts")
# A run that is killed between keeping a content and replacing it leaves a revision; the next one adds its own.
REVISION_KEY = (*SIGNAL_KEY, "version", "replaced_at")
RECEIPT_KEY = ("consumer", *SIGNAL_KEY)
# A venue numbers the orders of each symbol by themselves: the same id may come back for another pair.
FILL_KEY = ("consumer", "pair", "order_id")
POSITION_KEY = ("consumer", "pair", "entry_order_id")
REJECT_KEY = ("symbol", "timeframe", "time", "reason", "source", "row_digest")
SWEEP_RESULT_KEY = ("sweep_id", "split", "set_id")
TTL_INDEX = "ts_ttl"
UNAUTHORIZED = 13
NOBODY_SIGNED_IN = "requires authentication"
"""The server's words to who gave no user at all: that is no matter of rights."""
_NAMESPACE_EXISTS = 48


@dataclass(frozen=True, slots=True)
class Index:
    """An ascending index; `unique` makes it a key."""

    fields: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection's name, what it holds in a sentence, its indexes, and the fields of those that it had once."""

    name: str
    holds: str
    indexes: tuple[Index, ...] = field(default=())
    retired: tuple[tuple[str, ...], ...] = field(default=())


COLLECTIONS = (
    Collection(DAY_BARS, "Closed bars of 1d.", (Index(("symbol", "date"), unique=True),)),
    Collection(MINUTE_BARS, "Closed bars of 1m.", (Index(("symbol", "datetime"), unique=True),)),
    Collection(SIGNALS, "What research decided, newest content.", (Index(SIGNAL_KEY, unique=True),)),
    Collection(
        SIGNAL_REVISIONS,
        "Earlier contents of signals, append-only.",
        (Index(REVISION_KEY, unique=True),),
        retired=((*SIGNAL_KEY, "version"),),
    ),
    Collection(
        SIGNAL_EXPORTS,
        "One document an export.",
        (Index(("strategy_id", "exported_at")), Index(("strategy_id", "timeframe", "last_ts")), Index(("run_id",))),
    ),
    Collection(SIGNAL_EXPORT_LEASES, "Which run is exporting which strategy now."),
    Collection(
        SIGNAL_RECEIPTS,
        "What a consumer did with each signal.",
        (Index(RECEIPT_KEY, unique=True), Index(("consumer", "strategy_id", "seen_at"))),
    ),
    Collection(
        FILLS,
        "What the orders of bots filled.",
        (Index(FILL_KEY, unique=True), Index(SIGNAL_KEY), Index(("consumer", "ordered_at"))),
    ),
    Collection(
        POSITIONS,
        "What bots hold and held.",
        (
            Index(POSITION_KEY, unique=True),
            Index(SIGNAL_KEY),
            Index(("consumer", "state")),
            Index(("consumer", "exit_ts")),
        ),
    ),
    Collection(
        IMPORT_REJECTS,
        "Rows that imports refused, with the reason.",
        (Index(REJECT_KEY, unique=True),),
    ),
    Collection(BAR_GAPS, "Stretches without bars.", (Index(("symbol", "timeframe", "start"), unique=True),)),
    Collection(
        WORKFLOW_RUNS,
        "One document a run of a graph.",
        (Index(("run_id",), unique=True), Index(("name", "started_at")), Index(("state", "started_at"))),
    ),
    Collection(
        SWEEPS,
        "One document a sweep of a graph's parameters.",
        (Index(("sweep_id",), unique=True), Index(("name", "started_at"))),
    ),
    Collection(
        SWEEP_RESULTS,
        "One document a parameter set and stretch of time.",
        (Index(SWEEP_RESULT_KEY, unique=True),),
    ),
    Collection(
        MONITOR_ALERTS,
        "Which problems the monitor has told of.",
        (
            Index(("slot",), unique=True),
            Index(("alert_id",), unique=True),
            Index(("settled",)),
            Index(("noticed_at",)),
        ),
    ),
)


def bars_collection(timeframe: Timeframe) -> str:
    """Return the collection that stores bars of a timeframe.

    Raises
    ------
    StoreError
        Where bars of that timeframe are not stored.
    """
    names = {"1m": MINUTE_BARS, "1d": DAY_BARS}
    if timeframe.name not in names:
        raise StoreError(f"Bars of 1m and 1d are stored, not of {timeframe}. Use one of these.")
    return names[timeframe.name]


def ensure_collections(db: Store) -> list[str]:
    """Make every collection and index that is missing, and return what was made, in words.

    Parameters
    ----------
    db : Database
        The database.

    Raises
    ------
    StoreError
        Where an index exists under the same fields with other options: stored data must not be guessed about. Also
        where something is missing that this user may not make.
    """
    try:
        return _make_missing(db)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED or NOBODY_SIGNED_IN in str(error):
            raise
        raise StoreError(
            f"The database {db.name} lacks collections or indexes, and this user may not make them: "
            f"{without_command(str(error).split(', full error')[0])}. Run `quantflow db init` as the database's admin."
        ) from None


def without_command(detail: str) -> str:
    """Return a server's refusal with the command's name and collection in place of the whole command."""
    return re.sub(r"to execute command \{ (\w+): (?:\"([^\"]+)\")?.*", _named_command, detail, flags=re.DOTALL)


def _named_command(match: re.Match[str]) -> str:
    return f"to {match[1]}" + (f" in {match[2]}" if match[2] else "")


def _make_missing(db: Store) -> list[str]:
    made: list[str] = []
    existing = set(db.list_collection_names())
    for collection in COLLECTIONS:
        if collection.name not in existing and _create(db, collection.name):
            made.append(f"collection {collection.name}")
        made += [_index(db, collection.name, index) for index in _missing(db, collection)]
        made += _drop_retired(db, collection)
    return made


def _create(db: Store, name: str) -> bool:
    """Make a collection; False where another process has made it since we looked."""
    try:
        db.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        return False
    return True


def _missing(db: Store, collection: Collection) -> list[Index]:
    stored = db[collection.name].index_information().values()
    is_unique = {tuple(key for key, _ in info["key"]): bool(info.get("unique")) for info in stored}
    for index in collection.indexes:
        if index.unique and is_unique.get(index.fields) is False:
            raise StoreError(
                f"{collection.name} has an index on {', '.join(index.fields)} that is not unique; a unique one is "
                "needed so that nothing is stored twice. Drop that index, remove doubles, and run it again."
            )
    return [index for index in collection.indexes if index.fields not in is_unique]


def _drop_retired(db: Store, collection: Collection) -> list[str]:
    """Drop the indexes that the collection no longer has: a unique one would refuse what it has to hold now."""
    dropped = []
    for name, info in db[collection.name].index_information().items() if collection.retired else ():
        fields = tuple(key for key, _ in info["key"])
        if fields in collection.retired:
            db[collection.name].drop_index(name)
            dropped.append(f"dropped index {collection.name} on {', '.join(fields)}")
    return dropped


def _index(db: Store, name: str, index: Index) -> str:
    model = IndexModel([(key, ASCENDING) for key in index.fields], unique=index.unique)
    try:
        db[name].create_indexes([model])
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            raise
        reason = str(error).split(", full error")[0]
        raise StoreError(f"The index on {', '.join(index.fields)} of {name} could not be made: {reason}.") from None
    return f"index {name} on {', '.join(index.fields)}"


def settle_signal_ttl(db: Store, days: int | None) -> list[str]:
    """Let MongoDB delete signals `days` after their `ts`, or keep them for ever, and return what that changed.

    One command settles this for all (`quantflow db init`): a process that only connects must not change how long
    others' signals live.
    """
    signals = db[SIGNALS]
    present = signals.index_information().get(TTL_INDEX)
    if days is None:
        if present is None:
            return []
        signals.drop_index(TTL_INDEX)
        return [f"dropped index {SIGNALS} {TTL_INDEX}: signals are kept for ever"]
    seconds = days * 86_400
    if present is None:
        signals.create_index([("ts", ASCENDING)], name=TTL_INDEX, expireAfterSeconds=seconds)
    elif present["expireAfterSeconds"] != seconds:
        db.command("collMod", SIGNALS, index={"name": TTL_INDEX, "expireAfterSeconds": seconds})
    else:
        return []
    return [f"index {SIGNALS} {TTL_INDEX}: signals are deleted after {days} days"]
