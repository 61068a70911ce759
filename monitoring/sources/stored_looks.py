"""Reads all that the store tells of what is watched: strategies, bars, research, signals and what became of them."""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from monitoring.chain.signal_chain import Scope, first_seen, signal_chains
from monitoring.facts import FailedRun, SeriesHealth, StrategyLook
from monitoring.sources.chain_feed import ChainFeed
from monitoring.sources.chain_window import ChainKey
from monitoring.sources.research_health import ResearchReader, RunReader, research_health
from monitoring.sources.series_health import read_series_health
from monitoring.sources.store_health import StoreAnswer
from monitoring.sources.watched_strategies import Found, find_watched
from monitoring.watch_file import WatchedStrategy
from schemas.collections import Store

_FIND_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store told, by the name of each strategy and bot; nothing, where it did not answer."""

    series: tuple[SeriesHealth, ...] = ()
    looks: Mapping[Hashable, StrategyLook] = field(default_factory=dict)


def name_of(watched: WatchedStrategy) -> Hashable:
    """Return what tells a watched strategy and its bot from every other."""
    return watched.strategy_id, watched.timeframe, watched.consumer


class StoredLooks:
    """Reads the store time after time; what it learns once it uses again.

    Parameters
    ----------
    db : Database
    named : sequence of WatchedStrategy
        Those of the watch file; without any they are found.
    bars : int
        How many of each strategy's newest bars are shown.
    """

    def __init__(self, db: Store, named: Sequence[WatchedStrategy], bars: int) -> None:
        self._db, self._named = db, named
        self.feed = ChainFeed(db, bars)
        self._research, self._runs = ResearchReader(db), RunReader(db)
        self._bot_since: dict[tuple[str, str], datetime] = {}
        self._found: tuple[Found, ...] = tuple(Found(one, ()) for one in named)
        self._found_at: float | None = None

    @property
    def watched(self) -> tuple[WatchedStrategy, ...]:
        """What is watched, as far as it is known."""
        return tuple(found.watched for found in self._found)

    def read(self, answer: StoreAnswer) -> Stored:
        """Return what the store tells now.

        Raises
        ------
        PyMongoError
            Where it does not answer any more.
        """
        if self._found_at is None or time.monotonic() - self._found_at > _FIND_AGAIN_S or not self._found:
            self._found = find_watched(self._db, self._named, answer.at)
            self._found_at = time.monotonic()
        keys = {found: _key(found, self._found) for found in self._found}
        self.feed.refresh(keys.values(), answer.at, has_streams=answer.has_streams)
        series = read_series_health(self._db, {one for found in self._found for one in found.series}, answer.at)
        failed = self._runs.failed_runs() if self._found else {}
        looks = {name_of(found.watched): self._look(found, key, failed, answer.at) for found, key in keys.items()}
        return Stored(series, looks)

    def _look(
        self, found: Found, key: ChainKey, failed: Mapping[str, tuple[FailedRun, ...]], at: datetime
    ) -> StrategyLook:
        watched, research = found.watched, self._research
        own = (watched.strategy_id, watched.timeframe)
        window = self.feed.window(key)
        stored = window.stored(watched.consumer)
        health = research_health(
            stored.exports,
            found.timeframe,
            window.start,
            at,
            last_export=stored.exports[-1] if stored.exports else research.last_export(*own),
            first_export_at=research.first_export_at(*own),
            failed_runs=failed.get(watched.strategy_id, ()),
            last_signals=research.last_signals(*own, watched.pairs, stored.signals, window.start),
        )
        chains = tuple(signal_chains(stored, found.timeframe))
        return StrategyLook(watched, health, chains, since=window.start, bot_since=self._first_seen(found, at))

    def _first_seen(self, found: Found, at: datetime) -> datetime | None:
        """Return when the bot saw its first signal; asked until it has seen one."""
        consumer = found.watched.consumer
        if consumer is None:
            return None
        key = (found.watched.strategy_id, consumer)
        if key not in self._bot_since:
            seen = first_seen(self._db, Scope(found.watched.strategy_id, consumer, found.timeframe, at, at))
            if seen is not None:
                self._bot_since[key] = seen
        return self._bot_since.get(key)


def _key(found: Found, all_found: Sequence[Found]) -> ChainKey:
    """Return what is followed for a strategy; its bots share one window."""
    own = (found.watched.strategy_id, found.watched.timeframe)
    bots = [one.watched for one in all_found if (one.watched.strategy_id, one.watched.timeframe) == own]
    return ChainKey(own[0], found.timeframe, frozenset(one.consumer for one in bots if one.consumer is not None))
