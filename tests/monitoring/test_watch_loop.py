"""The loop goes on whatever a look does, and shows what it found."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from threading import Event as Flag

import pytest
from rich.console import Console
from structlog.testing import capture_logs
from watched_looks import AT, MINUTE, NOON, SERIES, look, strategy

from monitoring.alerts.alert_desk import AlertDesk
from monitoring.alerts.alert_store import AlertStore
from monitoring.alerts.channels import Channels
from monitoring.alerts.rules import judge
from monitoring.facts import Look, StoreHealth, VenueHealth
from monitoring.report.health_table import health_object, health_text, summary
from monitoring.report.run_lines import Line, show_text
from monitoring.watch_file import Alerts, Rules
from monitoring.watch_loop import Turn, WatchLoop
from schemas.collections import COLLECTIONS, Store


def watch(db: Store, take_look: Callable[[], Look], show: Callable[[Turn], None]) -> WatchLoop:
    desk = AlertDesk(AlertStore(db), Alerts(), lambda _: True)
    return WatchLoop(take_look, db, Rules(), desk, Channels([]), show)


@pytest.mark.mongo
def test_a_look_that_fails_does_not_end_the_loop(db: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The trace is logged once for as long as it is the same, and the looks after it are taken."""
    looks = iter([ZeroDivisionError("a fault"), ZeroDivisionError("a fault"), look(), look(AT + MINUTE)])
    shown: list[Turn] = []
    failures: list[int] = []

    def take() -> Look:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    loop = watch(db, take, shown.append)
    loop.failed = lambda: failures.append(1)
    loop.run(Flag(), every_s=0.001, looks=4)
    assert [turn.look.at for turn in shown] == [AT, AT + MINUTE]
    assert len(failures) == 2
    said = "".join(capsys.readouterr())
    assert said.count("ZeroDivisionError: a fault") == 1
    assert "Traceback" in said


@pytest.mark.mongo
def test_a_turn_that_can_not_be_shown_does_not_end_the_loop(db: Store) -> None:
    """What shows it may have a fault; the next one is shown."""
    tried: list[datetime] = []

    def show(turn: Turn) -> None:
        tried.append(turn.look.at)
        if len(tried) == 1:
            raise ValueError("Duplicated timeseries")

    watch(db, look, show).run(Flag(), every_s=0.001, looks=2)
    assert len(tried) == 2


def test_a_reader_of_standard_output_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said once; what is printed afterwards is nobody's."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out, capture_logs() as logged:
        monkeypatch.setattr(sys, "stdout", out)
        for _ in range(3):
            show_text(Line("a line", {}))
        monkeypatch.undo()
    assert [one["event"] for one in logged] == ["standard_output_closed"]


@pytest.mark.mongo
def test_what_is_missing_in_the_database_is_made(db: Store) -> None:
    """A monitor may be the first who comes."""
    db.client.drop_database(db.name)
    watch(db, look, lambda _: None).run(Flag(), every_s=0.001, looks=1)
    assert len(db.list_collection_names()) == len(COLLECTIONS)


@pytest.mark.mongo
def test_a_flag_ends_it_after_the_look_at_hand(db: Store) -> None:
    """However long the next one is away."""
    stop, shown = Flag(), list[Turn]()

    def take() -> Look:
        stop.set()
        return look()

    watch(db, take, shown.append).run(stop, every_s=3_600)
    assert len(shown) == 1


def printed(now: Look) -> list[str]:
    console = Console(width=80, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(health_text(now, judge(now, Rules())))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_of_all_sides_fits_80_columns() -> None:
    """A line that sums up, a row a side."""
    assert printed(look()) == [
        "OK: 1 strategy and 1 series of bars, nothing wrong 2022-01-15 12:00 UTC.",
        "",
        "side       of                  state",
        "MongoDB                        answers in 1.0 ms, replica set",
        "bars       BINANCE:BTCUSDT 1m  newest closed 2022-01-15 12:00, 40 s ago",
        "research   s 1m                exported 40 s ago, 100 % of 10 closes, 95 % in",
        "                               0.10 s",
        "bot        bot                 running, last loop 2 s ago, trades: 1, 250.00",
        "                               USDT free",
        "venue      binance             answers in 20.0 ms",
        "all sides  s 1m                agrees",
    ]


def test_problems_stand_below_the_table() -> None:
    """The worst one is in the first line too."""
    bad = look(
        store=StoreHealth(None, error="It refused the connection."),
        strategies=(strategy(venue=VenueHealth(None, error="It is closed.")),),
    )
    lines = printed(bad)
    assert lines[0] == "CRITICAL: MongoDB is silent: It refused the connection. And 1 more."
    assert lines[-2:] == [
        "CRITICAL  silent: MongoDB is silent: It refused the connection.",
        "CRITICAL  silent: The venue binance is silent: It is closed.",
    ]


def test_json_says_the_same() -> None:
    """Times in ISO, money as numbers, what nobody knows as null."""
    now = look(series=(SERIES,))
    told = health_object(now, judge(now, Rules()))
    assert (told["status"], told["exit_code"], told["summary"]) == ("healthy", 0, summary(now, judge(now, Rules())))
    (one,) = told["strategies"]
    assert one["bot"]["free_quote"] == 250.0
    assert one["reconciliation"] == {"agrees": True, "findings": 0, "not_compared": []}
    assert told["series"][0]["last_open"] == (NOON - MINUTE).isoformat().replace("+00:00", "Z")
