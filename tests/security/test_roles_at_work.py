"""Each user does its side's real work by the real code, with no more than its role: bars, signals, receipts, alerts."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guarded import DATABASE, Guarded, Run
from market import graph_text
from pydantic import SecretStr
from pymongo import MongoClient

from monitoring.alerts.alert_store import AlertStore
from schemas.bot.consumer_store import ConsumerStore
from schemas.collections import (
    BAR_GAPS,
    COLLECTIONS,
    IMPORT_REJECTS,
    MINUTE_BARS,
    SIGNAL_EXPORTS,
    SIGNAL_RECEIPTS,
    SIGNAL_REVISIONS,
    SIGNALS,
    WORKFLOW_RUNS,
)
from schemas.errors import StoreError
from schemas.mongo import connect
from schemas.monitor_documents import MonitorAlert
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_feed import SignalFeed

pytestmark = pytest.mark.mongo
START = datetime(2022, 1, 1, tzinfo=UTC)
MINUTES = 300


@pytest.fixture(autouse=True)
def empty(guarded: Guarded) -> None:
    """Each test begins with all collections, and nothing in them."""
    with guarded.as_user("admin") as db:
        for collection in COLLECTIONS:
            db[collection.name].delete_many({})


def write_csv(path: Path) -> None:
    """Bars of 1m that rise and fall, without the minutes 100 to 102, and one row that is none."""
    rows = ["date,open,high,low,close,volume"]
    for minute in range(MINUTES):
        price = 40_000 + 100 * ((minute // 40) % 2) + minute % 40
        low = price + 50 if minute == 200 else price - 1
        if minute not in (100, 101, 102):
            rows.append(f"{(START + timedelta(minutes=minute)).isoformat()},{price},{price + 1},{low},{price},1.5")
    path.write_text("\n".join([*rows, ""]))


def imported(run_as: Run, folder: Path) -> dict[str, Any]:
    write_csv(folder / "bars.csv")
    (folder / "walk.yaml").write_text(graph_text(days=1, lookback=20))
    arguments = ["--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--source", "csv", "--path", "bars.csv", "--json"]
    done = run_as("importer", "import-ohlcv", *arguments)
    assert done.returncode == 6, done.stderr  # all good rows are stored, and one was refused
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_importer_imports(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """Bars, a gap and a refused row are stored, and listed; the signals are none of its business."""
    imported(run_as, tmp_path)
    with guarded.as_user("admin") as db:
        stored = [db[name].count_documents({}) for name in (MINUTE_BARS, IMPORT_REJECTS)]
        assert stored == [MINUTES - 3 - 1, 1]
        assert {gap["state"] for gap in db[BAR_GAPS].find()} == {"open"}
    for command in ("gaps", "rejects"):
        listed = run_as("importer", "import-ohlcv", command)
        assert listed.returncode == 0, listed.stderr
    refused = run_as("importer", "quantflow", "run", "walk.yaml")
    assert refused.returncode == 3
    assert "refused this user: not authorized on guarded to" in " ".join(refused.stderr.split())


def test_research_runs_changes_and_completes(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """A run exports; another one changes and retracts; what a killed one began is completed. Nothing is overwritten."""
    imported(run_as, tmp_path)
    first = run_as("research", "quantflow", "run", "walk.yaml", "--no-report", "--json")
    assert first.returncode == 0, first.stderr
    with guarded.as_user("admin") as db:
        old: Any = db[SIGNALS].find_one({}, {"_id": 0}, sort=[("ts", 1)])
        fate = {"replaced_at": datetime.now(UTC), "replaced_by": "killed", "retracted": True}
        db[SIGNAL_REVISIONS].insert_one(old | fate)
    second = run_as(
        "research", "quantflow", "run", "walk.yaml", "--no-report", "--json", "--set", "momentum.lookback_bars=35"
    )
    assert second.returncode == 0, second.stderr
    counts = json.loads(second.stdout)["nodes"]["export"]["summary"]
    assert counts["retracted"] > 0
    with guarded.as_user("admin") as db:
        assert db[SIGNAL_REVISIONS].count_documents({"replaced_by": "killed"}) == 1
        assert db[SIGNAL_EXPORTS].count_documents({}) == 2
        runs = list(db[WORKFLOW_RUNS].find())
        assert {run["mongo_user"] for run in runs} == {f"research@{DATABASE}"}
        assert all(run["user"] for run in runs)


def test_research_follows_bars_live(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """By change streams on the bars, and a run that keeps where they stood."""
    imported(run_as, tmp_path)
    done = run_as("research", "quantflow", "live", "walk.yaml", "--until", "2022-01-01T03:00", "--json")
    assert done.returncode == 0, done.stderr
    with guarded.as_user("admin") as db:
        run: Any = db[WORKFLOW_RUNS].find_one()
        assert run["state"] == "succeeded"
        assert run["live"]["position"][MINUTE_BARS]
        assert db[SIGNALS].count_documents({}) > 0


def test_the_executor_reads_signals_and_writes_what_it_did(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """As the strategy does: by its feed, with the history as it was known, and by its store."""
    imported(run_as, tmp_path)
    assert run_as("research", "quantflow", "run", "walk.yaml", "--no-report").returncode == 0
    uri = SecretStr(guarded.uri("executor"))
    for live in (True, False):
        settings = ExternalSignalSettings(
            mongo_uri=uri, db=DATABASE, strategy_id="walk", as_known=True, mongo_timeout_ms=10_000
        )
        with SignalFeed(settings, "1m", live=live) as feed:
            known = feed.history("BTC/USDT")
            assert known.ts.size > 0
            assert feed.last(["BTC/USDT"], int(known.ts[-1]))["BTC/USDT"].ts.size == 1
            assert feed.newest(["BTC/USDT"], int(known.ts[0]), int(known.ts[-1]))
            assert feed.newest_export() is not None
            assert feed.strategies() == ["walk"]
    key = {"consumer": "bot", "strategy_id": "walk", "pair": "BTC/USDT", "timeframe": "1m", "ts": START}
    times = {"seen_at": START, "latency_ms": 1.0, "updated_at": START}
    receipt = key | times | {"version": 1, "decision": "entered", "candle": START, "run_id": "r"}
    with MongoClient[Any](guarded.uri("executor"), tz_aware=True) as client:
        store = ConsumerStore(client[DATABASE])
        assert store.claim_entry(receipt, ["r"])
        assert not store.claim_entry(receipt | {"run_id": "other"}, ["other"])
        for kind in ("skipped", "exited", "accounted", "no_entry", "no_exit"):
            store.write(kind, receipt | {"decision": "skipped", "reason": "risk"})
        store.write("fill", key | {"order_id": "1", "amount": 1})
        store.write("position", key | {"entry_order_id": "1", "updated_at": START})
        store.write("position", key | {"entry_order_id": "1", "updated_at": START + timedelta(minutes=1)})
        assert client[DATABASE][SIGNAL_RECEIPTS].count_documents({}) == 1


def test_the_monitor_reads_all_and_keeps_its_alerts(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """Its commands look at both sides, and its alerts survive it; the whole database can be followed."""
    imported(run_as, tmp_path)
    assert run_as("research", "quantflow", "run", "walk.yaml", "--no-report").returncode == 0
    checked = run_as("monitor", "signal-monitor", "check", "--json")
    assert "walk" in checked.stdout, checked.stderr
    assert "not authorized" not in checked.stdout + checked.stderr
    told = run_as("monitor", "quantflow", "audit", "--strategy-id", "walk", "--json")
    assert told.returncode == 0, told.stderr
    (answer,) = json.loads(told.stdout)["pairs"]
    assert answer["runs"][answer["version"]["content"]["run_id"]]["mongo_user"] == f"research@{DATABASE}"
    alert = MonitorAlert(
        alert_id="a", slot="silent", rule="silent", subject="bot", severity="critical", text="It is silent.",
        began_at=START, noticed_at=START, seen_at=START,
    )  # fmt: skip
    with guarded.as_user("monitor") as db:
        alerts = AlertStore(db)
        assert alerts.add(alert)
        assert not alerts.add(alert)
        assert alerts.claim(alert)
        alerts.release(alert)
        assert alerts.change(alert) is not None
        assert len(alerts.read()) == 1
        with db.watch(max_await_time_ms=1) as changes:
            changes.try_next()


@pytest.mark.parametrize("role", ["importer", "research", "executor", "monitor"])
def test_what_is_missing_is_told_to_who_may_not_make_it(guarded: Guarded, role: str) -> None:
    """The admin's command is named; on a whole database every user's commands connect."""
    settings = Settings.load(mongo_uri=SecretStr(guarded.uri(role)), db=DATABASE)
    with connect(settings) as db:
        assert len(db.list_collection_names()) == len(COLLECTIONS)
    with guarded.as_user("admin") as db:
        db[SIGNAL_EXPORTS].drop_index("run_id_1")
    sentence = (
        "The database guarded lacks collections or indexes, and this user may not make them: not authorized on guarded "
        "to createIndexes in signal_exports. Run `quantflow db init` as the database's admin."
    )
    try:
        with pytest.raises(StoreError) as told, connect(settings):
            pass
        assert str(told.value) == sentence
    finally:
        with connect(Settings.load(mongo_uri=SecretStr(guarded.uri("admin")), db=DATABASE)):
            pass


def test_running_it_again_keeps_passwords_and_mends_privileges(guarded: Guarded, run_as: Run) -> None:
    """A role that was widened by hand is as declared again; the old addresses still open the door."""
    before = {role: guarded.uri(role) for role in ("importer", "research", "executor", "monitor")}
    privilege = {"resource": {"db": DATABASE, "collection": SIGNALS}, "actions": ["insert"]}
    with guarded.as_user("admin") as db:
        db.command("grantPrivilegesToRole", "executor", privileges=[privilege])
        db.command("grantRolesToUser", "monitor", roles=["readWrite"])
    done = run_as("admin", "quantflow", "db", "roles", "--secrets", str(guarded.secrets), "--json")
    assert done.returncode == 0, done.stderr
    users = {one["user"]: one for one in json.loads(done.stdout)["users"]}
    assert {name: (one["role_change"], one["user_change"], one["password"]) for name, one in users.items()} == {
        "importer": ("unchanged", "unchanged", "kept"),
        "research": ("unchanged", "unchanged", "kept"),
        "executor": ("updated", "unchanged", "kept"),
        "monitor": ("unchanged", "updated", "kept"),
    }
    assert {role: guarded.uri(role) for role in before} == before
    for role in before:
        with guarded.as_user(role) as db:
            assert db.command("connectionStatus")["authInfo"]["authenticatedUsers"] == [{"user": role, "db": DATABASE}]


def test_new_passwords_end_the_old_ones(guarded: Guarded, run_as: Run) -> None:
    """The files hold the new ones, for their owner only, and a command with an old one is refused in a sentence."""
    old = guarded.uri("research")
    done = run_as("admin", "quantflow", "db", "roles", "--secrets", str(guarded.secrets), "--new-passwords")
    assert done.returncode == 0, done.stderr
    new = guarded.uri("research")
    assert new != old
    for folder, _, files in os.walk(guarded.secrets):
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        assert all(stat.S_IMODE((Path(folder) / name).stat().st_mode) == 0o600 for name in files)
    for uri in (old, new):
        password = uri.partition("research:")[2].partition("@")[0]
        assert len(password) >= 43  # 256 bits
        assert password not in done.stdout + done.stderr
    refused = run_as("admin", "quantflow", "runs", QUANTFLOW_MONGO_URI=old)
    assert refused.returncode == 3
    assert "refused this user: Authentication failed" in refused.stderr.replace("\n", " ")


def test_passwords_of_ones_own_are_set(guarded: Guarded, run_as: Run) -> None:
    """From the environment, any sign in them; without a folder nothing is written down."""
    own = "p@ss:w/rd? 9é" + "x" * 8
    given = {f"QUANTFLOW_{role.upper()}_PASSWORD": own for role in ("importer", "research", "executor", "monitor")}
    done = run_as("admin", "quantflow", "db", "roles", "--secrets", str(guarded.secrets), **given)
    assert done.returncode == 0, done.stderr
    assert own not in done.stdout + done.stderr
    assert run_as("research", "quantflow", "runs").returncode == 0
    with MongoClient[Any](guarded.server.open_uri, username="importer", password=own, authSource=DATABASE) as client:
        assert client[DATABASE][MINUTE_BARS].find_one() is None
    assert run_as("admin", "quantflow", "db", "roles", **given).returncode == 0


def test_a_password_that_nobody_would_read_is_not_made(guarded: Guarded, run_as: Run) -> None:
    """Without a folder for it nothing is changed, and the sentence names both ways."""
    before = guarded.uri("monitor")
    done = run_as("admin", "quantflow", "db", "roles", "--new-passwords")
    assert done.returncode == 2
    assert "name a folder with --secrets, or set QUANTFLOW_IMPORTER_PASSWORD" in " ".join(done.stderr.split())
    with MongoClient[Any](before) as client:
        assert client[DATABASE][SIGNALS].find_one() is None


def test_a_user_whose_address_is_lost_is_told(guarded: Guarded, run_as: Run, tmp_path: Path) -> None:
    """The server does not give a password back; the file is missing, and the remedy is named."""
    done = run_as("admin", "quantflow", "db", "roles", "--secrets", str(tmp_path / "elsewhere"))
    assert done.returncode == 0
    assert "not known: --new-passwords" in " ".join(done.stdout.split())
    assert not list((tmp_path / "elsewhere").rglob("*_uri"))


def test_roles_are_made_by_an_admin_only(run_as: Run, tmp_path: Path) -> None:
    """Another user is refused; without an address the embedded server is no answer."""
    refused = run_as("research", "quantflow", "db", "roles", "--secrets", str(tmp_path / "s"))
    assert refused.returncode == 3
    assert "refused this user: not authorized on guarded to usersInfo" in " ".join(refused.stderr.split())
    without = run_as("admin", "quantflow", "db", "roles", QUANTFLOW_MONGO_URI="")
    assert without.returncode == 2
    assert "QUANTFLOW_MONGO_URI must name a server with authentication" in " ".join(without.stderr.split())


@pytest.mark.parametrize(
    ("sign_in", "cause"),
    [
        ("", "asks for a user, and the address names none"),
        ("admin@", "it names a user and no password"),
        ("admin:planted@", "refused this user: Authentication failed. Check user, password and authSource"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_what_to_give(
    sign_in: str, cause: str, guarded: Guarded, run_as: Run, tmp_path: Path
) -> None:
    """Neither missing collections nor roles are named; the form of an address is shown in full, and no password."""
    uri = guarded.server.open_uri.replace("://", f"://{sign_in}")
    refused = run_as("admin", "quantflow", "db", "roles", "--secrets", str(tmp_path / "s"), QUANTFLOW_MONGO_URI=uri)
    told = " ".join(refused.stderr.split())
    assert refused.returncode in (2, 3)
    assert cause in told
    assert "mongodb://user:password@host:27017/" in told
    assert "lacks collections" not in told
    assert "planted" not in told


def test_a_server_that_asks_nobody_is_warned_about(run_as: Run, mongo_uri: str, tmp_path: Path) -> None:
    """Its users bind nobody."""
    database = "test_open_roles"
    try:
        done = run_as(
            "admin", "quantflow", "db", "roles", "--secrets", str(tmp_path / "s"),
            QUANTFLOW_MONGO_URI=mongo_uri, QUANTFLOW_DB=database,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "lets everybody in without a password" in " ".join(done.stderr.split())
    finally:
        with MongoClient[Any](mongo_uri) as client:
            client[database].command("dropAllUsersFromDatabase")
            client[database].command("dropAllRolesFromDatabase")
            client.drop_database(database)


def test_what_each_role_may_is_shown_without_a_server(run_as: Run) -> None:
    """Nothing is asked: the address leads nowhere."""
    shown = run_as("admin", "quantflow", "db", "roles", "--show", QUANTFLOW_MONGO_URI="mongodb://127.0.0.1:9/")
    assert shown.returncode == 0
    assert "crypto_signal_revisions  find, insert" in shown.stdout
    listed = json.loads(run_as("admin", "quantflow", "db", "roles", "--show", "--json").stdout)
    assert listed["monitor"] == {"*": ["find", "changeStream"], "monitor_alerts": ["find", "insert", "update"]}
