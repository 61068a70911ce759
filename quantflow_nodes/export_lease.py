"""One export of a strategy at a time: a lease in MongoDB that ends by itself when its holder dies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from quantflow_nodes.process_identity import has_died, own_identity
from schemas.collections import SIGNAL_EXPORT_LEASES, Store
from schemas.errors import LockedError
from schemas.mongo import server_time


@contextmanager
def export_lease(
    db: Store, strategy_id: str, run_id: str, lease_s: float, *, retake: bool = False
) -> Iterator[Callable[[], None]]:
    """Hold a strategy's export for the length of a `with` block, and give the function that renews it.

    A lease that was not renewed for `lease_s` seconds is void; one whose holder was a process of this host that has
    ended is void at once. With `retake` so is one of the run itself: a run that exports once at a time left it when the
    store went away before it could be given back.

    Raises
    ------
    LockedError
        Where another run holds it, at the start or, after a longer silence of ours, at a renewal.
    """
    leases = db[SIGNAL_EXPORT_LEASES]
    _take(db, strategy_id, run_id, lease_s, retake=retake)
    own = {"_id": strategy_id, "run_id": run_id}

    def renew() -> None:
        expires = server_time(db) + timedelta(seconds=lease_s)
        if leases.update_one(own, {"$set": {"expires_at": expires}}).matched_count == 0:
            raise LockedError(
                f"The export of {strategy_id} was silent for more than {lease_s:.0f} s and another run took it over. "
                "Nothing is lost; run it again."
            )

    try:
        yield renew
    finally:
        leases.delete_one(own)


def _take(db: Store, strategy_id: str, run_id: str, lease_s: float, *, retake: bool) -> None:
    now = server_time(db)
    lease = {"run_id": run_id, **own_identity(), "expires_at": now + timedelta(seconds=lease_s)}
    leases = db[SIGNAL_EXPORT_LEASES]
    try:
        leases.insert_one({"_id": strategy_id, **lease})
        return
    except DuplicateKeyError:
        held: Any = leases.find_one({"_id": strategy_id})
    is_left = held is not None and retake and held["run_id"] == run_id
    if held is not None and held["expires_at"] > now and not is_left and not has_died(held):
        raise LockedError(
            f"Run {held['run_id']} is exporting {strategy_id} now (pid {held['pid']} on {held['host']}). "
            "Two exports of one strategy would mix their signals: run this one again when that one has ended."
        )
    void = {"_id": strategy_id, "run_id": held["run_id"]} if held else {"_id": strategy_id, "run_id": ""}
    if leases.find_one_and_replace(void, lease) is None:
        raise LockedError(f"Another run began to export {strategy_id} at this moment. Run this one again.")
