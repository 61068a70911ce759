"""`quantflow audit` tells who wrote what from which graph and data, at 80 columns, and gives the graph back."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from market import graph_text, write_walk
from rich.console import Console

from quantflow_nodes.audit_records import read_record
from quantflow_nodes.audit_text import overview_table, record_table
from quantflow_nodes.graph import load_graph
from schemas.collections import FILLS, POSITIONS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNAL_REVISIONS, SIGNALS, Store
from schemas.signal_rule import SignalWindow
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
Audit = Callable[..., subprocess.CompletedProcess[str]]
QUANTFLOW = Path(sys.executable).with_name("quantflow")


@pytest.fixture
def quantflow(command_env: dict[str, str], tmp_path: Path) -> Audit:
    (tmp_path / "walk.yaml").write_text(graph_text(days=1))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [QUANTFLOW, *arguments],
            env=command_env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def told(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def history(quantflow: Audit, db: Store) -> dict[str, Any]:
    """Two runs; the second one, of another graph, retracts one signal of the first. A bot entered by another.

    Runs write now about bars of 2022: the times of writing are moved to the bars', as if the runs had been live.
    """
    write_walk(db, 1440)
    first = told(quantflow("run", "walk.yaml", "--json", "--no-report"))["run_id"]
    second = told(quantflow("run", "walk.yaml", "--json", "--no-report", "--set", "momentum.lookback_bars=61"))[
        "run_id"
    ]
    gone: Any = db[SIGNAL_REVISIONS].find_one({"retracted": True}, sort=[("ts", 1)])
    kept: Any = db[SIGNALS].find_one({"run_id": first}, sort=[("ts", 1)])
    for document, name in ((gone, SIGNAL_REVISIONS), (kept, SIGNALS)):
        written = document["ts"] + timedelta(minutes=1, seconds=2)
        change: dict[str, Any] = {"created_at": written, "updated_at": written}
        if name == SIGNAL_REVISIONS:
            change["replaced_at"] = document["ts"] + timedelta(minutes=1, seconds=40)
        db[name].update_one({"_id": document["_id"]}, {"$set": change})
    key = {"consumer": "bot", **{name: kept[name] for name in ("strategy_id", "pair", "timeframe", "ts")}}
    seen = kept["ts"] + timedelta(minutes=1, seconds=3)
    db[SIGNAL_RECEIPTS].insert_one({**key, "version": 1, "decision": "entered", "seen_at": seen})
    amounts = {"amount": Decimal128(Decimal("0.25")), "price": Decimal128(Decimal("40000.10"))}
    db[FILLS].insert_one({**key, **amounts, "order_id": "17", "side": "buy", "filled_at": seen})
    position = {"entry_order_id": "17", "state": "open", "side": "long", "opened_at": seen}
    db[POSITIONS].insert_one({**key, **amounts, **position})
    return {"first": first, "second": second, "gone": gone["ts"], "kept": kept["ts"]}


def iso(time: datetime) -> str:
    return time.isoformat()


def test_who_wrote_what_and_what_became_of_it(quantflow: Audit, history: dict[str, Any], tmp_path: Path) -> None:
    """The signal in force, its run with user, versions, graph and data, its export, and what the bot did."""
    at = history["kept"] + timedelta(minutes=1, seconds=30)
    answer = told(quantflow("audit", "--strategy-id", "walk", "--at", iso(at), "--json"))
    (pair,) = answer["pairs"]
    assert (pair["pair"], pair["timeframe"], pair["state"]) == ("BTC/USDT", "1m", "in force")
    assert pair["version"]["content"]["run_id"] == history["first"]
    assert pair["version"]["known_until"] is None
    run = pair["runs"][history["first"]]
    assert run["user"]
    assert "mongo_user" not in run  # the tests' server asks nobody
    assert run["graph_digest"] == load_graph(tmp_path / "walk.yaml").digest
    assert run["data_bars"] == 1440
    assert set(run["versions"]) >= {"python", "quantflow", "pandas"}
    assert pair["export"]["run_id"] == history["first"]
    assert [receipt["decision"] for receipt in pair["receipts"]] == ["entered"]
    assert [(fill["order_id"], fill["price"]) for fill in pair["fills"]] == [("17", "40000.10")]
    assert [position["state"] for position in pair["positions"]] == ["open"]


@pytest.mark.parametrize(
    ("seconds", "which", "state"),
    [
        (61.9, "kept", "expired"),  # nothing newer had been written
        (62, "gone", "in force"),
        (99.9, "gone", "in force"),
        (100, "gone", "retracted"),
        (3_600, "gone", "retracted"),
    ],
)
def test_a_retracted_signal_stood_until_its_retraction(
    quantflow: Audit, history: dict[str, Any], seconds: float, which: str, state: str
) -> None:
    """From its writing, 62 s after its bar's open, to its retraction 38 s later, each moment included once."""
    at = history["gone"] + timedelta(seconds=seconds)
    (pair,) = told(quantflow("audit", "--strategy-id", "walk", "--at", iso(at), "--json"))["pairs"]
    assert (datetime.fromisoformat(pair["version"]["content"]["ts"]), pair["state"]) == (history[which], state)
    ended_by = {"kept": None, "gone": history["second"]}[which]
    assert pair["version"]["ended_by"] == ended_by
    assert set(pair["runs"]) == {history["first"], *([ended_by] if ended_by else [])}


def test_the_table_fits_80_columns(history: dict[str, Any], db: Store) -> None:
    """What a person reads: who, from what, and what followed; long texts go on in the next line."""
    at = history["kept"] + timedelta(minutes=1, seconds=30)
    record = read_record(db, "walk", "BTC/USDT", Timeframe.parse("1m"), at, SignalWindow(60_000))
    console = Console(width=80, file=io.StringIO(), highlight=False)
    console.print(overview_table([record]), record_table(record))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    said = " ".join(written.split())
    for fact in ("in force", "version 1", "pid ", "graph digest", "python 3.", "1,440 bars", "order 17: buy 0.25 at"):
        assert fact in said, fact
    assert max(map(len, written.splitlines())) <= 80
    assert record.runs[history["first"]]["graph_digest"] in "".join(written.split())


def test_the_graph_that_wrote_it_runs_again(
    quantflow: Audit, history: dict[str, Any], db: Store, tmp_path: Path
) -> None:
    """The very same graph, by its digest; run again it changes nothing."""
    at = history["gone"] + timedelta(seconds=70)
    given = quantflow("audit", "--strategy-id", "walk", "--at", iso(at), "--graph")
    assert given.returncode == 0, given.stderr
    (tmp_path / "again.yaml").write_text(given.stdout)
    assert load_graph(tmp_path / "again.yaml").digest == load_graph(tmp_path / "walk.yaml").digest
    again = told(quantflow("run", "again.yaml", "--json", "--no-report"))
    assert again["nodes"]["export"]["summary"]["inserted"] > 0
    assert db[SIGNAL_EXPORTS].count_documents({}) == 3


def test_what_can_not_be_answered_is_a_sentence(quantflow: Audit, db: Store) -> None:
    """A strategy that never was, a time to come, a time that is none."""
    for arguments, sentence in (
        (["--strategy-id", "nobody"], "There never was a signal under the strategy_id nobody."),
        (["--strategy-id", "s", "--at", "2999-01-01"], "--at must not lie in the future"),
        (["--strategy-id", "s", "--at", "noon"], "--at must be a time such as"),
        (["--strategy-id", "s", "--tf", "7x"], "7x"),
    ):
        ended = quantflow("audit", *arguments)
        assert ended.returncode == 2, ended.stderr
        assert sentence in " ".join(ended.stderr.split())
        assert "Traceback" not in ended.stderr


def test_a_signal_of_another_writer_is_told_without_a_run(quantflow: Audit, db: Store) -> None:
    """Other programs may write signals too; nothing is known of their run, and that is said."""
    ts = datetime(2022, 1, 1, 12, tzinfo=UTC)
    key = {"strategy_id": "s", "pair": "ETH/USDT", "timeframe": "1m", "ts": ts, "symbol": "BINANCE:ETHUSDT"}
    written = {"created_at": ts + timedelta(seconds=61), "updated_at": ts + timedelta(seconds=61)}
    db[SIGNALS].insert_one({**key, **written, "weight": 0.5, "version": 1, "run_id": "foreign", "note": "by [hand]"})
    ended = quantflow("audit", "--strategy-id", "s", "--at", "2022-01-01T12:01:30Z")
    assert ended.returncode == 0, ended.stderr
    said = " ".join(ended.stdout.split())
    assert "weight 0.5, version 1; a bot that looked then was to act on it" in said
    assert "workflow_runs does not hold it" in said
    assert "by [hand]" in said
    assert "no bot has a receipt of this signal" in said
    refused = quantflow("audit", "--strategy-id", "s", "--graph")
    assert refused.returncode == 2
    assert "One graph was needed, found none." in " ".join(refused.stderr.split())
