"""What a strategy's signals said at any time: every writing of them, each at the time at which it was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.collections import SIGNAL_KEY, SIGNAL_REVISIONS, SIGNALS, Store

_ADDED_BY_REPLACING = ("replaced_at", "replaced_by", "retracted")


@dataclass(frozen=True, slots=True)
class Writing:
    """One change of a stored signal.

    Attributes
    ----------
    at : datetime
        When it was made, by the server's clock.
    key : dict
        The signal's key.
    content : dict or None
        The document from then on; None where the signal was retracted.
    """

    at: datetime
    key: Mapping[str, Any]
    content: Mapping[str, Any] | None


def known_writings(db: Store, strategy_id: str, timeframe: str, since: datetime, until: datetime) -> list[Writing]:
    """Return all writings of the signals of bars that opened from `since` on and before `until`, in order of time.

    A revision whose version is not below the stored signal's tells of a replacement that never happened: its writer was
    killed in between. It is left out.
    """
    scope = {"strategy_id": strategy_id, "timeframe": timeframe, "ts": {"$gte": since, "$lt": until}}
    stored = list(db[SIGNALS].find(scope, {"_id": False}))
    versions = {_key_values(document): document["version"] for document in stored}
    writings = [Writing(document["updated_at"], _key(document), document) for document in stored]
    for revision in db[SIGNAL_REVISIONS].find(scope, {"_id": False}):
        if revision["version"] >= versions.get(_key_values(revision), revision["version"] + 1):
            continue
        content = {name: value for name, value in revision.items() if name not in _ADDED_BY_REPLACING}
        writings.append(Writing(revision["updated_at"], _key(revision), content))
        if revision.get("retracted"):
            writings.append(Writing(revision["replaced_at"], _key(revision), None))
    return sorted(writings, key=lambda writing: (writing.at, writing.content is not None))


def write(db: Store, writing: Writing) -> None:
    """Make the change again, in another database."""
    if writing.content is None:
        db[SIGNALS].delete_one(writing.key)
    else:
        db[SIGNALS].replace_one(writing.key, dict(writing.content), upsert=True)


def _key(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in SIGNAL_KEY}


def _key_values(document: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(document[name] for name in SIGNAL_KEY)
