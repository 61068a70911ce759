"""An audit answers from a history of changed, retracted and restored signals as a person would who reads it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantflow_nodes.audit import MEANINGS, standing_at
from quantflow_nodes.known_signals import SignalVersion, signal_versions
from schemas.signal_rule import SignalWindow
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
WINDOW = SignalWindow(60_000)
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)


def at(minute: int, second: float = 0.0) -> datetime:
    return NOON + timedelta(minutes=minute, seconds=second)


def content(minute: int, version: int, written: datetime, run: str, **opinion: Any) -> dict[str, Any]:
    key = {"strategy_id": "s", "pair": "BTC/USDT", "timeframe": "1m", "ts": at(minute)}
    return {**key, "version": version, "updated_at": written, "run_id": run, **(opinion or {"action": "enter_long"})}


def ended(document: dict[str, Any], when: datetime, run: str, *, retracted: bool = False) -> dict[str, Any]:
    return {**document, "replaced_at": when, "replaced_by": run, "retracted": retracted}


# The bar of 12:00 closed at 12:01. Its signal was written at 12:01:02 as enter_long, replaced at 12:01:30 by exit_long,
# taken back at 12:02:00, and restored at 12:02:20 as enter_long. The bar of 12:02 gave exit_long, written at 12:03:01.
FIRST = content(0, 1, at(1, 2), "run-1")
SECOND = content(0, 2, at(1, 30), "run-2", action="exit_long")
THIRD = content(0, 3, at(2, 20), "run-4")
NEXT = content(2, 1, at(3, 1), "run-5", action="exit_long")
REVISIONS = [ended(FIRST, at(1, 30), "run-2"), ended(SECOND, at(2), "run-3", retracted=True)]
HISTORY = signal_versions([THIRD, NEXT], REVISIONS)


def stood(time: datetime, versions: list[SignalVersion] | None = None, **window: int) -> tuple[Any, ...]:
    """State, minute of the bar, version, and the numbers of the earlier and later contents."""
    rule = SignalWindow(60_000, **window) if window else WINDOW
    found = standing_at("BTC/USDT", MINUTE, HISTORY if versions is None else versions, time, rule)
    if found.version is None:
        return (found.state,)
    numbers = [[one.content["version"] for one in part] for part in (found.earlier, found.later)]
    minute = (found.version.content["ts"] - NOON) // timedelta(minutes=1)
    return (found.state, minute, found.version.content["version"], *numbers)


@pytest.mark.parametrize(
    ("time", "answer"),
    [
        (at(0, 59), ("none",)),
        (at(1, 1.999), ("none",)),
        (at(1, 2), ("in force", 0, 1, [], [2, 3])),  # from the moment of its writing on
        (at(1, 29.999), ("in force", 0, 1, [], [2, 3])),
        (at(1, 30), ("in force", 0, 2, [1], [3])),  # no longer from that of its replacement on
        (at(1, 59.999), ("in force", 0, 2, [1], [3])),
        (at(2), ("retracted", 0, 2, [1], [3])),
        (at(2, 19.999), ("retracted", 0, 2, [1], [3])),
        (at(2, 20), ("in force", 0, 3, [1, 2], [])),
        (at(3), ("outside window", 0, 3, [1, 2], [])),  # the candle of 12:02 has closed, two bars after the signal's
        (at(3, 0.999), ("outside window", 0, 3, [1, 2], [])),
        (at(3, 1), ("in force", 2, 1, [], [])),  # the newest one wins
        (at(4, 59.999), ("in force", 2, 1, [], [])),
        (at(5), ("outside window", 2, 1, [], [])),
        (at(6), ("outside window", 2, 1, [], [])),  # three bars old: the last moment of the delay
        (at(6, 0.001), ("expired", 2, 1, [], [])),
        (at(600), ("expired", 2, 1, [], [])),
    ],
)
def test_what_stood_at_each_time_is_what_the_history_says(time: datetime, answer: tuple[Any, ...]) -> None:
    """Computed by hand from the times above, and at each boundary on both of its sides."""
    assert stood(time) == answer


def test_the_bots_own_window_counts() -> None:
    """With a tolerance of three bars the signal of 12:00 is in force at 12:03, with a delay of 30 s not at 12:02."""
    assert stood(at(3), tolerance_bars=3) == ("in force", 0, 3, [1, 2], [])
    assert stood(at(2, 20), tolerance_bars=1, max_delay_ms=30_000) == ("expired", 0, 3, [1, 2], [])


def test_an_older_signal_acts_while_the_newer_one_is_retracted() -> None:
    """As it did for the bot: the newest of those that could be used."""
    older = content(1, 1, at(2, 1), "run-1")
    newer = content(2, 1, at(3, 1), "run-2", action="exit_long")
    versions = signal_versions([older], [ended(newer, at(3, 20), "run-3", retracted=True)])
    assert stood(at(3, 10), versions)[:3] == ("in force", 2, 1)
    assert stood(at(3, 20), versions)[:3] == ("in force", 1, 1)


def test_a_signal_past_its_end_is_void() -> None:
    """From `valid_until` on, that moment included."""
    versions = signal_versions([content(0, 1, at(1, 1), "r", weight=0.5, valid_until=at(1, 30))], [])
    assert stood(at(1, 29.999), versions)[0] == "in force"
    assert stood(at(1, 30), versions)[0] == "void"


def test_a_signal_written_within_the_skew_before_its_close_is_early() -> None:
    """Two machines' clocks differ; the bot's rule waits for the close."""
    versions = signal_versions([content(1, 1, at(1, 59), "r")], [])
    assert stood(at(1, 59.5), versions)[0] == "early"
    assert stood(at(2), versions)[0] == "in force"


def test_a_signal_that_was_written_long_after_its_bar_was_never_in_force() -> None:
    """Its age counts from the bar's close, as in live trading."""
    versions = signal_versions([content(0, 1, at(10), "r")], [])
    assert stood(at(9, 59), versions) == ("none",)
    assert stood(at(10), versions)[0] == "expired"


def test_what_has_been_deleted_by_age_is_not_called_retracted() -> None:
    """The first content is known by its revision; the second one, which replaced it, is gone."""
    versions = signal_versions([], [ended(FIRST, at(1, 30), "run-2")])
    assert stood(at(1, 10), versions) == ("in force", 0, 1, [], [])
    assert stood(at(1, 30), versions) == ("not kept", 0, 1, [], [])


def test_a_replacement_that_a_kill_prevented_changes_nothing() -> None:
    """The content stood on until the run that really replaced it."""
    begun = ended(FIRST, at(1, 10), "killed", retracted=True)
    done = ended(FIRST, at(1, 30), "run-2")
    versions = signal_versions([SECOND], [begun, done])
    found = standing_at("BTC/USDT", MINUTE, versions, at(1, 20), WINDOW)
    assert found.state == "in force"
    assert found.version is not None
    assert (found.version.ended_by, found.version.known_until, found.version.retracted) == ("run-2", at(1, 30), False)
    assert stood(at(1, 20), signal_versions([FIRST], [begun])) == ("in force", 0, 1, [], [])


def test_the_docs_list_every_state_with_its_meaning() -> None:
    """The table of docs/security.md is the declared one."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8").partition("## Audit")[2]
    assert dict(re.findall(r"^\| `([a-z ]+)` \| (.+) \|$", page, re.MULTILINE)) == MEANINGS
