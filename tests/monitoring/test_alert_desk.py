"""Alerts in the real store: a restart neither repeats nor forgets, of two monitors one tells, MongoDB may go away."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from monitoring.alerts import alert_desk
from monitoring.alerts.alert_book import Event
from monitoring.alerts.alert_desk import AlertDesk
from monitoring.alerts.alert_store import AlertStore
from monitoring.alerts.verdict import Judged, Verdict
from monitoring.problem import Problem, Severity
from monitoring.watch_file import Alerts
from schemas.collections import MONITOR_ALERTS, Store
from schemas.monitor_documents import MonitorAlert

pytestmark = pytest.mark.mongo
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATE = Problem("signal_late", "1m", Severity.WARNING, "It was late.", NOON, "s")
GONE = Problem("silent", "mongodb", Severity.CRITICAL, "MongoDB is away.", NOON)
JUDGED = frozenset({Judged("signal_late", "s"), Judged("silent")})


@dataclass
class Monitor:
    """A monitor whose messages are kept in a list; `takes` is whether they are taken."""

    db: Store
    takes: bool = True
    told: list[str] = field(default_factory=list)
    messages: int = 0

    def __post_init__(self) -> None:
        self.desk = AlertDesk(AlertStore(self.db), Alerts.model_validate({"over_after": "0s"}), self._tell)

    def _tell(self, events: Sequence[Event]) -> bool:
        if self.takes:
            self.messages += 1
            self.told += [f"{event.kind} {event.after[0].rule}" for event in events]
        return self.takes

    def look(self, minute: int, *problems: Problem, answers: bool = True) -> list[str]:
        """What is told at a look; where MongoDB does not answer, only its silence is judged."""
        before = len(self.told)
        judged = JUDGED if answers else frozenset({Judged("silent")})
        self.desk.turn(Verdict(problems, judged), NOON + minute * MINUTE, store_answers=answers)
        return self.told[before:]

    def stored(self) -> list[dict[str, Any]]:
        return [dict(one) for one in self.db[MONITOR_ALERTS].find({}, {"_id": False}).sort("noticed_at", 1)]


@pytest.fixture
def away() -> Iterator[Store]:
    """A database at an address where nobody listens."""
    with MongoClient[Any]("mongodb://127.0.0.1:9/", serverSelectionTimeoutMS=50) as client:
        yield client["nowhere"]


def test_a_restart_neither_repeats_nor_forgets(db: Store) -> None:
    """Each look is that of a new monitor; all of what it knows lies in the store."""
    told = [Monitor(db).look(minute, *problems) for minute, problems in enumerate([[LATE], [LATE], [], []])]
    assert told == [["fired signal_late"], [], ["over signal_late"], []]
    (alert,) = Monitor(db).stored()
    assert MonitorAlert.model_validate(alert).settled
    assert (alert["over_at"], alert["times_told"], alert["slot"]) == (NOON + 2 * MINUTE, 2, alert["alert_id"])


def test_each_time_that_it_happens_is_a_document(db: Store) -> None:
    """The history of a problem can be read, and its beginning is free for the next time."""
    monitor = Monitor(db)
    for minute, problems in enumerate([[LATE], [], [LATE], []]):
        monitor.look(minute, *problems)
    assert [one["noticed_at"] for one in monitor.stored()] == [NOON, NOON + 2 * MINUTE]


def test_of_two_monitors_one_tells(db: Store) -> None:
    """They look in turn; each event is told once, whoever was first."""
    first, second = Monitor(db), Monitor(db)
    for minute, problems in enumerate([[LATE], [LATE, GONE], [GONE], [], []]):
        for monitor in (first, second) if minute % 2 else (second, first):
            monitor.look(minute, *problems)
    assert sorted(first.told + second.told) == [
        "fired signal_late", "fired silent", "over signal_late", "over silent",
    ]  # fmt: skip
    assert first.told
    assert second.told


def test_what_another_monitor_is_telling_now_is_left_to_it(db: Store) -> None:
    """It has claimed the alert; when it dies before it is told, the claim runs out and it is told after all."""
    silent, other = Monitor(db, takes=False), Monitor(db)
    silent.look(0, LATE)
    (document,) = other.stored()
    assert AlertStore(db).claim(MonitorAlert.model_validate(document))
    assert other.look(1, LATE) == []
    db[MONITOR_ALERTS].update_one({}, {"$set": {"claimed_until": datetime.now(UTC) - timedelta(seconds=1)}})
    assert other.look(2, LATE) == ["fired signal_late"]


def test_what_no_channel_took_is_told_at_the_next_look(db: Store) -> None:
    """By this monitor or by the next one."""
    monitor = Monitor(db, takes=False)
    assert monitor.look(0, LATE) == []
    assert "told_at" not in monitor.stored()[0]
    monitor.takes = True
    assert monitor.look(1, LATE) == ["fired signal_late"]


def test_many_at_once_are_one_message(db: Store) -> None:
    """Six alerts, one message, and each of them is kept as told."""
    monitor = Monitor(db)
    problems = [Problem("silent", f"series {n}", Severity.CRITICAL, "It is silent.", NOON) for n in range(6)]
    assert len(monitor.look(0, *problems)) == 6
    assert monitor.messages == 1
    assert {one["times_told"] for one in monitor.stored()} == {1}


def test_alerts_go_out_while_mongodb_is_away(db: Store) -> None:
    """It is told once that it is away, and once that it is back; the end of another problem is found when it is."""
    monitor = Monitor(db)
    assert monitor.look(0, LATE) == ["fired signal_late"]
    assert monitor.look(1, GONE, answers=False) == ["fired silent"]
    assert monitor.look(2, GONE, answers=False) == []
    assert monitor.look(3) == ["over silent", "over signal_late"]
    assert [(one["rule"], one["settled"]) for one in monitor.stored()] == [("signal_late", True), ("silent", True)]
    assert Monitor(db).look(4) == []


def test_a_monitor_that_starts_without_mongodb_tells_of_it(db: Store) -> None:
    """And what began and ended before it was back is stored for the record."""
    monitor = Monitor(db)
    assert monitor.look(0, GONE, answers=False) == ["fired silent"]
    assert monitor.look(1, answers=False) == ["over silent"]
    assert monitor.look(2, answers=False) == []
    assert monitor.look(3) == []
    (alert,) = monitor.stored()
    assert (alert["noticed_at"], alert["over_at"], alert["settled"]) == (NOON, NOON + MINUTE, True)


def test_a_restart_while_mongodb_is_away_ends_one_alert_only(db: Store) -> None:
    """The new monitor can not know what the old one told, and tells it again; in the store they become one."""
    first = Monitor(db)
    first.look(0, GONE)
    second = Monitor(db)
    assert second.look(1, GONE, answers=False) == ["fired silent"]
    assert second.look(2, GONE) == []
    assert len(second.stored()) == 1
    assert second.look(3) == ["over silent"]


def test_mongodb_may_go_away_in_the_middle_of_a_look(away: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """It answered when it was asked first and then no more: what is to be told is told all the same, and once."""
    monitor = Monitor(away)
    assert [monitor.look(0, LATE), monitor.look(1, LATE), monitor.look(2)] == [
        ["fired signal_late"],
        [],
        ["over signal_late"],
    ]
    said = capsys.readouterr()
    assert f"{said.out}{said.err}".count("alerts_not_stored") == 1


def test_a_look_is_one_read(db: Store) -> None:
    """While nothing changes, nothing is written: seen_at is refreshed every ten minutes."""
    monitor = Monitor(db)
    monitor.look(0, LATE)
    before = monitor.stored()
    monitor.look(9, LATE)
    assert monitor.stored() == before
    monitor.look(10, LATE)
    assert monitor.stored()[0]["seen_at"] == NOON + 10 * MINUTE


@pytest.mark.parametrize("odd", [{"of_a_newer_monitor": 1}, {"seen_at": "noon"}, {"revision": 0}, {"settled": "no"}])
def test_a_document_that_is_no_alert_ends_nothing(
    db: Store, odd: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named in the log once and left as it is; the alert in whose place it lies is told once all the same."""
    Monitor(db, takes=False).look(0, LATE)
    db[MONITOR_ALERTS].update_one({}, {"$set": odd})
    (before,) = (monitor := Monitor(db)).stored()
    told = [monitor.look(minute, *problems) for minute, problems in enumerate([[LATE, GONE], [LATE], [], []], 1)]
    assert told == [["fired silent", "fired signal_late"], ["over silent"], ["over signal_late"], []]
    assert monitor.stored()[0] == before
    assert [one["settled"] for one in monitor.stored()[1:]] == [True, True]
    said = capsys.readouterr()
    assert f"{said.out}{said.err}".count("document_refused") == 1


def test_what_can_never_be_stored_does_not_fill_memory(
    away: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what is settled the newest are kept; what lasts is kept too, and is not told again."""
    monkeypatch.setattr(alert_desk, "SETTLED_KEPT", 3)
    monitor = Monitor(away)
    monitor.look(0, GONE, answers=False)
    for minute in range(1, 21):
        gap = Problem("silent", "series", Severity.CRITICAL, "It is silent.", NOON + minute * MINUTE)
        assert len(monitor.look(minute, *([GONE, gap] if minute % 2 else [GONE]), answers=False)) == 1
    kept = monitor.desk._alerts
    assert sorted((one.over_at is None, one.subject) for one in kept.values()) == [
        (False, "series"), (False, "series"), (False, "series"), (True, "mongodb"),
    ]  # fmt: skip
    ends = sorted(one.over_at for one in kept.values() if one.over_at is not None)
    assert ends == [NOON + minute * MINUTE for minute in (16, 18, 20)]
    assert monitor.desk._unstored == set(kept)
    said = capsys.readouterr()
    assert f"{said.out}{said.err}".count("alert_record_dropped") == 1
