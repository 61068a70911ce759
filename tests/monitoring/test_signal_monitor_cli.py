"""The command as a user runs it: tables for people, JSON for machines, sentences for mistakes, exit codes."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from schemas.collections import FILLS, SIGNAL_RECEIPTS, SIGNALS, Store

pytestmark = pytest.mark.mongo
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
SPAN = ("--since", "2022-01-15T12:00", "--until", "2022-01-15T13:00")


def after_close(ms: int) -> datetime:
    return NOON + timedelta(minutes=1, milliseconds=ms)


@pytest.fixture
def traded(db: Store) -> Store:
    """One signal that was bought on."""
    key: dict[str, Any] = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "1m", "ts": NOON}
    own = key | {"consumer": "bot"}
    db[SIGNALS].insert_one(key | {"action": "enter_long", "created_at": after_close(80)})
    db[SIGNAL_RECEIPTS].insert_one(own | {"decision": "entered", "seen_at": after_close(540)})
    db[FILLS].insert_one(
        own
        | {"order_id": "11", "side": "buy", "amount": Decimal128("0.50000000"), "price": Decimal128("43000.10")}
        | {"ordered_at": after_close(1_100), "filled_at": after_close(1_180)}
    )
    return db


def monitor(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from monitoring.cli import main; main()", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.usefixtures("traded")
def test_reconcile_agrees_with_exit_code_0(command_env: dict[str, str]) -> None:
    """Everything fits."""
    shown = monitor(command_env, "reconcile", "--strategy", "s", *SPAN)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "1 signals, 1 receipts, 1 fills: nothing missing, nothing double.\n"


def test_reconcile_names_what_is_missing_with_exit_code_7(traded: Store, command_env: dict[str, str]) -> None:
    """Without its fill, the receipt that says entered does not fit."""
    traded[FILLS].delete_many({})
    shown = monitor(command_env, "reconcile", "--strategy", "s", *SPAN)
    assert shown.returncode == 7
    assert "receipt without fill BTC/USDT 2022-01-15 12:00: the bot entered, and nothing was filled" in shown.stdout
    told = json.loads(monitor(command_env, "reconcile", "--strategy", "s", *SPAN, "--json").stdout)
    assert (told["agrees"], [one["kind"] for one in told["findings"]]) == (False, ["receipt without fill"])


def test_signals_from_before_the_bot_are_not_missed(traded: Store, command_env: dict[str, str]) -> None:
    """A catch-up exported them; the bot saw its first signal later. Those of the time since then are missed."""
    key: dict[str, Any] = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "1m", "action": "exit_long"}
    for minutes in (-10, 10):
        ts = NOON + timedelta(minutes=minutes)
        traded[SIGNALS].insert_one(key | {"ts": ts, "created_at": after_close(0)})
    shown = monitor(
        command_env, "reconcile", "--strategy", "s", "--since", "2022-01-15", "--until", "2022-01-16", "--json"
    )
    (found,) = json.loads(shown.stdout)["findings"]
    assert (found["kind"], found["ts"]) == ("signal without receipt", "2022-01-15T12:10:00Z")


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strategy", "unknown"], "no bot has written a receipt yet"),
        (["--strategy", "s", "--since", "yesterday"], "--since must be a time such as"),
        (["--strategy", "s", "--since", "2022-01-02", "--until", "2022-01-01"], "--since must lie before --until"),
        (["--strategy", "s", *SPAN, "--tf", "1x"], "1x"),
        (["--strategy", "s", *SPAN, "--exchange", "binance"], "set QUANTFLOW_EXCHANGE_KEY"),
        (["--strategy", "s", *SPAN, "--freqtrade", "http://127.0.0.1:9"], "QUANTFLOW_FREQTRADE_PASSWORD"),
        (["--strategy", "s", *SPAN, "--besides", "BTC"], "--besides must name an asset and an amount"),
        (["--strategy", "s", *SPAN, "--explained", "BTC/USDT17"], "--explained must name a pair and an order"),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], sentence: str, command_env: dict[str, str]) -> None:
    """Exit code 2, the reason, and no traceback."""
    ended = monitor(command_env, "reconcile", *arguments)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", ["reconcile", "latency", "compare"])
def test_a_misspelt_bot_is_told_with_the_nearest_one(name: str, command_env: dict[str, str]) -> None:
    """Nothing is shown of a bot that was never seen."""
    ended = monitor(command_env, name, "--strategy", "s", *SPAN, "--consumer", "bott")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "Error: The bot bott has never been seen with a signal of s. Did you mean bot?\n"


@pytest.mark.usefixtures("traded")
def test_a_misspelt_bot_of_the_watch_file_is_one_warning(command_env: dict[str, str], tmp_path: Path) -> None:
    """And no signal is missed by it."""
    (tmp_path / "watch.yaml").write_text("{strategies: [{strategy_id: s, consumer: bott}]}")
    told = json.loads(monitor(command_env, "check", "--watch", str(tmp_path / "watch.yaml"), "--json").stdout)
    (found,) = (one for one in told["problems"] if one["rule"] == "reconciliation")
    assert (found["subject"], found["severity"]) == ("bott not compared", "warning")
    assert found["text"].endswith("The bot bott has never been seen with a signal of s. Did you mean bot?")


def test_a_venue_that_is_named_without_keys_is_no_agreement(
    traded: Store, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Its orders are to be compared and can not be: the look says so, and does not say that all is well."""
    watched = {"strategy_id": "s", "exchange": "binance", "exchange_url": "http://127.0.0.1:9"}
    (tmp_path / "watch.yaml").write_text(json.dumps({"strategies": [watched]}))
    ended = monitor(command_env, "check", "--watch", str(tmp_path / "watch.yaml"), "--json")
    (found,) = json.loads(ended.stdout)["strategies"]
    assert "set QUANTFLOW_EXCHANGE_KEY" in found["reconciliation"]["not_compared"][0]


@pytest.mark.usefixtures("traded")
def test_a_venue_that_does_not_answer_is_a_sentence_without_the_secret(command_env: dict[str, str]) -> None:
    """Exit code 4; neither key nor secret is told."""
    keys = {"QUANTFLOW_EXCHANGE_KEY": "the-key", "QUANTFLOW_EXCHANGE_SECRET": "the-secret"}
    ended = monitor(command_env | keys, "reconcile", "--strategy", "s", *SPAN, "--exchange-url", "http://127.0.0.1:9")
    assert ended.returncode == 4
    assert "binance did not answer at 127.0.0.1:9" in ended.stderr
    assert "the-secret" not in ended.stderr + ended.stdout
