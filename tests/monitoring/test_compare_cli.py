"""`signal-monitor compare` as a user runs it."""

import json
import subprocess
import sys
from typing import Any

import pytest
from trade_documents import at, bars, fill, position, receipt, signal

from schemas.collections import FILLS, MINUTE_BARS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store

pytestmark = pytest.mark.mongo
SPAN = ("--from", "2022-01-15T12:00", "--to", "2022-01-15T12:15")
OPENS = [90, 100, 101, 102, 103, 104, 110, 111, 112, 113, 120, 121, 122, 123, 130, 131]


@pytest.fixture
def traded(db: Store) -> Store:
    """Bought at 100 and sold at 110 by the backtest, a little worse by the bot; a second signal was skipped."""
    actions: dict[float, str] = {0: "enter_long", 5: "exit_long", 9: "enter_long"}
    stored: dict[str, list[dict[str, Any]]] = {
        MINUTE_BARS: bars(OPENS),
        SIGNALS: [signal(minute, action) for minute, action in actions.items()],
        SIGNAL_RECEIPTS: [receipt(0, "entered"), receipt(5, "exited"), receipt(9, "skipped", "pair_locked")],
        POSITIONS: [position(0, 5)],
        FILLS: [
            fill("buy", "2", "203", 0, quoted="101", fee="0.203"),
            fill("sell", "2", "217", 5, quoted="109", fee="0.434"),
        ],
    }
    for name, documents in stored.items():
        db[name].insert_many(documents)
    return db


def monitor(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from monitoring.cli import main; main()", "compare", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.usefixtures("traded")
def test_the_table_shows_the_parts_in_basis_points(command_env: dict[str, str]) -> None:
    """By hand: 9.780 % would have been, 6.576 % came; 207.5 bps by delay, 102.2 by price, 10.7 by fees."""
    shown = monitor(command_env | {"COLUMNS": "80"}, "--strategy", "s", *SPAN, "--fee", "0.001")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    row = next(line for line in lines if line.startswith("01-15 12:00"))
    assert row.split() == [
        "01-15", "12:00", "+6.576", "%", "+9.780", "%", "-320.40", "-207.51", "-102.22", "-10.68",
    ]  # fmt: skip
    alone = next(line for line in lines if "pair_locked" in line)
    assert alone.split()[:3] == ["BTC/USDT", "01-15", "12:09"]
    assert "1 trade on both sides, 1 in the backtest alone, 0 in live alone." in shown.stdout
    assert "The backtest pays 10 bps a fill, as given." in shown.stdout


@pytest.mark.usefixtures("traded")
def test_json_has_every_figure_and_the_parts_sum_up(command_env: dict[str, str]) -> None:
    """Each trade's parts are its difference, and the totals' parts theirs, to 1e-12."""
    told = json.loads(monitor(command_env, "--strategy", "s", *SPAN, "--json").stdout)
    both, skipped = told["trades"]
    assert abs(sum(both["parts"].values()) - both["difference"]) < 1e-12
    assert abs(sum(told["totals"]["parts"].values()) - told["totals"]["difference"]) < 1e-12
    assert (both["live"]["open_quoted"], both["live"]["open_rate"], both["live"]["fees"]) == ("101", "101.5", "paid")
    assert (skipped["live"], skipped["reason"], skipped["backtest"]["closed_at"]) == (None, "pair_locked", None)
    assert told["fee"] == pytest.approx(0.637 / 420, abs=1e-15)
    assert (told["fee_source"], told["counts"]["both"], told["skip_reasons"]) == ("paid", 1, {"pair_locked": 1})


def test_nothing_traded_is_a_sentence(db: Store, command_env: dict[str, str]) -> None:
    """A bot that saw something, and nothing that was traded."""
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, "skipped", "expired"))
    shown = monitor(command_env, "--strategy", "s", *SPAN)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Neither bot nor the backtest traded signals of s 1m from 2022-01-15 12:00" in shown.stdout


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strategy", "unknown"], "no bot has written a receipt yet"),
        (["--strategy", "s", "--from", "2022-01-14", "--to", "2022-01-15"], "bot saw one first at 2022-01-15 12:01"),
        (["--strategy", "s", *SPAN, "--fee", "10"], "--fee must be a fraction from 0 to below 1, found 10."),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], sentence: str, command_env: dict[str, str]) -> None:
    """Exit code 2, the reason, and no traceback."""
    ended = monitor(command_env, *arguments)
    assert ended.returncode == 2
    assert sentence in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("traded")
def test_without_bars_it_says_which_are_needed(traded: Store, command_env: dict[str, str]) -> None:
    """There is something to compare, and nothing to compare it with."""
    traded[MINUTE_BARS].delete_many({"datetime": {"$gte": at(-1)}})
    ended = monitor(command_env, "--strategy", "s", *SPAN)
    assert ended.returncode == 2
    assert "needs the bars of BTC/USDT 1m from 2022-01-15 12:00 UTC on" in " ".join(ended.stderr.split())
