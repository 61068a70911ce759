"""Opens a live session from end to end: a connection, a record, the feed of bars, and an end that is written down."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import pymongo
import structlog
from pymongo.errors import PyMongoError

from quantflow_nodes.live.bar_feed import open_feed
from quantflow_nodes.live.bar_history import BarHistory
from quantflow_nodes.live.live_events import Observer, Teller
from quantflow_nodes.live.live_plan import LivePlan
from quantflow_nodes.live.market_clock import MarketClock
from quantflow_nodes.live.resume import Resume, find_resume
from quantflow_nodes.live.session import LiveOptions, LiveSession
from quantflow_nodes.node import RunContext
from quantflow_nodes.run_record import RunRecord
from schemas.errors import InputError
from schemas.mongo import open_database, serve, server_time
from schemas.run_id import new_run_id
from schemas.settings import Settings

log = structlog.get_logger()
_LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that is ready to run, and where it goes on."""

    session: LiveSession
    resume: Resume
    run_id: str
    patience_s: float

    def run(self) -> None:
        """Run it until it is stopped or has reached its end."""
        self.session.run(self.resume.through)


@contextmanager
def open_session(
    live: LivePlan,
    settings: Settings,
    observe: Observer,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    bars: int | None = None,
    patience_s: float | None = None,
) -> Iterator[OpenSession]:
    """Give a session of a graph for the length of a `with` block; how it ended is kept in `workflow_runs`.

    Parameters
    ----------
    live : LivePlan
    settings : Settings
        Where the bars and signals lie.
    observe : callable
        Is given each event and each export.
    since : datetime, optional
        Export from here on, whatever was exported before.
    until, bars
        When to end; see LiveOptions.
    patience_s : float, optional
        How long bars are waited for after a close, in seconds; by default a quarter of the shortest bar.

    Raises
    ------
    InputError
        Where the patience is longer than a bar.
    StoreError
        Where the store can not be used.
    """
    shortest = live.timeframes[0]
    patience_s = shortest.seconds / 4 if patience_s is None else patience_s
    if not 0 <= patience_s <= shortest.seconds:
        raise InputError(
            f"The patience must lie between 0 and the bar's length, {shortest.seconds} s, found {patience_s:g}."
        )
    with serve(settings) as served, open_database(served) as db:
        resume = find_resume(db, live, since)
        context = RunContext(served, new_run_id(), live.plan.graph.name, "", server_time(db))
        record = RunRecord(db, live.plan, context)
        options = LiveOptions(patience_s, bars, until, resume.through if since is not None else None)
        with _recorded(record, live), open_feed(db, served, list(live.sources.values()), resume.position) as feed:
            clock, history = MarketClock(db), BarHistory(db, served.mongo_timeout_s)
            teller = Teller(observe, context.run_id)
            session = LiveSession(live, history, context, record, feed, clock, options, teller)
            log.info("live_started", graph=live.plan.graph.name, run_id=context.run_id, through=resume.through)
            yield OpenSession(session, resume, context.run_id, patience_s)


@contextmanager
def _recorded(record: RunRecord, live: LivePlan) -> Iterator[None]:
    """Keep the state of the run and of its nodes, from the start of a `with` block to its end."""
    run = [name for name in live.plan.nodes if name not in live.idle]
    record.nodes({name: "skipped" if name in live.idle else "running" for name in live.plan.nodes})
    try:
        yield
    except BaseException as error:
        with suppress(PyMongoError), pymongo.timeout(_LAST_WORDS_S):
            failed = isinstance(error, Exception)
            record.ended("failed" if failed else "interrupted", str(error) if failed else None)
        raise
    with suppress(PyMongoError), pymongo.timeout(_LAST_WORDS_S):  # a store that is away must not hold up the end
        record.nodes(dict.fromkeys(run, "succeeded"))
        record.ended("succeeded", None)
