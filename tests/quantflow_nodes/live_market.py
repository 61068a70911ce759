"""Brings bars into a database one close after the other, as an import would, and drives a live session by them."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from market import START, write_walk
from pymongo import MongoClient

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.live.live_events import LiveEvent
from quantflow_nodes.live.live_export import Exported
from quantflow_nodes.live.live_plan import plan_live
from quantflow_nodes.live.run_live import open_session
from quantflow_nodes.live.session import LiveSession
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.workflow import run_graph
from schemas.collections import DAY_BARS, MINUTE_BARS, SIGNALS, Store
from schemas.mongo import connect
from schemas.settings import Settings

FOLDER = Path(__file__).parent
PATIENCE_S = 20.0
_CONTENT = ("strategy_id", "symbol", "pair", "timeframe", "ts", "action", "score", "weight", "valid_until", "note")
Bar = dict[str, Any]
BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
ONE, TWO = f'["{BTC}"]', f'["{BTC}", "{ETH}"]'


def graph(nodes: str, symbols: str = ONE) -> str:
    """A graph whose bars are the walk's; `factor` feeds a position, unless the nodes say otherwise."""
    return f"""
name: g
nodes:
  bars: {{type: read_bars, params: {{symbols: {symbols}, timeframe: 1m, start: 2022-01-01, end: 2022-01-10}}}}
{nodes}"""


def factor(params: str, source: str = "bars.bars") -> str:
    return f"  factor: {{type: factor, params: {params}, inputs: {{bars: {source}}}}}\n"


def position(above: float = 0.0, below: float = 0.0, source: str = "factor.factor") -> str:
    params = f"{{enter_above: {above}, exit_below: {below}}}"
    return f"  position: {{type: threshold_position, params: {params}, inputs: {{factor: {source}}}}}\n"


def export(params: str = "strategy_id: s", source: str = "position: position.position") -> str:
    return f"  export: {{type: export_signals, params: {{{params}}}, inputs: {{{source}}}}}\n"


@contextmanager
def another_database(settings: Settings) -> Iterator[tuple[Settings, Store]]:
    """A second database on the same server: what a run over the whole history gives is kept apart."""
    other = settings.model_copy(update={"db": f"test_{uuid.uuid4().hex[:12]}"})
    assert settings.mongo_uri is not None
    try:
        with connect(other) as db:
            yield other, db
    finally:
        with MongoClient[Any](settings.mongo_uri.get_secret_value()) as client:
            client.drop_database(other.db)


def walk(db: Store, minutes: int, *symbols: str) -> list[list[Bar]]:
    """Seeded bars of some symbols, close by close."""
    for seed, symbol in enumerate(symbols or ("BINANCE:BTCUSDT",)):
        write_walk(db, minutes, symbol, seed=7 + seed)
    closes: dict[datetime, list[Bar]] = {}
    for bar in db[MINUTE_BARS].find({}, {"_id": 0}).sort([("datetime", 1), ("symbol", 1)]):
        closes.setdefault(bar["datetime"] + timedelta(minutes=1), []).append(bar)
    db[MINUTE_BARS].delete_many({})
    return [closes[close] for close in sorted(closes)]


def without(closes: Sequence[list[Bar]], symbol: str, minutes: Sequence[int]) -> list[list[Bar]]:
    """The same bars without those of a symbol that opened in some minutes from the start on."""
    gone = {START + timedelta(minutes=minute) for minute in minutes}
    return [[bar for bar in bars if bar["symbol"] != symbol or bar["datetime"] not in gone] for bars in closes]


def store(db: Store, bars: Sequence[Bar], collection: str = MINUTE_BARS) -> None:
    """Store bars, each a document of its own."""
    if bars:
        db[collection].insert_many([dict(bar) for bar in bars])


def signals_of(db: Store) -> list[dict[str, Any]]:
    """The content of every stored signal, in order; what a writer adds is left out."""
    found = db[SIGNALS].find().sort([("strategy_id", 1), ("pair", 1), ("ts", 1)])
    return [{name: signal[name] for name in _CONTENT if name in signal} for signal in found]


def run_over_history(settings: Settings, text: str, closes: Sequence[list[Bar]], days: Sequence[Bar] = ()) -> list[Any]:
    """The signals that one run gives over all the bars."""
    with another_database(settings) as (other, db):
        store(db, [bar for bars in closes for bar in bars])
        store(db, days, DAY_BARS)
        run_graph(plan_graph(parse_graph(text, "g", FOLDER)), other)
        return signals_of(db)


class Drive:
    """A live session that is driven by hand."""

    def __init__(self, session: LiveSession, db: Store, told: list[LiveEvent | Exported]) -> None:
        self.session, self.db, self.told = session, db, told

    @property
    def events(self) -> list[LiveEvent]:
        return [one for one in self.told if isinstance(one, LiveEvent)]

    @property
    def exports(self) -> list[Exported]:
        return [one for one in self.told if isinstance(one, Exported)]

    def turn_until(self, is_done: Callable[[], bool]) -> None:
        """Let the session do what is due until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_done():
            assert time.monotonic() < deadline, self.told
            self.session.turn(0.05)

    def closes(self, closes: Sequence[list[Bar]]) -> None:
        """Store bars close by close, and let the session export each."""
        for bars in closes:
            store(self.db, bars)
            if bars:
                close = int((bars[0]["datetime"] + timedelta(minutes=1)).timestamp() * 1000)
                self.turn_until(lambda at=close: self.session.through_ms >= at)  # type: ignore[misc]

    def late(self, bars: Sequence[Bar], collection: str = MINUTE_BARS) -> None:
        """Store bars that come after their close was exported, and let the session look again."""
        before = len([event for event in self.events if event.kind == "late"])
        store(self.db, bars, collection)
        self.turn_until(lambda: len([event for event in self.events if event.kind == "late"]) > before)


@contextmanager
def live(settings: Settings, db: Store, text: str, **options: Any) -> Iterator[Drive]:
    """A session of a graph, ready to be driven, that has caught up with what is stored."""
    told: list[LiveEvent | Exported] = []
    plan = plan_live(plan_graph(parse_graph(text, "g", FOLDER)))
    with open_session(plan, settings, told.append, **options) as opened:
        opened.session.begin(opened.resume.through)
        opened.session.turn(0.0)
        yield Drive(opened.session, db, told)
