"""A look comes out whatever is away, costs few commands, reads by indexes only, and shows what is there."""

import os
import signal as signal_number
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_documents import NOON, export, fill, receipt, signal
from own_mongod import OwnMongod, own_mongod
from pydantic import SecretStr

from monitoring.alerts.rules import judge
from monitoring.chain.reconciliation import Reconciliation
from monitoring.facts import BotHealth, VenueHealth
from monitoring.look import Witnesses, open_looker
from monitoring.problem import Severity
from monitoring.watch_file import Rules, WatchedStrategy, WatchFile
from schemas.collections import (
    BAR_GAPS,
    FILLS,
    MINUTE_BARS,
    SIGNAL_EXPORTS,
    SIGNAL_RECEIPTS,
    SIGNALS,
    WORKFLOW_RUNS,
    Store,
    ensure_collections,
)
from schemas.errors import SettingsError
from schemas.mongo import open_client
from schemas.settings import Settings
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
NAMED = WatchedStrategy(strategy_id="s", consumer="bot", freqtrade="http://127.0.0.1:9", exchange="binance")
FILE = WatchFile(strategies=(NAMED,))
MINUTE = Timeframe.parse("1m")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMongod]:
    """A replica set of one, which the test may kill."""
    with own_mongod(tmp_path_factory.mktemp("look"), "look") as running:
        yield running


@pytest.fixture
def own(server: OwnMongod, tmp_path: Path) -> Settings:
    """Settings of an empty database of the test's own there."""
    return Settings.load(mongo_uri=SecretStr(server.uri), db=f"look_{tmp_path.name[:40]}", home=tmp_path)


def trade(db: Store, minutes_ago: int = 3) -> datetime:
    """Store a signal of a bar that closed so long ago, with all that came of it, and return the bar's open."""
    ts = MINUTE.floor(datetime.now(UTC)) - minutes_ago * MINUTE.delta
    moved = {"ts": ts}
    close = ts + MINUTE.delta

    def after(ms: int) -> datetime:
        return close + timedelta(milliseconds=ms)

    db[SIGNALS].insert_one(signal(0, 0) | moved | {"created_at": after(80)})
    times = {"first_ts": ts, "last_ts": ts, "bars_seen_at": after(30), "exported_at": after(95), "delay_s": 0.095}
    db[SIGNAL_EXPORTS].insert_one(export(0, 0) | times)
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 0) | moved | {"seen_at": after(540)})
    own = {"ordered_at": after(1_100), "filled_at": after(1_180)}
    db[FILLS].insert_one(fill(0, 0, 0, f"order {minutes_ago}") | moved | own)
    db[MINUTE_BARS].insert_one({"symbol": "BINANCE:BTCUSDT", "datetime": ts})
    return ts


@pytest.fixture
def there(own: Settings, server: OwnMongod) -> Iterator[Store]:
    """The test's database, with one trade."""
    with open_client(server.uri, "QUANTFLOW_MONGO_URI") as client:
        db: Any = client[own.db]
        ensure_collections(db)
        trade(db)
        yield db
        client.drop_database(own.db)


def test_a_look_shows_what_is_stored(own: Settings, there: Store) -> None:
    """The strategy is found with its bot, its signal with all stages, research and bars with their ages."""
    with open_looker(own, WatchFile()) as looker:
        look = looker.look()
        newer = trade(there, minutes_ago=2)
        second = looker.look()
    (one,) = look.strategies
    assert (one.watched.strategy_id, one.watched.consumer, one.watched.pairs) == ("s", "bot", ("BTC/USDT",))
    (chain,) = one.chains
    stages = ("available", "exported", "seen", "ordered", "filled")
    assert [chain.ms(stage) for stage in stages] == [30.0, 80.0, 540.0, 1_100.0, 1_180.0]
    assert one.bot_since == chain.seen
    assert one.research is not None
    assert (one.research.exports, one.research.delay_s, one.research.last_signals) == (
        1,
        (0.095,),
        {"BTC/USDT": chain.ts},
    )
    (series,) = look.series
    assert (series.symbol, series.last_open) == ("BINANCE:BTCUSDT", chain.ts)
    assert one.since == look.since == MINUTE.floor(look.at) - 120 * MINUTE.delta
    assert look.store.error is None
    assert look.store.is_replica_set
    assert [chain.ts for chain in second.strategies[0].chains] == [one.chains[0].ts, newer]


@pytest.mark.usefixtures("there")
def test_a_look_costs_five_commands(own: Settings) -> None:
    """Where nothing is new: the server's state, one read of the change stream, bars, gaps, failed runs."""
    with open_looker(own, FILE) as looker:
        looker.look()
        before = looker.look().store_commands
        after = looker.look().store_commands
    cost = {name: many - before.get(name, 0) for name, many in after.items() if many != before.get(name)}
    assert cost == {"hello": 1, "getMore": 1, "aggregate": 2, "find": 1}


def test_every_query_reads_by_an_index(own: Settings, there: Store) -> None:
    """A server that refuses to read whole collections serves looks of all kinds, with and without a change stream."""
    there[WORKFLOW_RUNS].insert_many(
        [{"run_id": name, "name": name, "state": "failed", "started_at": datetime.now(UTC)} for name in ("r", "other")]
    )
    gap = {"symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "state": "open", "start": NOON, "end": NOON}
    there[BAR_GAPS].insert_one(gap)
    admin = there.client.admin
    admin.command("setParameter", 1, notablescan=True)
    try:
        for file in (WatchFile(), FILE):
            with open_looker(own, file) as looker:
                assert [looker.look().store.error for _ in range(2)] == [None, None]
                looker.stored.feed.close()
                answer = looker.look()
                assert (answer.store.error, len(answer.strategies[0].chains)) == (None, 1)
    finally:
        admin.command("setParameter", 1, notablescan=False)


def test_a_look_comes_out_while_mongodb_is_away(server: OwnMongod, own: Settings, there: Store) -> None:
    """Killed and back: within three seconds the bot and the venue are shown, and the store's silence is a sentence."""
    asked: list[str] = []

    def bot(watched: WatchedStrategy) -> BotHealth:
        asked.append(watched.strategy_id)
        return BotHealth(1.0, state="running")

    witnesses = Witnesses(bot=bot, venue=lambda _: VenueHealth(2.0))
    with open_looker(own, FILE, witnesses) as looker:
        assert looker.look().store.error is None
        server.kill()
        try:
            for _ in range(2):
                asked.clear()
                started = time.monotonic()
                look = looker.look()
                assert time.monotonic() - started < 4.0
                assert "did not answer" in (look.store.error or "")
                (one,) = look.strategies
                assert (one.bot, one.venue) == (BotHealth(1.0, state="running"), VenueHealth(2.0))
                assert (one.research, one.chains, look.series, asked) == (None, (), (), ["s"])
                assert abs(look.at - datetime.now(UTC)) < timedelta(seconds=10)
        finally:
            server.start()
        with open_client(server.uri, "QUANTFLOW_MONGO_URI") as client:
            other: Any = client[own.db]
            newer = trade(other, minutes_ago=2)
        back = looker.look()
        assert back.store.error is None
        assert [chain.ts for chain in back.strategies[0].chains][-1] == newer
        assert looker.stored.feed.is_streaming


@pytest.mark.usefixtures("there")
def test_a_frozen_server_is_noticed_as_soon(server: OwnMongod, own: Settings) -> None:
    """It takes connections and answers nothing; when it goes on, so do the looks."""
    assert server.process is not None
    with open_looker(own, FILE) as looker:
        looker.look()
        server.process.send_signal(signal_number.SIGSTOP)
        try:
            for _ in range(2):
                started = time.monotonic()
                said = looker.look().store.error or ""
                assert time.monotonic() - started < 4.0
                assert "accepts connections and gives no answer within 2.5 s" in said
        finally:
            server.process.send_signal(signal_number.SIGCONT)
        # The driver hears of the server's return at its next heartbeat.
        deadline = time.monotonic() + 30
        while looker.look().store.error is not None:
            assert time.monotonic() < deadline


def test_mongodb_may_come_after_the_monitor(tmp_path: Path) -> None:
    """A monitor that starts first shows what its file names, and finds the rest when the server is there."""
    with own_mongod(tmp_path / "data", None) as server:
        settings = Settings.load(mongo_uri=SecretStr(server.uri), db="later", home=tmp_path)
        server.kill()
        with open_looker(settings, FILE) as looker:
            look = looker.look()
            assert look.store.error is not None
            assert [one.watched.strategy_id for one in look.strategies] == ["s"]
            server.start()
            with open_client(server.uri, "QUANTFLOW_MONGO_URI") as client:
                db: Any = client["later"]
                trade(db)
            look = looker.look()
            assert (look.store.error, look.store.is_replica_set) == (None, False)
            assert len(look.strategies[0].chains) == 1
            assert not looker.stored.feed.is_streaming


@pytest.mark.usefixtures("there")
def test_a_silent_witness_holds_nobody_up(own: Settings) -> None:
    """He is shown as silent, the other one and the store as they are; when he answers, his answer is shown."""
    may_answer = threading.Event()

    def slow(_: WatchedStrategy) -> BotHealth:
        may_answer.wait(30)
        return BotHealth(1.0)

    witnesses = Witnesses(bot=slow, venue=lambda _: VenueHealth(2.0))
    with open_looker(own, FILE, witnesses) as looker:
        look = looker.look(patience_s=0.5)
        (one,) = look.strategies
        assert one.bot == BotHealth(None, error="No answer that could be used came within 0.5 s.")
        assert one.venue == VenueHealth(2.0)
        assert len(one.chains) == 1
        may_answer.set()
        assert looker.look().strategies[0].bot == BotHealth(1.0)


@pytest.mark.usefixtures("there")
def test_only_what_the_file_names_is_asked(own: Settings) -> None:
    """A strategy without an address of its bot has no bot in the look, and no error either."""

    def never(_: WatchedStrategy) -> Any:
        raise AssertionError("nobody was to be asked")

    with open_looker(own, WatchFile(), Witnesses(bot=never, venue=never)) as looker:
        (one,) = looker.look().strategies
    assert (one.bot, one.venue, one.reconciliation) == (None, None, None)


@pytest.mark.usefixtures("there")
def test_sides_are_reconciled_at_their_interval(own: Settings) -> None:
    """At the first look, and not again within the minute; the outcome is shown in between."""
    times: list[datetime] = []

    def reconcile(_: Store, watched: WatchedStrategy, at: datetime) -> Reconciliation:
        times.append(at)
        assert watched.pairs == ("BTC/USDT",)
        return Reconciliation(signals=1, receipts=1, fills=1, venue_orders=None, findings=())

    with open_looker(own, FILE, Witnesses(reconcile=reconcile)) as looker:
        looks = [looker.look() for _ in range(3)]
    assert [one.at for one in looks[:1]] == times
    assert all(one.strategies[0].reconciliation is not None for one in looks)
    off = FILE.model_copy(update={"rules": Rules.model_validate({"reconciliation": {"enabled": False}})})
    with open_looker(own, off, Witnesses(reconcile=reconcile)) as looker:
        assert looker.look().strategies[0].reconciliation is None


@pytest.mark.usefixtures("there")
def test_slow_reconciliations_make_no_bot_silent(own: Settings) -> None:
    """Eight of them leave room for each bot's question; at the end those that have not begun are not waited for."""
    named = [NAMED.model_copy(update={"strategy_id": f"s{number}"}) for number in range(8)]
    may_end, begun = threading.Event(), list[str]()

    def reconcile(_: Store, watched: WatchedStrategy, __: datetime) -> Reconciliation:
        begun.append(watched.strategy_id)
        may_end.wait(30)
        raise ZeroDivisionError("a fault")

    witnesses = Witnesses(bot=lambda _: BotHealth(1.0), reconcile=reconcile)
    with open_looker(own, WatchFile(strategies=tuple(named)), witnesses) as looker:
        looks = [looker.look(patience_s=0.1) for _ in range(2)]
        threading.Timer(0.2, may_end.set).start()
    assert [one.bot for one in looks[1].strategies] == 8 * [BotHealth(1.0)]
    assert len(begun) == 4
    blind = looks[1].strategies[0].reconciliation
    assert blind is not None
    assert blind.not_compared == ("The first comparison of all sides did not end within 0.1 s.",)
    assert judge(looks[1], FILE.rules).severity == Severity.WARNING


@pytest.mark.usefixtures("there")
def test_a_reconciliation_that_fails_has_compared_nothing(own: Settings) -> None:
    """Its fault is in the look, and not only in the log."""

    def reconcile(*_: Any) -> Reconciliation:
        raise ZeroDivisionError("a fault")

    with open_looker(own, FILE, Witnesses(reconcile=reconcile)) as looker:
        found = looker.look().strategies[0].reconciliation
    assert found is not None
    assert found.not_compared == (
        "The comparison failed by a fault of its own, ZeroDivisionError, which the log shows.",
    )


def test_an_address_that_can_not_be_used_is_an_error_at_once(tmp_path: Path) -> None:
    """A mistake of the user is no silence of the server."""
    settings = Settings.load(mongo_uri=SecretStr("http://127.0.0.1"), home=tmp_path)
    with pytest.raises(SettingsError, match="QUANTFLOW_MONGO_URI must look like"), open_looker(settings, FILE):
        pass


@pytest.mark.usefixtures("there")
def test_the_market_s_time_is_that_of_a_replay(own: Settings) -> None:
    """What MongoDB's clock shows is moved onto the replay's line."""
    shown = datetime(2022, 1, 15, 12, tzinfo=UTC)
    line = f"{shown.isoformat()}@{datetime.now(UTC).isoformat()}x20"
    script = (
        "from schemas.settings import Settings; from monitoring.look import open_looker;"
        "from monitoring.watch_file import WatchFile\n"
        "with open_looker(Settings.load(), WatchFile()) as looker: print(looker.look().at.isoformat())"
    )
    assert own.mongo_uri is not None
    env = os.environ | {"QUANTFLOW_MONGO_URI": own.mongo_uri.get_secret_value(), "QUANTFLOW_REPLAY_CLOCK": line}
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert shown < datetime.fromisoformat(ended.stdout.strip()) < shown + timedelta(minutes=20)
