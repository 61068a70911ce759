"""What is told of a side that can not be asked, comes back and is away again, by real rules and alerts."""

from dataclasses import replace

import pytest
from watched_looks import AGREES, AT, MINUTE, SECOND, alone, look, strategy

from monitoring.alerts.alert_book import due, observe
from monitoring.alerts.rules import judge
from monitoring.alerts.rules_silent import Unheard, note_silence
from monitoring.watch_file import Alerts
from schemas.monitor_documents import MonitorAlert

LOOK_EVERY = 5 * SECOND


def told(comparisons: str, over_after: str) -> list[tuple[str, int]]:
    """Compare each minute, with a side (o) or without (x), look each five seconds, and return what is told when."""
    rules, settings = alone("reconciliation"), Alerts.model_validate({"over_after": over_after})
    alerts: dict[str, MonitorAlert] = {}
    unheard: Unheard = {}
    events = []
    for number in range(len(comparisons) * (MINUTE // LOOK_EVERY)):
        now = AT + number * LOOK_EVERY
        is_away = comparisons[(now - AT) // MINUTE] == "x"
        result = replace(AGREES, not_compared=("binance did not answer.",)) if is_away else AGREES
        seen = look(now, strategy(reconciliation=result))
        unheard = note_silence(seen, rules.silent, unheard)
        verdict = judge(seen, rules, unheard)
        unsettled = [alert for alert in alerts.values() if not alert.settled]
        alerts |= {alert.alert_id: alert for alert in observe(verdict, unsettled, now, settings.over_after)}
        unsettled = [alert for alert in alerts.values() if not alert.settled]
        for event in due(verdict, unsettled, now, settings):
            alerts |= {alert.alert_id: alert for alert in event.after}
            events.append((event.kind, (now - AT) // SECOND))
    return events


ONE = [("fired", 30), ("over", 480)]
TWO = [("fired", 30), ("over", 240), ("fired", 330), ("over", 540)]
AT_ONCE = [("fired", 30), ("over", 180), ("fired", 270), ("over", 420)]


@pytest.mark.parametrize(
    ("comparisons", "over_after", "events"),
    [("xxxoxxxoo", "1m", ONE), ("xxxooxxxoo", "1m", TWO), ("xxxoxxxoo", "0s", AT_ONCE)],
)
def test_outages_are_told_apart_where_all_sides_agreed_for_long_enough(
    comparisons: str, over_after: str, events: list[tuple[str, int]]
) -> None:
    """One comparison between two outages lasts for less than a minute of looks: that is one which comes and goes."""
    assert told(comparisons, over_after) == events
