"""What the store tells of itself, of bars and of the monitor's own load."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from chain_documents import NOON, opens
from pydantic import SecretStr
from pymongo import MongoClient
from slow_line import slow_line

from monitoring.facts import BarGapFacts, SeriesHealth
from monitoring.sources.query_count import QueryCount
from monitoring.sources.series_health import Series, read_series_health
from monitoring.sources.store_health import open_store, read_store_health
from schemas.collections import BAR_GAPS, DAY_BARS, MINUTE_BARS, Store
from schemas.mongo import open_client
from schemas.settings import Settings

BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"


@pytest.mark.mongo
def test_a_store_that_answers_tells_its_time_and_kind(db: Store) -> None:
    """The embedded server is a replica set; its clock is this machine's."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    answer = read_store_health(db, "mongodb://127.0.0.1/")
    assert (answer.health.error, answer.health.is_replica_set, answer.has_streams) == (None, True, True)
    assert answer.health.ping_ms is not None
    assert 0 < answer.health.ping_ms < 2_000
    assert before <= answer.at <= datetime.now(UTC)


def test_a_store_that_is_away_is_a_sentence_without_the_password() -> None:
    """Nothing is raised, and the time is this machine's."""
    uri = "mongodb://reader:pass-word@127.0.0.1:9/"
    with open_client(uri, "QUANTFLOW_MONGO_URI", serverSelectionTimeoutMS=50) as client:
        db: Any = client["q"]
        before = datetime.now(UTC)
        answer = read_store_health(db, uri)
    assert answer.health.ping_ms is None
    assert (answer.health.error or "").startswith("MongoDB at mongodb://***@127.0.0.1:9/ did not answer")
    assert "pass-word" not in repr(answer)
    assert before <= answer.at <= datetime.now(UTC)


@pytest.mark.mongo
def test_a_slow_server_is_not_away(mongo_uri: str, tmp_path: Path) -> None:
    """Each answer has the time of the setting, however many it takes until the first question is answered."""
    port = urlsplit(mongo_uri).port or 27_017
    with slow_line(port, delay_s=0.6) as slow:
        uri = SecretStr(f"mongodb://127.0.0.1:{slow}/?directConnection=true")
        settings = Settings.load(mongo_uri=uri, monitor_mongo_timeout_s=1.2, home=tmp_path)
        with open_store(settings) as store:
            answer = read_store_health(store.db, store.uri)
    assert answer.health.error is None
    assert (answer.health.ping_ms or 0.0) > 600


@pytest.mark.parametrize("takes_connections", [True, False])
def test_a_server_that_hangs_is_told_from_one_that_is_not_there(*, takes_connections: bool, tmp_path: Path) -> None:
    """What was seen is said: connections are taken and nothing is answered, or there is nobody."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        if not takes_connections:
            door.close()
        uri = SecretStr(f"mongodb://me:pass-word@127.0.0.1:{port}/")
        with open_store(Settings.load(mongo_uri=uri, monitor_mongo_timeout_s=0.2, home=tmp_path)) as store:
            said = read_store_health(store.db, store.uri).health.error or ""
    seen = "accepts connections and gives no answer within 0.2 s. It hangs, or"
    away = f"did not answer: 127.0.0.1:{port}: [Errno 111] Connection refused"
    assert said.startswith(f"MongoDB at mongodb://***@127.0.0.1:{port}/ {seen if takes_connections else away}")


@pytest.mark.mongo
def test_a_set_without_a_primary_does_not_hang(mongo_uri: str, tmp_path: Path) -> None:
    """Its server answers; that it is not of the set that was meant is the driver's to say."""
    address = mongo_uri.partition("?")[0]
    uri = SecretStr(f"{address}?replicaSet=another")
    with open_store(Settings.load(mongo_uri=uri, monitor_mongo_timeout_s=0.3, home=tmp_path)) as store:
        said = read_store_health(store.db, store.uri).health.error or ""
    assert "did not answer" in said
    assert "accepts connections" not in said


@pytest.mark.mongo
def test_commands_are_counted_by_name(settings: Settings) -> None:
    """What an operation sends counts, further batches too; what the driver asks on its own does not."""
    count = QueryCount()
    uri = settings.mongo_uri.get_secret_value() if settings.mongo_uri else ""
    with MongoClient[Any](uri, event_listeners=[count]) as client:
        numbers = client[settings.db]["numbers"]
        numbers.insert_many([{"number": number} for number in range(250)])
        assert len(list(numbers.find(batch_size=100))) == 250
        client.admin.command("ping")
    sent = {name: many for name, many in count.sent.items() if name != "endSessions"}
    assert sent == {"insert": 1, "find": 1, "getMore": 2, "ping": 1}
    assert count.total == sum(count.sent.values())


@pytest.mark.mongo
def test_bars_are_as_old_as_their_newest_close(db: Store) -> None:
    """By timeframe and symbol, with the gaps that are open; a symbol without bars has no age."""
    db[MINUTE_BARS].insert_many([{"symbol": BTC, "datetime": opens(minute)} for minute in range(30)])
    db[DAY_BARS].insert_many([{"symbol": BTC, "date": f"202201{day}"} for day in (12, 13, 14)])
    gap = {"symbol": BTC, "timeframe": "1m", "updated_at": NOON}
    for minute, state in ((9, "open"), (3, "open"), (5, "filled"), (7, "absent")):
        db[BAR_GAPS].insert_one(gap | {"start": opens(minute), "end": opens(minute + 1), "state": state})
    wanted = [Series(ETH, "1m"), Series(BTC, "1d"), Series(BTC, "1m")]
    at = opens(31)
    assert read_series_health(db, wanted, at) == (
        SeriesHealth(BTC, "1d", datetime(2022, 1, 14, tzinfo=UTC), (12 * 60 + 31) * 60.0),
        SeriesHealth(BTC, "1m", opens(29), 60.0, (BarGapFacts(opens(3), opens(4)), BarGapFacts(opens(9), opens(10)))),
        SeriesHealth(ETH, "1m", None, None),
    )


@pytest.mark.mongo
def test_a_bar_whose_time_is_none_does_not_hide_the_others(db: Store) -> None:
    """Text among minutes, a word among days, a gap without an end: the newest bar that can be read counts."""
    db[MINUTE_BARS].insert_many([{"symbol": BTC, "datetime": time} for time in (opens(3), "20220115 12:09")])
    db[MINUTE_BARS].insert_many(
        [{"symbol": ETH, "datetime": time} for time in (opens(4), datetime(9999, 1, 1, tzinfo=UTC))]
    )
    db[MINUTE_BARS].insert_one({"symbol": "BINANCE:SOLUSDT", "datetime": "soon"})
    db[DAY_BARS].insert_many([{"symbol": BTC, "date": day} for day in ("20220114", "20220199", "today")])
    db[BAR_GAPS].insert_one({"symbol": BTC, "timeframe": "1m", "state": "open", "start": opens(1)})
    wanted = [Series(symbol, "1m") for symbol in (BTC, ETH, "BINANCE:SOLUSDT")]
    assert read_series_health(db, [*wanted, Series(BTC, "1d")], opens(5)) == (
        SeriesHealth(BTC, "1d", datetime(2022, 1, 14, tzinfo=UTC), (12 * 60 + 5) * 60.0),
        SeriesHealth(BTC, "1m", opens(3), 60.0),
        SeriesHealth(ETH, "1m", opens(4), 0.0),
        SeriesHealth("BINANCE:SOLUSDT", "1m", None, None),
    )
