"""An outage is told once when it begins and once when it has passed."""

import structlog.testing

from importers.outage import Outage


def test_it_is_told_once_however_many_are_without() -> None:
    """The first one's error is logged; the last one's return too."""
    outage = Outage("venue")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            outage.begin("BINANCE:BTCUSDT", "timeout")
            outage.begin("BINANCE:ETHUSDT", "timeout")
        outage.end("BINANCE:BTCUSDT")
        outage.end("BINANCE:SOLUSDT")
        assert outage.is_on
        outage.end("BINANCE:ETHUSDT")
    assert not outage.is_on
    assert outage.count == 1
    assert [(log["event"], log.get("by")) for log in logs] == [("venue_away", "BINANCE:BTCUSDT"), ("venue_back", None)]


def test_the_next_outage_is_another_one() -> None:
    """Both are told and counted."""
    outage = Outage("store")
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            outage.begin("follow", "down")
            outage.end("follow")
    assert outage.count == 2
    assert [log["event"] for log in logs] == ["store_away", "store_back"] * 2
