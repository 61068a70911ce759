"""The database is made once, completely, by however many at once, and never guessed about."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from schemas.bot_documents import Fill, Position, SignalReceipt
from schemas.collections import (
    COLLECTIONS,
    REJECT_KEY,
    SIGNAL_KEY,
    SIGNAL_REVISIONS,
    SIGNALS,
    TTL_INDEX,
    Store,
    bars_collection,
    ensure_collections,
    settle_signal_ttl,
)
from schemas.documents import (
    BarGap,
    DayBar,
    Document,
    ImportReject,
    MinuteBar,
    SignalExport,
    SignalRevision,
    StoredSignal,
    WorkflowRun,
)
from schemas.errors import StoreError
from schemas.mongo import connect
from schemas.monitor_documents import MonitorAlert
from schemas.settings import Settings
from schemas.sweep_documents import Sweep, SweepResult
from schemas.timeframes import Timeframe

DOCS = Path(__file__).parents[2] / "docs" / "collections.md"
T = datetime(2022, 1, 1, tzinfo=UTC)
SIGNAL = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "5m", "ts": T}


MODELS: dict[str, type[Document]] = {
    "crypto_market": DayBar,
    "crypto_market_1m": MinuteBar,
    "crypto_signals": StoredSignal,
    "crypto_signal_revisions": SignalRevision,
    "signal_exports": SignalExport,
    "signal_receipts": SignalReceipt,
    "crypto_fills": Fill,
    "crypto_positions": Position,
    "import_rejects": ImportReject,
    "bar_gaps": BarGap,
    "workflow_runs": WorkflowRun,
    "sweeps": Sweep,
    "sweep_results": SweepResult,
    "monitor_alerts": MonitorAlert,
}


def test_every_unique_key_is_made_of_required_fields() -> None:
    """A document whose key lacked a field would be stored once for all of them."""
    assert MODELS.keys() | {"signal_export_leases"} == {collection.name for collection in COLLECTIONS}
    for collection in COLLECTIONS:
        for index in collection.indexes:
            fields = MODELS[collection.name].model_fields
            assert set(index.fields) <= fields.keys()
            assert not index.unique or all(fields[name].is_required() for name in index.fields)


def test_the_docs_list_every_collection_with_its_fields_and_indexes() -> None:
    """Each has a section of its own that names what it holds, each field and each index, and no other index."""
    sections = {part.split("\n", 1)[0]: part for part in DOCS.read_text().split("\n## ")[1:]}
    for collection in COLLECTIONS:
        section = sections[f"`{collection.name}`"]
        assert collection.holds in section
        for index in collection.indexes:
            kind = "Unique index" if index.unique else "Index"
            assert f"{kind} `{{{', '.join(index.fields)}}}`" in section
        assert section.count("ndex `{") == len(collection.indexes)
        model = MODELS.get(collection.name)
        for field in model.model_fields if model else ():
            assert f"`{field}`" in section, (collection.name, field)
    assert sections.keys() == {f"`{collection.name}`" for collection in COLLECTIONS}


@pytest.mark.parametrize(("name", "collection"), [("1m", "crypto_market_1m"), ("1d", "crypto_market")])
def test_bars_lie_by_timeframe(name: str, collection: str) -> None:
    """Two timeframes are stored; the names are those that other programs use."""
    assert bars_collection(Timeframe.parse(name)) == collection


@pytest.mark.parametrize("name", ["5m", "24h", "60m", "1w"])
def test_bars_of_another_timeframe_are_not_stored(name: str) -> None:
    """The sentence says which are."""
    with pytest.raises(StoreError, match=f"Bars of 1m and 1d are stored, not of {name}"):
        bars_collection(Timeframe.parse(name))


@pytest.fixture
def fresh(settings: Settings) -> Iterator[Store]:
    """A database without collections; it is dropped afterwards, whatever a test has left in it."""
    assert settings.mongo_uri is not None
    with MongoClient[Any](settings.mongo_uri.get_secret_value(), tz_aware=True) as client:
        yield client[settings.db]
        client.drop_database(settings.db)


@pytest.mark.mongo
def test_all_is_made_once(fresh: Store) -> None:
    """Every collection with every index, unique where it is a key; the second time there is nothing to do."""
    made = ensure_collections(fresh)
    indexes = sum(len(collection.indexes) for collection in COLLECTIONS)
    assert len(made) == len(COLLECTIONS) + indexes
    assert "collection crypto_signals" in made
    assert "index crypto_signals on strategy_id, pair, timeframe, ts" in made
    for collection in COLLECTIONS:
        stored = {
            (tuple(key for key, _ in info["key"]), bool(info.get("unique")))
            for name, info in fresh[collection.name].index_information().items()
            if name != "_id_"
        }
        assert stored == {(index.fields, index.unique) for index in collection.indexes}
    assert ensure_collections(fresh) == []


@pytest.mark.mongo
def test_what_is_missing_is_added_and_what_is_there_stays(fresh: Store) -> None:
    """An index that somebody dropped comes back; documents and foreign indexes are left alone."""
    ensure_collections(fresh)
    fresh[SIGNALS].insert_one(dict(SIGNAL))
    fresh[SIGNALS].create_index("note")
    fresh["signal_exports"].drop_indexes()
    made = ensure_collections(fresh)
    assert made == [
        "index signal_exports on strategy_id, exported_at",
        "index signal_exports on strategy_id, timeframe, last_ts",
        "index signal_exports on run_id",
    ]
    assert fresh[SIGNALS].count_documents({}) == 1
    assert "note_1" in fresh[SIGNALS].index_information()


@pytest.mark.mongo
def test_an_index_of_an_earlier_layout_goes(fresh: Store) -> None:
    """A unique one would refuse the second revision of one version, which a killed run makes necessary."""
    fresh[SIGNAL_REVISIONS].create_index(dict.fromkeys((*SIGNAL_KEY, "version"), 1), unique=True)
    made = ensure_collections(fresh)
    assert "dropped index crypto_signal_revisions on strategy_id, pair, timeframe, ts, version" in made
    attempt = SIGNAL | {"version": 1, "replaced_at": T}
    fresh[SIGNAL_REVISIONS].insert_many([dict(attempt), attempt | {"replaced_at": T.replace(hour=1)}])
    assert ensure_collections(fresh) == []


@pytest.mark.mongo
def test_eight_that_race_make_one_database(settings: Settings) -> None:
    """Processes that start at once on an empty database do not stumble over each other."""

    def start(_: int) -> int:
        with connect(settings) as db:
            return len(db.list_collection_names())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(start, range(8))) == {len(COLLECTIONS)}


@pytest.mark.mongo
@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("crypto_market", {"symbol": "A:BTCUSDT", "date": "20220101"}),
        ("crypto_market_1m", {"symbol": "A:BTCUSDT", "datetime": T}),
        ("crypto_signals", SIGNAL),
        ("crypto_signal_revisions", SIGNAL | {"version": 1}),
        ("signal_receipts", SIGNAL | {"consumer": "bot"}),
        ("import_rejects", dict.fromkeys(REJECT_KEY, "x")),
        ("bar_gaps", {"symbol": "A:BTCUSDT", "timeframe": "1m", "start": T}),
        ("workflow_runs", {"run_id": "run"}),
        ("monitor_alerts", {"slot": "silent||||mongodb"}),
    ],
)
def test_a_key_is_stored_once(db: Store, name: str, document: dict[str, Any]) -> None:
    """The server itself refuses the second document of a key."""
    db[name].insert_one(dict(document))
    with pytest.raises(DuplicateKeyError):
        db[name].insert_one(dict(document))


@pytest.mark.mongo
def test_an_index_that_does_not_keep_doubles_out_is_refused(fresh: Store) -> None:
    """It is neither trusted nor dropped: what is stored may hold doubles already."""
    fresh["crypto_market"].create_index({"symbol": 1, "date": 1})
    sentence = r"crypto_market has an index on symbol, date that is not unique; .* Drop that index, remove doubles"
    with pytest.raises(StoreError, match=sentence):
        ensure_collections(fresh)
    assert "symbol_1_date_1" in fresh["crypto_market"].index_information()


@pytest.mark.mongo
def test_doubles_that_are_stored_are_named(fresh: Store) -> None:
    """A unique index over doubles can not be made; the server's words say which they are."""
    bar = {"symbol": "A:BTCUSDT", "date": "20220101"}
    fresh["crypto_market"].insert_many([dict(bar), dict(bar)])
    with pytest.raises(StoreError, match=r"The index on symbol, date of crypto_market could not be made: .*20220101"):
        ensure_collections(fresh)
    assert fresh["crypto_market"].count_documents({}) == 2


@pytest.mark.mongo
def test_signals_end_by_age_where_that_is_set(fresh: Store) -> None:
    """The index is made, changed in place and dropped as the setting says; the same setting changes nothing."""

    def seconds() -> int | None:
        found = fresh[SIGNALS].index_information().get(TTL_INDEX)
        return None if found is None else found["expireAfterSeconds"]

    ensure_collections(fresh)
    assert seconds() is None
    assert settle_signal_ttl(fresh, 30) == ["index crypto_signals ts_ttl: signals are deleted after 30 days"]
    assert seconds() == 30 * 86_400
    assert settle_signal_ttl(fresh, 30) == []
    assert settle_signal_ttl(fresh, 7) == ["index crypto_signals ts_ttl: signals are deleted after 7 days"]
    assert seconds() == 7 * 86_400
    assert settle_signal_ttl(fresh, 24_855) != []
    assert settle_signal_ttl(fresh, None) == ["dropped index crypto_signals ts_ttl: signals are kept for ever"]
    assert seconds() is None
