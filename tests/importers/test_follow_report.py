"""What a run that follows tells: lines, sums and percentiles of delays."""

import json

import pytest

from importers.follow_report import Delays, FollowReport


def test_percentiles_are_delays_that_occurred() -> None:
    """Of 1 to 100 ms the median is 50, the 99th percentile 99, the longest 100."""
    delays = Delays()
    for delay_ms in range(100, 0, -1):
        delays.add(delay_ms)
    assert delays.as_object() == {"p50": 50, "p99": 99, "max": 100}


def test_no_delay_is_none() -> None:
    """Without bars there is no figure, rather than a zero."""
    assert Delays().as_object() == {"p50": None, "p99": None, "max": None}


def test_long_delays_are_told_in_seconds() -> None:
    """A year of outages stays few numbers."""
    delays = Delays()
    delays.add(3_600_777)
    assert delays.at(1.0) == 3_600_000


def told(report: FollowReport) -> None:
    report.add("BINANCE:BTCUSDT", "1m")
    report.stored("BINANCE:BTCUSDT", 1_640_995_200_000, 1_640_995_260_000, 46264.32, 1_640_995_260_031, "stream")
    report.stored("BINANCE:BTCUSDT", 1_640_995_260_000, 1_640_995_320_000, 0.00001234, 1_640_995_321_500, "rest")
    report.ended()


def test_bars_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Open, symbol, close to the digit, and the delay; then the sums."""
    told(FollowReport("run-1", as_json=False, shows_bars=True))
    first, second, title, _, counts, delays = capsys.readouterr().out.splitlines()
    assert first == "2022-01-01 00:00  BINANCE:BTCUSDT  46264.32  31 ms"
    assert second == "2022-01-01 00:01  BINANCE:BTCUSDT  1.234e-05  1,500 ms  over REST"
    assert "run-1" in title
    assert counts.split() == ["BINANCE:BTCUSDT", "1m", "1", "1", "0", "0", "2022-01-01", "00:01"]
    assert delays == "Delay p50 31 ms, p99 1,500 ms, max 1,500 ms; 0 reconnects, MongoDB away 0 times."


def test_quiet_shows_the_sums_only(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, one object."""
    told(FollowReport("run-1", as_json=True, shows_bars=False))
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["delay_ms"] == {"p50": 31, "p99": 1500, "max": 1500}
    assert found["symbols"] == [
        {
            "symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "streamed": 1, "repaired": 1, "changed": 0, "rejected": 0,
            "first": "2022-01-01T00:00:00+00:00", "last": "2022-01-01T00:01:00+00:00",
        }
    ]  # fmt: skip
