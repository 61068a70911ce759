"""Keeps a sweep in MongoDB: each set's figures as they come, so that a sweep that was killed goes on."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import orjson
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from quantflow_nodes.process_identity import own_identity
from quantflow_nodes.run_record import close_abandoned_runs, versions
from quantflow_nodes.sweep.figures import FIGURES, Figures
from quantflow_nodes.sweep.grid import Values
from quantflow_nodes.sweep.sweep_plan import SweepPlan
from schemas.collections import SWEEP_RESULTS, SWEEPS, Store
from schemas.documents import RunState
from schemas.mongo import server_time
from schemas.secrets import without_secrets
from schemas.sweep_documents import Sweep, SweepResult, SweptParam

_RESULTS_A_READ = 10_000
_SETS_A_DELETE = 10_000


def sweep_id_of(plan: SweepPlan, data_digest: str, engine: str) -> str:
    """Return what names a sweep: equal graphs, data, versions and engines give equal figures for equal sets.

    The values of the swept parameters are no part of it, so that a wider grid goes on from a narrower one.
    """
    document = plan.graph.as_document()
    for axis in plan.grid.axes:
        document["nodes"][axis.node]["params"].pop(axis.param, None)
    told = {
        "nodes": document["nodes"],
        "axes": sorted(axis.name for axis in plan.grid.axes),
        "target": plan.target,
        "data": data_digest,
        "versions": versions(),
        "engine": engine,
    }
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


class ResultsStore:
    """The documents of one sweep; with `replaces` it begins by `forget`, and nobody reuses what that left behind."""

    def __init__(self, db: Store, plan: SweepPlan, sweep_id: str, *, replaces: bool) -> None:
        self._db, self._plan, self.sweep_id, self._replaces = db, plan, sweep_id, replaces

    @contextmanager
    def recorded(self, metric: str, walk_forward: str | None, data: Mapping[str, Any]) -> Iterator[None]:
        """Keep the sweep as running for a `with` block, then as it ended; mark earlier ones that were killed."""
        close_abandoned_runs(self._db, SWEEPS)
        self._begin(metric, walk_forward, data)
        try:
            yield
        except BaseException as error:
            with suppress(PyMongoError):  # MongoDB may be what failed
                self._ended("failed" if isinstance(error, Exception) else "interrupted", str(error) or None)
            raise
        self._ended("succeeded", None)

    def _begin(self, metric: str, walk_forward: str | None, data: Mapping[str, Any]) -> None:
        plan, key = self._plan, {"sweep_id": self.sweep_id}
        sweep = Sweep(
            sweep_id=self.sweep_id,
            name=plan.graph.name,
            target=plan.target,
            graph=plan.graph.as_document(),
            graph_digest=plan.graph.digest,
            grid=[SweptParam(node=axis.node, param=axis.param, values=list(axis.values)) for axis in plan.grid.axes],
            sets=len(plan.grid.sets),
            walk_forward=walk_forward,
            metric=metric,
            versions=versions(),
            clearing=self._replaces or None,
            state="running",
            started_at=server_time(self._db),
            **own_identity(),
            **data,
        )
        if self._db[SWEEPS].find_one({**key, "clearing": True}) is not None:
            self._db[SWEEP_RESULTS].delete_many(key)  # `forget` was killed: nobody can tell which were to go
        self._db[SWEEPS].replace_one(key, sweep.to_mongo(), upsert=True)

    def _ended(self, state: RunState, error: str | None) -> None:
        fields: dict[str, Any] = {"state": state, "ended_at": server_time(self._db)}
        if error is not None:
            fields["error"] = without_secrets(error)
        self._db[SWEEPS].update_one({"sweep_id": self.sweep_id}, {"$set": fields})

    def forget(self, splits: Sequence[str], set_ids: Sequence[str]) -> None:
        """Delete what is stored of some sets in some splits, all of it or, after a kill in the middle, all results."""
        for split in splits:
            for begin in range(0, len(set_ids), _SETS_A_DELETE):
                chosen = {"$in": list(set_ids[begin : begin + _SETS_A_DELETE])}
                self._db[SWEEP_RESULTS].delete_many({"sweep_id": self.sweep_id, "split": split, "set_id": chosen})
        self._db[SWEEPS].update_one({"sweep_id": self.sweep_id}, {"$unset": {"clearing": ""}})

    def done(self, splits: Sequence[str]) -> dict[tuple[str, str], Figures]:
        """Return the figures that are stored for some splits, by split and set."""
        found = self._db[SWEEP_RESULTS].find(
            {"sweep_id": self.sweep_id, "split": {"$in": list(splits)}},
            {"_id": 0, "split": 1, "set_id": 1, "figures": 1},
            batch_size=_RESULTS_A_READ,
        )
        return {(one["split"], one["set_id"]): _read(one["figures"]) for one in found}

    def write(self, split: str, sets: Iterable[tuple[Values, Figures]]) -> None:
        """Store the figures of some sets; what is stored already stays as it is."""
        updates, now = [], server_time(self._db)
        for values, figures in sets:
            result = SweepResult(
                sweep_id=self.sweep_id,
                split=split,
                set_id=self.set_id(values),
                params=self._params(values),
                figures={name: value for name, value in figures.items() if not math.isnan(value)},
                computed_at=now,
            ).to_mongo()
            key = {name: result.pop(name) for name in ("sweep_id", "split", "set_id")}
            updates.append(UpdateOne(key, {"$setOnInsert": result}, upsert=True))
        self._db[SWEEP_RESULTS].bulk_write(updates, ordered=False)

    def set_id(self, values: Values) -> str:
        """Return SHA-256 of a set's parameters, in hex."""
        return hashlib.sha256(orjson.dumps(self._params(values), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _params(self, values: Values) -> dict[str, dict[str, Any]]:
        params: dict[str, dict[str, Any]] = {}
        for axis, value in zip(self._plan.grid.axes, values, strict=True):
            params.setdefault(axis.node, {})[axis.param] = value
        return params


def _read(figures: Mapping[str, float]) -> Figures:
    """Return stored figures; what was not defined is NaN, and a set without figures stays without."""
    return {name: figures.get(name, math.nan) for name in FIGURES} if figures else {}
