"""Keeps alerts in MongoDB: each change is made by one monitor, and each message is told by one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from monitoring.chain.document_shape import OddDocuments
from schemas.collections import MONITOR_ALERTS, Store
from schemas.monitor_documents import MonitorAlert

CLAIM_S = 60
"""How long a monitor that died while telling keeps the others from telling, by the server's clock."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_UNCLAIMED = {"$expr": {"$lt": [{"$ifNull": ["$claimed_until", _LONG_AGO]}, "$$NOW"]}}


class AlertStore:
    """The alerts of a database; all of its methods raise the driver's errors.

    A message is told in three steps: it is claimed, sent, and then kept as told. Of a monitor that dies between sending
    and keeping nobody knows whether it was sent: after `CLAIM_S` it is sent once more. None is lost by that.

    Documents that are no alerts, as those of a newer monitor or of a person's hand, are as if they were not there; they
    are neither changed nor told, and the log names each of them once.
    """

    def __init__(self, db: Store, odd: OddDocuments | None = None) -> None:
        self._alerts = db[MONITOR_ALERTS]
        self._odd = odd or OddDocuments()

    def read(self) -> list[MonitorAlert]:
        """Return all alerts of which something may still be told."""
        found = map(self._readable, self._alerts.find({"settled": False}))
        return [alert for alert in found if alert is not None]

    def read_one(self, alert: MonitorAlert) -> MonitorAlert | None:
        """Return an alert as it is stored, or the one that lasts in its slot; None where neither can be read."""
        for field in ("alert_id", "slot"):
            found = self._alerts.find_one({field: getattr(alert, field)})
            if found is not None:
                return self._readable(found)
        return None

    def add(self, alert: MonitorAlert) -> bool:
        """Store a new alert; False where another monitor has stored it."""
        try:
            self._alerts.insert_one(alert.to_mongo())
        except DuplicateKeyError:
            return False
        return True

    def change(self, alert: MonitorAlert) -> MonitorAlert | None:
        """Store what has changed of an alert, and return it as it is then; None where another monitor has it."""
        changed = alert.model_copy(update={"revision": alert.revision + 1, "claimed_until": None})
        mine = {"alert_id": alert.alert_id, "revision": alert.revision} | _UNCLAIMED
        done = self._alerts.replace_one(mine, changed.to_mongo())
        return changed if done.matched_count else None

    def claim(self, alert: MonitorAlert) -> bool:
        """Make an alert this monitor's own while it tells it; False where another one does, or has changed it."""
        mine = {"alert_id": alert.alert_id, "revision": alert.revision} | _UNCLAIMED
        until = {"$add": ["$$NOW", CLAIM_S * 1000]}
        return bool(self._alerts.update_one(mine, [{"$set": {"claimed_until": until}}]).matched_count)

    def release(self, alert: MonitorAlert) -> None:
        """Give a claim back: it could not be told."""
        self._alerts.update_one(_own(alert), {"$unset": {"claimed_until": True}})

    def keep_told(self, alert: MonitorAlert) -> MonitorAlert | None:
        """Store a claimed alert as told, and return it as it is then; None where the claim had run out."""
        told = alert.model_copy(update={"revision": alert.revision + 1, "claimed_until": None})
        return told if self._alerts.replace_one(_own(alert), told.to_mongo()).matched_count else None

    def _readable(self, document: Mapping[str, Any]) -> MonitorAlert | None:
        try:
            return MonitorAlert.model_validate({name: value for name, value in document.items() if name != "_id"})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            self._odd.refuse(MONITOR_ALERTS, document["_id"], f"Its field {place!r} does not fit: {first['msg']}.")
            return None


def _own(alert: MonitorAlert) -> Mapping[str, Any]:
    return {"alert_id": alert.alert_id, "revision": alert.revision}
