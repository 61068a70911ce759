"""What a strategy's signals said at any time: every content that they ever had, from when to when, by which run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.collections import SIGNAL_KEY, SIGNAL_REVISIONS, SIGNALS, Store

_ADDED_BY_REPLACING = ("replaced_at", "replaced_by", "retracted")
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SignalVersion:
    """One content of a signal, and how long it stood.

    Attributes
    ----------
    content : dict
        The document, without what its end added.
    known_until : datetime or None
        When it was replaced or retracted, by the server's clock; None where it still stands.
    ended_by : str or None
        The run that did.
    retracted : bool
        Whether no other content took its place.
    """

    content: Document
    known_until: datetime | None = None
    ended_by: str | None = None
    retracted: bool = False

    @property
    def known_from(self) -> datetime:
        """When it was written, by the server's clock."""
        time: datetime = self.content["updated_at"]
        return time

    @property
    def key(self) -> dict[str, Any]:
        """The signal's key."""
        return {name: self.content[name] for name in SIGNAL_KEY}

    def is_known(self, at: datetime) -> bool:
        """Tell whether it stood at a time: from its writing on, until it was replaced, that moment not included."""
        return self.known_from <= at and (self.known_until is None or at < self.known_until)


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
    key: Document
    content: Document | None


def signal_versions(stored: Iterable[Document], revisions: Iterable[Document]) -> list[SignalVersion]:
    """Return every content of some signals, by key and version.

    A revision whose version is not below the stored signal's tells of a replacement that never happened: its writer was
    killed in between. It is left out. So are all revisions of one version but the newest.
    """
    standing = {_key_values(document): document for document in stored}
    ended: dict[tuple[Any, ...], Document] = {}
    for revision in revisions:
        key, version = _key_values(revision), revision["version"]
        if key in standing and version >= standing[key]["version"]:
            continue
        earlier = ended.get((*key, version))
        if earlier is None or earlier["replaced_at"] < revision["replaced_at"]:
            ended[(*key, version)] = revision
    versions = [SignalVersion(_without_id(document)) for document in standing.values()]
    versions += [_ended(revision) for revision in ended.values()]
    return sorted(versions, key=lambda one: (*_key_values(one.content), one.content["version"]))


def known_writings(db: Store, strategy_id: str, timeframe: str, since: datetime, until: datetime) -> list[Writing]:
    """Return all writings of the signals of bars that opened from `since` on and before `until`, in order of time."""
    scope = {"strategy_id": strategy_id, "timeframe": timeframe, "ts": {"$gte": since, "$lt": until}}
    writings = []
    for version in signal_versions(db[SIGNALS].find(scope), db[SIGNAL_REVISIONS].find(scope)):
        writings.append(Writing(version.known_from, version.key, version.content))
        if version.retracted and version.known_until is not None:
            writings.append(Writing(version.known_until, version.key, None))
    return sorted(writings, key=lambda writing: (writing.at, writing.content is not None))


def write(db: Store, writing: Writing) -> None:
    """Make the change again, in another database."""
    if writing.content is None:
        db[SIGNALS].delete_one(writing.key)
    else:
        db[SIGNALS].replace_one(writing.key, dict(writing.content), upsert=True)


def _ended(revision: Document) -> SignalVersion:
    content = {name: value for name, value in _without_id(revision).items() if name not in _ADDED_BY_REPLACING}
    return SignalVersion(
        content, revision["replaced_at"], revision.get("replaced_by"), bool(revision.get("retracted", False))
    )


def _without_id(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}


def _key_values(document: Document) -> tuple[Any, ...]:
    return tuple(document[name] for name in SIGNAL_KEY)
