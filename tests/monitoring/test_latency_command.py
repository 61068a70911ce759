"""signal-monitor latency: figures above the signals, all strategies by default, good to read at 80 columns."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from chain_documents import BOT, NOON, after_close, export, fill, receipt, signal
from rich.console import Console

from monitoring.report.latency_table import duration, latency_page
from monitoring.sources.span_signals import read_span
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.timeframes import Timeframe

LATER = NOON + timedelta(hours=1)
SPAN = ("--since", "2022-01-15T12:00", "--until", "2022-01-15T13:00")


@pytest.fixture
def traded(db: Store) -> Store:
    """One signal that was bought on, and one of another strategy that no bot reads."""
    db[SIGNALS].insert_many([signal(0, 80), signal(3, 90, "ETH/USDT", strategy_id="alone", weight=0.5, action=None)])
    db[SIGNAL_EXPORTS].insert_many([export(0, 95, 30), export(1, 95, strategy_id="alone", pairs=["ETH/USDT"])])
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 540))
    db[FILLS].insert_one(fill(0, 1_100, 1_180, "11"))
    return db


def latency(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from monitoring.cli import main; main()", "latency", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.mongo
@pytest.mark.usefixtures("traded")
def test_figures_stand_above_the_signals(command_env: dict[str, str]) -> None:
    """Without --strategy all are shown, each with its bot; a strategy that no bot reads has its exports' times."""
    shown = latency(command_env, *SPAN)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    assert lines[:2] == [
        "alone ETH/USDT 1m: 1 signal, read by no bot",
        "exported within 30 s: 100 % (1 of 1), seen within 3 min: 0.0 % (0 of 1)",
    ]
    start = lines.index("s BTC/USDT 1m: 1 signal, as bot saw them")
    assert lines[start + 1] == "exported within 30 s: 100 % (1 of 1), seen within 3 min: 100 % (1 of 1)"
    assert [line.split() for line in lines[start + 3 : start + 8]] == [
        ["available", *["30", "ms"] * 8],
        ["exported", *["80", "ms"] * 4, *["50", "ms"] * 4],
        ["seen", *["540", "ms"] * 4, *["460", "ms"] * 4],
        ["ordered", *["1.10", "s"] * 4, *["560", "ms"] * 4],
        ["filled", *["1.18", "s"] * 4, *["80", "ms"] * 4],
    ]
    assert lines[-1].split() == ["12:01", "enter_long", "30", "80", "540", "1,100", "1,180", "entered", "43,000.10"]


@pytest.mark.mongo
@pytest.mark.usefixtures("traded")
def test_a_summary_has_no_rows(command_env: dict[str, str]) -> None:
    """--summary leaves the signals out, as a table and as JSON."""
    shown = latency(command_env, *SPAN, "--summary", "--strategy", "s")
    assert "enter_long" not in shown.stdout
    assert shown.stdout.splitlines()[-1].split()[0] == "filled"
    told = json.loads(latency(command_env, *SPAN, "--summary", "--json").stdout)
    assert sorted(told) == ["decisions", "latency"]


@pytest.mark.mongo
@pytest.mark.usefixtures("traded")
def test_json_has_the_same_figures(command_env: dict[str, str]) -> None:
    """Percentiles after the close and as steps, shares with their limits, and each signal."""
    told = json.loads(latency(command_env, *SPAN, "--strategy", "s", "--json").stdout)
    (row,) = told["latency"]
    times: dict[str, Any] = row["stages"]["filled"]
    assert times["after_close"] == {"count": 1, "p50_ms": 1180, "p95_ms": 1180, "p99_ms": 1180, "worst_ms": 1180}
    assert times["step"]["worst_ms"] == 80
    assert row["in_time"]["exported"] == {"limit_bars": 0.5, "within": 1, "of": 1, "ratio": 1.0}
    assert (row["strategy_id"], row["consumer"], row["pair"]) == ("s", BOT, "BTC/USDT")
    (one,) = told["signals"]
    assert (one["available_ms"], one["exported_ms"], one["order_ids"]) == (30.0, 80.0, ["11"])
    assert told["decisions"] == {"entered": 1}


@pytest.mark.mongo
@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--strategy", "unknown"], 0, "No signals of unknown are stored for that time."),
        (["--tf", "5m", *SPAN], 0, "No signals 5m are stored for that time."),
        (["--tf", "1x"], 2, "A timeframe such as 1m, 15m, 4h or 1d was needed, found '1x'."),
        (["--since", "2022-01-02", "--until", "2022-01-01"], 2, "--since must lie before --until"),
    ],
)
def test_what_can_not_be_shown_is_a_sentence(
    arguments: list[str], code: int, sentence: str, command_env: dict[str, str]
) -> None:
    """Nothing found is no error; a mistake is one, without a traceback."""
    shown = latency(command_env, *arguments)
    assert (shown.returncode, shown.stdout) == (code, "")
    assert sentence in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.mongo
def test_the_widest_figures_fit_80_columns(db: Store) -> None:
    """Hours beside milliseconds, skipped with a long reason, several fills."""
    db[SIGNALS].insert_many([signal(0, 80), signal(1, 11_111_111)])
    db[SIGNAL_EXPORTS].insert_one(export(0, 95, 30))
    db[SIGNAL_RECEIPTS].insert_many(
        [receipt(0, 540), receipt(1, 11_222_222, decision="skipped", reason="short_not_allowed")]
    )
    db[FILLS].insert_many([fill(0, 1_100, 1_180, "11"), fill(0, 1_100, 86_399_999, "12")])
    console = Console(width=80, record=True, highlight=False)
    with console.capture() as shown:
        console.print(latency_page(read_span(db, NOON, LATER, LATER), with_signals=True))
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 80
    stages = [line.split()[0] for line in lines[3:8]]
    assert stages == ["available", "exported", "seen", "ordered", "filled"]  # no row is broken in two
    assert "…" not in shown.get()


@pytest.mark.mongo
def test_each_bot_has_its_own_figures(db: Store) -> None:
    """Two bots read the same signal, one of them late; a bot that is named is shown alone."""
    db[SIGNALS].insert_one(signal(0, 80))
    db[SIGNAL_RECEIPTS].insert_many([receipt(0, 500), receipt(0, 200_000, consumer="late-bot")])
    found = read_span(db, NOON, LATER, LATER, timeframe=Timeframe.parse("1m"))
    assert [(one.consumer, one.latencies[0].seen.within) for one in found] == [(BOT, 1), ("late-bot", 0)]
    (named,) = read_span(db, NOON, LATER, LATER, consumer="late-bot")
    assert named.chains[0].seen == after_close(0, 200_000)


def test_durations_have_about_three_digits() -> None:
    """From milliseconds to days, and a clock that is behind."""
    wanted = {
        0: "0 ms", 999.4: "999 ms", 999.6: "1.00 s", 9_994: "9.99 s", 9_996: "10.0 s", 59_949: "59.9 s",
        59_951: "1.0 min", 3_596_000: "59.9 min", 3_600_000: "1.0 h", 86_400_000: "1.0 d", -1_500: "-1.50 s",
    }  # fmt: skip
    assert {ms: duration(ms) for ms in wanted} == wanted
