"""Reading signals from a real MongoDB: what is found, by which index, and what failures say."""

import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.bot.bounded_call import BoundedCalls
from schemas.bot.live_feed import LiveFeed
from schemas.collections import SIGNAL_EXPORTS, SIGNAL_KEY, SIGNAL_REVISIONS, SIGNALS, Store
from schemas.errors import SettingsError, StoreError
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_feed import SignalFeed
from schemas.signal_rule import NEVER, SignalWindow

START = datetime(2022, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
START_MS = int(START.timestamp() * 1000)
NOBODY = "mongodb://reader:hunter2@127.0.0.1:9/"


def signal(minute: int, pair: str = "BTC/USDT", **more: Any) -> dict[str, Any]:
    ts = START + timedelta(minutes=minute)
    written = ts + timedelta(minutes=1, seconds=2)
    document = {
        "strategy_id": "mine",
        "symbol": "BINANCE:" + pair.replace("/", ""),
        "pair": pair,
        "timeframe": "1m",
        "ts": ts,
        "version": 1,
        "run_id": "test",
        "created_at": written,
        "updated_at": written,
    }
    return document | (more or {"action": "enter_long"})


@pytest.fixture
def given(settings: Settings) -> ExternalSignalSettings:
    assert settings.mongo_uri is not None
    return ExternalSignalSettings(mongo_uri=settings.mongo_uri, db=settings.db, strategy_id="mine")


def changed(given: ExternalSignalSettings, **values: Any) -> ExternalSignalSettings:
    return given.model_copy(update=values)


@pytest.mark.mongo
def test_history_gives_one_pair_in_order_within_the_bounds(db: Store, given: ExternalSignalSettings) -> None:
    """Both bounds are included; other pairs, timeframes and strategies stay out."""
    db[SIGNALS].insert_many([signal(minute, score=minute / 10) for minute in (5, 1, 3, 2, 4)])
    db[SIGNALS].insert_many([signal(2, "ETH/USDT"), signal(2) | {"strategy_id": "other"}])
    db[SIGNALS].insert_one(signal(2) | {"timeframe": "5m", "ts": START})
    with SignalFeed(given, "1m", live=False) as feed:
        found = feed.history("BTC/USDT", START_MS + 2 * MINUTE_MS, START_MS + 4 * MINUTE_MS)
        everything = feed.history("BTC/USDT")
    assert [(ts - START_MS) // MINUTE_MS for ts in found.ts.tolist()] == [2, 3, 4]
    assert found.score.tolist() == [0.2, 0.3, 0.4]
    assert everything.ts.size == 5


@pytest.mark.mongo
def test_each_kind_of_content_is_read(db: Store, given: ExternalSignalSettings) -> None:
    """Actions, scores and weights keep apart: what a signal does not say is empty or NaN, no end is NEVER."""
    end = START + timedelta(minutes=9)
    db[SIGNALS].insert_many(
        [signal(1, action="exit_long", valid_until=end), signal(2, score=0.7), signal(3, weight=1, version=4)]
    )
    with SignalFeed(given, "1m", live=False) as feed:
        found = feed.history("BTC/USDT")
    assert found.action.tolist() == ["exit_long", "", ""]
    assert [isnan(value) for value in found.score.tolist()] == [True, False, True]
    assert [isnan(value) for value in found.weight.tolist()] == [True, True, False]
    assert found.valid_until.tolist() == [START_MS + 9 * MINUTE_MS, NEVER, NEVER]
    assert found.version.tolist() == [1, 1, 4]
    assert found.known_from.tolist() == [0, 0, 0]


@pytest.mark.mongo
def test_as_known_gives_every_version_with_its_span(db: Store, given: ExternalSignalSettings) -> None:
    """A rewritten signal comes as two rows that meet in time, a retracted one ends; both start when written."""

    def at(second: int) -> datetime:
        return START + timedelta(seconds=second)

    first = signal(1, action="enter_long") | {"created_at": at(121), "updated_at": at(121)}
    second = first | {"action": "exit_long", "version": 2, "updated_at": at(300)}
    gone = signal(7, action="enter_long") | {"created_at": at(481), "updated_at": at(481)}
    db[SIGNALS].insert_one(dict(second))
    db[SIGNAL_REVISIONS].insert_many(
        [
            first | {"replaced_at": at(300), "replaced_by": "r2"},
            gone | {"replaced_at": at(500), "replaced_by": "r3", "retracted": True},
        ]
    )
    with SignalFeed(changed(given, as_known=True), "1m", live=False) as feed:
        found = feed.history("BTC/USDT")
    assert found.action.tolist() == ["enter_long", "exit_long", "enter_long"]
    assert [(ms - START_MS) // 1000 for ms in found.known_from.tolist()] == [121, 300, 481]
    assert [(ms - START_MS) // 1000 for ms in found.valid_until.tolist()[::2]] == [300, 500]
    assert found.valid_until[1] == NEVER


@pytest.mark.mongo
def test_a_replacement_that_never_happened_is_ignored(db: Store, given: ExternalSignalSettings) -> None:
    """Revisions that a killed export left: of the signal's own version, one to replace it and one to retract it."""

    def at(minute: int) -> datetime:
        return START + timedelta(minutes=minute)

    changed_once = signal(1, action="enter_long", version=2) | {"updated_at": at(10)}
    untouched = signal(2, action="exit_long")
    db[SIGNALS].insert_many([dict(changed_once), dict(untouched)])
    db[SIGNAL_REVISIONS].insert_many(
        [
            signal(1, action="exit_long") | {"replaced_at": at(10), "replaced_by": "r2", "retracted": False},
            changed_once | {"replaced_at": at(20), "replaced_by": "killed", "retracted": False},
            untouched | {"replaced_at": at(20), "replaced_by": "killed", "retracted": True},
        ]
    )
    with SignalFeed(changed(given, as_known=True), "1m", live=False) as feed:
        found = feed.history("BTC/USDT")
    assert found.version.tolist() == [1, 2, 1]
    assert found.action.tolist() == ["exit_long", "enter_long", "exit_long"]
    assert found.valid_until.tolist() == [START_MS + 10 * MINUTE_MS, NEVER, NEVER]


@pytest.mark.mongo
def test_of_two_revisions_of_one_version_the_newer_counts(db: Store, given: ExternalSignalSettings) -> None:
    """The earlier one was left by a run that was killed before it replaced anything: the content stood on."""

    def at(minute: int) -> datetime:
        return START + timedelta(minutes=minute)

    db[SIGNALS].insert_one(signal(1, action="enter_long", version=2) | {"updated_at": at(30)})
    left = signal(1, action="exit_long") | {"updated_at": at(2)}
    db[SIGNAL_REVISIONS].insert_many(
        [
            left | {"replaced_at": at(30), "replaced_by": "r2", "retracted": False},
            left | {"replaced_at": at(10), "replaced_by": "killed", "retracted": True},
        ]
    )
    with SignalFeed(changed(given, as_known=True), "1m", live=False) as feed:
        found = feed.history("BTC/USDT")
    assert found.version.tolist() == [1, 2]
    assert found.valid_until.tolist() == [START_MS + 30 * MINUTE_MS, NEVER]


@pytest.mark.mongo
def test_newest_reads_all_pairs_in_one_query(db: Store, given: ExternalSignalSettings) -> None:
    """One query a loop however many pairs there are, answered by pair; a pair without signals is not there."""
    db[SIGNALS].insert_many([signal(1), signal(2), signal(2, "ETH/USDT"), signal(9)])
    db.command("profile", 2)
    with SignalFeed(given, "1m", live=True) as feed:
        found = feed.newest(["BTC/USDT", "ETH/USDT", "SOL/USDT"], START_MS, START_MS + 5 * MINUTE_MS)
    db.command("profile", 0)
    assert {pair: signals.ts.size for pair, signals in found.items()} == {"BTC/USDT": 2, "ETH/USDT": 1}
    queries = list(db["system.profile"].find({"op": "query", "command.find": SIGNALS}))
    assert len(queries) == 1
    assert queries[0]["planSummary"].startswith("IXSCAN { strategy_id: 1, pair: 1, timeframe: 1, ts: 1 }")


@pytest.mark.mongo
def test_the_newest_of_many_pairs_come_in_one_reply(db: Store, given: ExternalSignalSettings) -> None:
    """More than the 101 documents at which the server ends a first reply, if nobody asks for more."""
    pairs = [f"C{number}/USDT" for number in range(60)]
    db[SIGNALS].insert_many([signal(minute, pair) for pair in pairs for minute in range(4)])
    with SignalFeed(given, "1m", live=True) as feed:
        db.command("profile", 2)
        found = feed.newest(pairs, START_MS, START_MS + 3 * MINUTE_MS)
        db.command("profile", 0)
    assert [len(found[pair].ts) for pair in pairs] == [4] * 60
    asked = [document["op"] for document in db["system.profile"].find({"ns": f"{db.name}.{SIGNALS}"})]
    assert asked == ["query"]


@pytest.mark.mongo
def test_what_is_no_signal_is_left_out_and_said_once(
    db: Store, given: ExternalSignalSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Documents of other writers with a text for a time or an unknown action do not stop the rest."""
    db[SIGNALS].insert_many(
        [
            signal(1),
            signal(2, action="buy"),
            signal(3, score="high"),
            signal(4) | {"ts": "2022-01-01"},
            signal(5, note=""),
        ]
    )
    with SignalFeed(given, "1m", live=False) as feed, caplog.at_level(logging.WARNING):
        found = [feed.history("BTC/USDT"), feed.history("BTC/USDT")]
    assert [signals.ts.size for signals in found] == [1, 1]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("4 of 5 signals of mine can not be read")


@pytest.mark.mongo
def test_a_store_without_the_index_says_how_to_make_it(db: Store, given: ExternalSignalSettings) -> None:
    """A collection that another program made is not scanned in every loop: the read fails, with the remedy."""
    db["strange"].insert_one(signal(1))
    with (
        SignalFeed(changed(given, collection="strange"), "1m", live=False) as feed,
        pytest.raises(StoreError, match=r"lacks the index on strategy_id, pair, timeframe, ts.*quantflow db init"),
    ):
        feed.history("BTC/USDT")


@pytest.mark.mongo
def test_a_store_that_is_empty_has_no_signals(given: ExternalSignalSettings) -> None:
    """Before anything was exported there are no signals, which is no error."""
    with SignalFeed(changed(given, db="test_never_made"), "1m", live=False) as feed:
        assert feed.history("BTC/USDT").ts.size == 0
        assert feed.newest(["BTC/USDT"], 0, START_MS) == {}
        assert feed.strategies() == []


def test_nobody_there_is_a_sentence_without_the_password(given_nobody: ExternalSignalSettings) -> None:
    """The failure names the address, the setting and the command, and never the password."""
    with SignalFeed(given_nobody, "1m", live=True) as feed, pytest.raises(StoreError) as failure:
        feed.newest(["BTC/USDT"], 0, START_MS)
    assert "MongoDB at mongodb://***@127.0.0.1:9/ did not answer" in str(failure.value)
    assert "Start it or set EXT_SIG_MONGO_URI; with the embedded server run Freqtrade as `quantflow exec" in str(
        failure.value
    )
    assert "hunter2" not in str(failure.value)


def test_a_server_that_is_too_slow_is_given_up_on(given_nobody: ExternalSignalSettings) -> None:
    """A trading loop waits `mongo_timeout_ms` for a port that takes connections and says nothing, not longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = SecretStr(f"mongodb://127.0.0.1:{silent.getsockname()[1]}/")
        begun = time.monotonic()
        with (
            SignalFeed(changed(given_nobody, mongo_uri=address), "1m", live=True) as feed,
            pytest.raises(StoreError, match="did not answer"),
        ):
            feed.newest(["BTC/USDT"], 0, START_MS)
        assert time.monotonic() - begun < 5  # the driver's own patience is 30 s


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    "uri",
    [
        "postgres://hunter2@db/",
        "mongo://user:hunter2@host/",
        "mongodb://user:12/hunter2@host/",
        "mongodb://user:hunter2@host:port/",
        "mongodb://host:99999/",
        "mongodb://host/?tls=true&tlsCAFile=/none",
        "mongodb://user:hunter2@host/?tsl=true",
    ],
)
def test_an_address_that_can_not_be_used_names_the_setting(uri: str, live: bool) -> None:
    """Before any server is asked, as commands refuse theirs: without it, and also where the driver would only warn."""
    settings = ExternalSignalSettings(mongo_uri=SecretStr(uri), strategy_id="mine")
    with pytest.raises(SettingsError, match=r"^EXT_SIG_MONGO_URI must look like mongodb://user") as refused:
        SignalFeed(settings, "1m", live=live)
    assert "hunter2" not in str(refused.value)


def live_feed(feed: SignalFeed, window: SignalWindow, retry_after_s: float = 5.0, **more: Any) -> LiveFeed:
    """A loop's feed with patience enough for any machine."""
    calls = BoundedCalls(60.0)
    return LiveFeed(feed, window, calls, timeout_s=10.0, retry_after_s=retry_after_s, **more)


@pytest.fixture
def given_nobody() -> ExternalSignalSettings:
    return ExternalSignalSettings(mongo_uri=SecretStr(NOBODY), strategy_id="mine", mongo_timeout_ms=50)


def test_a_loop_lives_on_while_nobody_answers(
    given_nobody: ExternalSignalSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed reads give no signals; the log says it once, without the password."""
    with SignalFeed(given_nobody, "1m", live=True) as feed, caplog.at_level(logging.WARNING):
        live = live_feed(feed, SignalWindow(MINUTE_MS), retry_after_s=0.0)
        assert [live.read(["BTC/USDT"], START_MS) for _ in range(3)] == [{}, {}, {}]
    assert len(caplog.messages) == 1
    assert "hunter2" not in caplog.text


@pytest.mark.mongo
def test_a_failed_read_is_tried_again_after_a_while(
    db: Store, given: ExternalSignalSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is cured at once is asked again after 5 s, and the log says that signals are back."""
    db["strange"].insert_one(signal(1))
    seconds = [100.0]
    with SignalFeed(changed(given, collection="strange"), "1m", live=True) as feed, caplog.at_level(logging.WARNING):
        live = live_feed(feed, SignalWindow(MINUTE_MS), clock=lambda: seconds[0])
        now_ms = START_MS + 2 * MINUTE_MS
        assert live.read(["BTC/USDT"], now_ms) == {}
        db["strange"].create_index([(name, 1) for name in SIGNAL_KEY], unique=True)
        seconds[0] += 4.9
        assert live.read(["BTC/USDT"], now_ms) == {}
        seconds[0] += 0.1
        assert live.read(["BTC/USDT"], now_ms)["BTC/USDT"].ts.size == 1
    assert [message.split(",")[0] for message in caplog.messages][1:] == ["MongoDB gives signals again"]


@pytest.mark.mongo
def test_a_loop_reads_what_can_be_usable_now(db: Store, given: ExternalSignalSettings) -> None:
    """From the maximum delay before now to the clocks' difference after it, counted from the bars' closes."""
    db[SIGNALS].insert_many([signal(minute) for minute in range(10)])
    window = SignalWindow(MINUTE_MS, max_delay_ms=2 * MINUTE_MS, skew_ms=2_000)
    with SignalFeed(given, "1m", live=True) as feed:
        found = live_feed(feed, window).read(["BTC/USDT"], START_MS + 6 * MINUTE_MS - 1_000)
    assert [(ts - START_MS) // MINUTE_MS for ts in found["BTC/USDT"].ts.tolist()] == [3, 4, 5]


@pytest.mark.mongo
def test_an_absence_is_remembered_by_its_times(db: Store, given: ExternalSignalSettings) -> None:
    """From the first failed read to the first that succeeds, by the time that the bot trades by."""
    with SignalFeed(changed(given, collection="strange"), "1m", live=True) as feed:
        live = live_feed(feed, SignalWindow(MINUTE_MS), retry_after_s=0.0)
        db["strange"].insert_one(signal(1))
        assert not live.was_away(0, START_MS + 9 * MINUTE_MS)
        live.read(["BTC/USDT"], START_MS + 2 * MINUTE_MS)
        assert live.was_away(START_MS + 8 * MINUTE_MS, START_MS + 9 * MINUTE_MS)  # it still is
        db["strange"].create_index([(name, 1) for name in SIGNAL_KEY], unique=True)
        live.read(["BTC/USDT"], START_MS + 3 * MINUTE_MS)
        assert live.was_away(START_MS + 3 * MINUTE_MS, START_MS + 9 * MINUTE_MS)
        assert not live.was_away(START_MS, START_MS + 2 * MINUTE_MS - 1)
        assert not live.was_away(START_MS + 3 * MINUTE_MS + 1, START_MS + 9 * MINUTE_MS)


@pytest.mark.mongo
def test_research_lives_by_its_newest_export_or_signal(db: Store, given: ExternalSignalSettings) -> None:
    """An export without a signal counts, one of older bars or another strategy does not; a signal alone counts too."""

    def export(minute: int, **more: Any) -> None:
        mine = {"strategy_id": "mine", "timeframe": "1m", "last_ts": START + timedelta(minutes=minute)}
        db[SIGNAL_EXPORTS].insert_one(mine | {"exported_at": START} | more)

    with SignalFeed(given, "1m", live=True) as feed:
        live = live_feed(feed, SignalWindow(MINUTE_MS), wants_exports=True)
        now_ms = START_MS + 5 * MINUTE_MS
        live.read(["BTC/USDT"], now_ms)
        assert live.newest_ts is None
        export(3)
        export(1)
        export(9, strategy_id="theirs")
        export(9, timeframe="5m")
        live.read(["BTC/USDT"], now_ms)
        assert live.newest_ts == START_MS + 3 * MINUTE_MS
        db[SIGNALS].insert_one(signal(4))
        live.read(["BTC/USDT"], now_ms)
        assert live.newest_ts == START_MS + 4 * MINUTE_MS
