"""Finds where a live session goes on: after the last one, after the last export, or at the start of the history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quantflow_nodes.live.live_plan import LivePlan
from schemas.collections import SIGNAL_EXPORTS, WORKFLOW_RUNS, Store
from schemas.timeframes import Timeframe

RECHECKED_BARS = 1_440


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on.

    Attributes
    ----------
    through : datetime
        What closed until then is exported.
    position : dict or None
        Where the earlier session's change streams stood; None where nobody knows what was stored since.
    why : str
        What was found, in words.
    """

    through: datetime
    position: dict[str, Any] | None
    why: str


def find_resume(db: Store, live: LivePlan, since: datetime | None) -> Resume:
    """Return where a session of a graph goes on.

    Parameters
    ----------
    db : Database
    live : LivePlan
    since : datetime or None
        Where the user wants the exports to begin, whatever was exported before.

    Notes
    -----
    What an earlier session of the same strategies had exported is not exported again, but for bars that were stored or
    changed since: the change streams tell them. Where those are not known, the last day's bars are looked at again,
    which changes nothing where nothing has changed.
    """
    start = min(source.start for source in live.sources.values())
    if since is not None:
        through = max(_ceil(since, live.timeframes[0]), start)
        return Resume(through, None, f"from {through:%Y-%m-%d %H:%M} UTC on, as was asked for")
    session = _last_session(db, live)
    if session is not None:
        progress, position = session["live"], session["live"].get("position")
        through = max(progress["through"], start)
        changed = "" if session["graph_digest"] == live.plan.graph.digest else "; the graph has changed since then"
        why = f"after the last session's {through:%Y-%m-%d %H:%M} UTC{changed}"
        return Resume(through, position, why) if position else _checked_again(through, start, live, why)
    exported = [_last_export(db, strategy_id) for strategy_id in live.strategies]
    if all(exported):
        through = max(min(close for close in exported if close), start)
        return _checked_again(through, start, live, f"after the last export's {through:%Y-%m-%d %H:%M} UTC")
    return Resume(start, None, f"from the start of the history, {start:%Y-%m-%d %H:%M} UTC")


def _last_session(db: Store, live: LivePlan) -> Mapping[str, Any] | None:
    wanted = {"name": live.plan.graph.name, "live.strategies": live.strategies}
    newest = db[WORKFLOW_RUNS].find(wanted, {"live": 1, "graph_digest": 1}).sort("started_at", -1).limit(1)
    return next(iter(newest), None)


def _last_export(db: Store, strategy_id: str) -> datetime | None:
    wanted = {"strategy_id": strategy_id, "last_ts": {"$exists": True}}
    newest = db[SIGNAL_EXPORTS].find(wanted).sort("last_ts", -1).limit(1)
    closes = [export["last_ts"] + Timeframe.parse(export["timeframe"]).delta for export in newest]
    return closes[0] if closes else None


def _checked_again(through: datetime, start: datetime, live: LivePlan, why: str) -> Resume:
    through = max(through - RECHECKED_BARS * live.timeframes[0].delta, start)
    return Resume(through, None, f"{why}, looking at {RECHECKED_BARS:,} bars before it again")


def _ceil(time: datetime, timeframe: Timeframe) -> datetime:
    floor = timeframe.floor(time)
    return floor if floor == time else floor + timeframe.delta
