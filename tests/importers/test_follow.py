"""Following a venue: each closed bar once, whatever becomes of the stream, of REST and of the store."""

from dataclasses import replace

import pytest
import structlog.testing
from following import HASTY, Follow, minute, wait_until
from import_samples import BTC, DAY, START_MS, gap_list, rising_bars, stored
from streaming_venue import StreamingVenue

from importers.bars import Batch
from importers.intake import SymbolIntake
from schemas.collections import Store
from schemas.symbols import Symbol

pytestmark = pytest.mark.mongo

ETH = Symbol("BINANCE", "ETH", "USDT")


@pytest.fixture
def follow(db: Store, live: StreamingVenue) -> Follow:
    """A run that may be started once."""
    return Follow(db, live)


def minutes_stored(db: Store, symbol: Symbol = BTC) -> list[int]:
    found = [document for document in stored(db) if document["symbol"] == str(symbol)]
    return [(int(document["datetime"].timestamp() * 1000) - START_MS) // 60_000 for document in found]


def test_a_closed_bar_is_stored_at_once_and_a_forming_one_never(
    db: Store, live: StreamingVenue, follow: Follow
) -> None:
    """After the import of 100 bars come 3 from the stream; candles on their way to a close leave no trace."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.send_candle(minute(100), is_closed=False)
        live.advance_to(minute(101, 5))
        wait_until(lambda: len(minutes_stored(db)) == 101)
        live.send_candle(minute(101), is_closed=False)
        live.advance_to(minute(102, 5))
        wait_until(lambda: len(minutes_stored(db)) == 102)
        live.advance_to(minute(103, 5))

    followed, summary = follow.run(script, 103)
    assert (followed.stopped_by, followed.errors) == (None, [])
    assert minutes_stored(db) == list(range(103))
    assert [document["open"] for document in stored(db)] == [100.0 + number for number in range(103)]
    (counts,) = summary.symbols
    assert (counts.streamed, counts.repaired, counts.changed, counts.rejected) == (3, 0, 0, 0)
    assert summary.reconnects == 0


def test_symbols_share_one_connection(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """One handshake, one subscription to both, and each symbol has its own bars."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        wait_until(lambda: len(stored(db)) == 202)
        live.advance_to(minute(102, 5))

    _, summary = follow.run(script, 102, BTC, ETH)
    assert live.handshakes == 1
    assert live.subscribed == [["btcusdt@kline_1m", "ethusdt@kline_1m"]]
    assert [minutes_stored(db, symbol) for symbol in (BTC, ETH)] == [list(range(102))] * 2
    assert [counts.streamed for counts in summary.symbols] == [2, 2]


def test_spot_and_perpetual_of_one_name_are_kept_apart(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """Both are BTCUSDT at the venue; each comes over its own connection."""
    perpetual = Symbol("BINANCE", "BTC", "USDT", "USDT")

    def script() -> None:
        wait_until(lambda: len(live.subscribed) == 2)
        live.advance_to(minute(101, 5))

    _, summary = follow.run(script, 101, BTC, perpetual)
    assert live.handshakes == 2
    assert [minutes_stored(db, symbol) for symbol in (BTC, perpetual)] == [list(range(101))] * 2
    assert [counts.streamed for counts in summary.symbols] == [1, 1]


def test_days_are_followed_too(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """A day is stored when it has closed."""
    day_ms = 86_400_000
    live.now_ms = START_MS + 3 * day_ms - 20

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(START_MS + 3 * day_ms + 5, day_ms)

    follow.run(script, 3, timeframe=DAY)
    assert [document["date"] for document in stored(db, "crypto_market")] == ["20220101", "20220102", "20220103"]


def test_rest_has_the_last_word(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """What the stream said is stored, then REST gives another volume: replaced, counted and logged."""
    live.extra_volume = 1.0
    seen: list[float] = []

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        wait_until(lambda: len(minutes_stored(db)) == 101)
        seen.append(stored(db)[-1]["volume"])

    with structlog.testing.capture_logs() as logs:
        _, summary = follow.run(script, 101)
    assert seen == [3.5]
    assert stored(db)[-1]["volume"] == 2.5
    assert summary.symbols[0].changed == 1
    assert [log["count"] for log in logs if log["event"] == "bars_changed"] == [1]


def test_confirming_takes_one_request_for_many_minutes(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """Ten bars that the stream has brought are confirmed by few requests, and none is stored twice."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.asked.clear()
        for offset in range(101, 111):
            live.advance_to(minute(offset, 5))

    _, summary = follow.run(script, 110)
    assert minutes_stored(db) == list(range(110))
    assert summary.symbols[0].streamed + summary.symbols[0].repaired == 10
    assert len(live.kline_requests()) <= 4


@pytest.mark.parametrize("status", [503, 429, 404])
def test_a_dropped_stream_is_repaired(db: Store, live: StreamingVenue, follow: Follow, status: int) -> None:
    """The socket breaks, the venue refuses a while; when it is back, the bars of the hole come over REST, once."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        wait_until(lambda: len(minutes_stored(db)) == 101)
        live.refused = status
        live.drop()
        live.advance_to(minute(106, 5))
        handshakes = live.handshakes
        wait_until(lambda: live.handshakes > handshakes + 1)
        live.refused = None
        wait_until(live.is_listened_to)
        live.advance_to(minute(107, 5))

    with structlog.testing.capture_logs() as logs:
        _, summary = follow.run(script, 107)
    assert minutes_stored(db) == list(range(107))
    assert summary.reconnects == 1
    assert summary.symbols[0].streamed + summary.symbols[0].repaired == 7
    assert summary.symbols[0].repaired >= 5
    assert [log["event"] for log in logs if log["event"].startswith("stream_")].count("stream_away") == 1
    assert [gap[2] for gap in gap_list(db)] in ([], ["filled"])


def test_a_venue_that_restarts_is_found_again(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """Nobody listens for a while, neither to HTTP nor to websockets."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        live.stop()
        live.now_ms = minute(104, 5)
        live.start()
        wait_until(live.is_listened_to)
        live.advance_to(minute(105, 5))

    _, summary = follow.run(script, 105)
    assert minutes_stored(db) == list(range(105))
    assert summary.reconnects == 1


def test_a_stream_that_falls_silent_is_given_up(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """The connection stands and brings nothing: another one is made."""

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        wait_until(lambda: live.handshakes == 2)
        wait_until(live.is_listened_to)
        live.advance_to(minute(102, 5))

    timing = HASTY.__class__(grace_s=0.1, settle_s=0.2, confirm_every_s=0.4, silence_s=0.5, reconnect_max_s=0.2)
    with structlog.testing.capture_logs() as logs:
        follow.run(script, 102, timing=timing)
    assert minutes_stored(db) == list(range(102))
    assert "no candle came for 0.5 s" in [log["error"] for log in logs if log["event"] == "stream_away"]


def test_a_bar_that_the_stream_leaves_out_comes_over_rest(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """Between two bars, and as the newest: the venue's time tells that it is late."""
    live.muted = {minute(101), minute(103)}

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(103, 5))
        wait_until(lambda: len(minutes_stored(db)) == 103)
        live.advance_to(minute(104, 5))
        live.send_candle(minute(104), is_closed=False)
        wait_until(lambda: len(minutes_stored(db)) == 104)

    _, summary = follow.run(script, 104)
    assert minutes_stored(db) == list(range(104))
    assert summary.symbols[0].streamed + summary.symbols[0].repaired == 4
    assert summary.symbols[0].repaired >= 2


def test_a_bar_that_the_venue_lacks_is_an_absent_gap(db: Store, live: StreamingVenue, follow: Follow) -> None:
    """Neither the stream nor REST has it; nobody invents it."""
    live.missing = {minute(101)}

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(103, 5))

    follow.run(script, 103)
    assert minutes_stored(db) == [*range(101), 102]
    assert gap_list(db) == [(101, 101, "absent")]


@pytest.mark.parametrize(
    "fault",
    [
        (500, {}, "oops"),
        (418, {"Retry-After": "1"}, '{"code":-1003,"msg":"Way too many requests; IP banned."}'),
        (200, {}, "<html>Please sign in</html>"),
        (200, {}, "[]"),
    ],
)  # fmt: skip
def test_faults_of_rest_lose_nothing(
    db: Store, live: StreamingVenue, follow: Follow, fault: tuple[int, dict[str, str], str]
) -> None:
    """Errors, a ban, a sign-in page, a page without the bar: asked again until the bar is there."""
    live.muted = {minute(100)}

    def script() -> None:
        wait_until(live.is_listened_to)
        live.faults = [fault, fault]
        live.advance_to(minute(102, 5))

    followed, summary = follow.run(script, 102)
    assert followed.errors == []
    assert minutes_stored(db) == list(range(102))
    assert summary.symbols[0].streamed + summary.symbols[0].repaired == 2
    assert live.faults == []


def test_what_an_earlier_run_left_open_is_completed(
    db: Store, live: StreamingVenue, follow: Follow, intake: SymbolIntake
) -> None:
    """A hole before the newest stored bars, and a last bar that REST had not confirmed, are asked for again."""
    bars = rising_bars(90)
    bars.volume[:] = 2.5
    bars.volume[89] = 3.5
    kept = (bars.open_ms < minute(40)) | (bars.open_ms >= minute(50))
    intake.take(Batch(bars.take(kept)), minute(90))

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))

    follow.run(script, 101)
    assert minutes_stored(db) == list(range(101))
    assert {document["volume"] for document in stored(db)} == {2.5}
    assert gap_list(db) == [(40, 49, "filled")]


def test_bars_that_the_venue_does_not_give_in_time_are_an_error(
    db: Store, live: StreamingVenue, follow: Follow
) -> None:
    """The end has passed, the last bar is missing: the sentence names it, and what came is stored."""
    live.missing = {minute(101)}

    def script() -> None:
        wait_until(live.is_listened_to)
        live.advance_to(minute(101, 5))
        live.send_candle(minute(102), is_closed=False)
        live.advance_to(minute(102, 5))

    followed, _ = follow.run(script, 102, timing=replace(HASTY, end_s=1))
    (error,) = followed.errors
    assert "BINANCE:BTCUSDT were to be followed up to 2022-01-01T01:42:00+00:00" in str(error)
    assert "has given those before 2022-01-01T01:41:00+00:00" in str(error)
    assert minutes_stored(db) == list(range(101))
