"""Who may do what in the database, declared once: `quantflow db roles` makes these roles, a test tries each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.collections import (
    BAR_GAPS,
    DAY_BARS,
    FILLS,
    IMPORT_REJECTS,
    MINUTE_BARS,
    MONITOR_ALERTS,
    POSITIONS,
    SIGNAL_EXPORT_LEASES,
    SIGNAL_EXPORTS,
    SIGNAL_RECEIPTS,
    SIGNAL_REVISIONS,
    SIGNALS,
    SWEEP_RESULTS,
    SWEEPS,
    WORKFLOW_RUNS,
)

# MongoDB's own names of the actions.
Right = Literal["find", "insert", "update", "remove", "changeStream"]
Rights = tuple[Right, ...]
RoleName = Literal["importer", "research", "executor", "monitor"]

EVERY_COLLECTION = ""  # how MongoDB names all collections of a database but those of the system

_READ: Rights = ("find",)
_FOLLOW: Rights = ("find", "changeStream")
_APPEND: Rights = ("find", "insert")
_KEEP: Rights = ("find", "insert", "update")
_ALL: Rights = ("find", "insert", "update", "remove")


@dataclass(frozen=True, slots=True)
class Role:
    """One side of the chain as the database knows it: a role, and a user of the same name who has it.

    Attributes
    ----------
    name : str
    does : str
        What it is for, as a sentence.
    rights : mapping of str to tuple of str
        What it may do with each collection. What is not named here is refused.
    uri_variable : str
        The setting by which that side's programs learn the address.
    """

    name: RoleName
    does: str
    rights: Mapping[str, Rights]
    uri_variable: str = "QUANTFLOW_MONGO_URI"

    def may(self, collection: str) -> frozenset[Right]:
        """Return what it may do with a collection."""
        return frozenset((*self.rights.get(collection, ()), *self.rights.get(EVERY_COLLECTION, ())))

    def privileges(self, database: str) -> list[dict[str, Any]]:
        """Return the privileges as MongoDB's `createRole` takes them.

        Every role may list collections and indexes: who connects looks whether any are missing.
        """
        listed: dict[str, tuple[str, ...]] = {EVERY_COLLECTION: ()}
        listed |= self.rights
        listed[EVERY_COLLECTION] = ("listCollections", "listIndexes", *listed[EVERY_COLLECTION])
        return [
            {"resource": {"db": database, "collection": collection}, "actions": sorted(actions)}
            for collection, actions in sorted(listed.items())
        ]


ROLES = (
    Role(
        "importer",
        "Stores bars, the gaps between them and the rows that were refused.",
        {DAY_BARS: _KEEP, MINUTE_BARS: _KEEP, BAR_GAPS: _ALL, IMPORT_REJECTS: _KEEP},
    ),
    Role(
        "research",
        "Reads bars and publishes signals; earlier contents and exports are added, never changed.",
        {
            DAY_BARS: _FOLLOW,
            MINUTE_BARS: _FOLLOW,
            BAR_GAPS: _FOLLOW,
            SIGNALS: _ALL,
            SIGNAL_REVISIONS: _APPEND,
            SIGNAL_EXPORTS: _APPEND,
            SIGNAL_EXPORT_LEASES: _ALL,
            WORKFLOW_RUNS: _KEEP,
            SWEEPS: _KEEP,
            SWEEP_RESULTS: _ALL,
        },
    ),
    Role(
        "executor",
        "Reads signals and writes what a bot did with them.",
        {
            SIGNALS: _READ,
            SIGNAL_REVISIONS: _READ,
            SIGNAL_EXPORTS: _READ,
            SIGNAL_RECEIPTS: _KEEP,
            FILLS: _KEEP,
            POSITIONS: _KEEP,
        },
        uri_variable="EXT_SIG_MONGO_URI",
    ),
    Role(
        "monitor",
        "Reads all, writes which alerts it has sent.",
        {EVERY_COLLECTION: _FOLLOW, MONITOR_ALERTS: _KEEP},
    ),
)
