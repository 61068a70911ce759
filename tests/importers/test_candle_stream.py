"""Candles from websockets through the real ccxt: which are closed, and how a connection ends."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from following import QUICK, minute, wait_until
from import_samples import BTC
from streaming_venue import StreamingVenue

from importers.candle_stream import CandleStream, Hearer, Row, StreamLostError
from importers.venue import VenueAddress, open_venue


class Heard:
    """What a stream has brought."""

    def __init__(self) -> None:
        self.connections = 0
        self.times: list[int] = []
        self.closed: list[Row] = []
        self.hearer = Hearer(self._connected, self.times.append, lambda _, row: self.closed.append(row))

    def _connected(self) -> None:
        self.connections += 1


def listen(
    live: StreamingVenue, heard: Heard, script: Callable[[], None], is_marked: bool | None, silence_s: float
) -> str:
    """Listen to BTCUSDT while the script runs, until the connection is lost; return why it was."""

    async def run() -> str:
        async with open_venue(VenueAddress("binance", live.url, QUICK), [str(BTC)]) as venue:
            markets = [venue.market(str(BTC))]
            stream = CandleStream(venue.stream_exchange(markets), markets, "1m", heard.hearer, silence_s)
            scripted = asyncio.get_running_loop().run_in_executor(threads, script)
            with pytest.raises(StreamLostError) as lost:
                await stream.run(is_marked)
            await scripted
            return str(lost.value)

    with ThreadPoolExecutor(1) as threads:
        return asyncio.run(run())


def test_a_marked_candle_is_taken_as_the_venue_says(live: StreamingVenue) -> None:
    """Only the message with x true is a bar: its numbers are those of the message, and its event time is passed on."""
    heard = Heard()

    def script() -> None:
        wait_until(live.is_listened_to)
        live.send_candle(minute(100), is_closed=False)
        live.advance_to(minute(101, 7))
        wait_until(lambda: heard.closed)
        live.drop()

    reason = listen(live, heard, script, None, 20)
    assert heard.closed == [[minute(100), 200.0, 201.0, 199.0, 200.5, 2.5]]
    assert sorted(set(heard.times)) == [minute(100, 30_000), minute(101, 7)]
    assert heard.connections == 1
    assert "no candle" not in reason


def test_an_unmarked_candle_is_closed_when_a_later_one_comes(live: StreamingVenue) -> None:
    """The first candle began before the connection did, so its values may be a part: it is left to REST."""
    heard = Heard()

    def script() -> None:
        wait_until(live.is_listened_to)
        live.send_candle(minute(100), is_closed=False)
        wait_until(lambda: heard.times)  # what comes together with it would be a part too
        for number in (100, 101, 101, 102, 103):
            live.send_candle(minute(number), is_closed=False)
        wait_until(lambda: len(heard.closed) == 2)
        live.drop()

    listen(live, heard, script, False, 20)
    assert [row[0] for row in heard.closed] == [minute(101), minute(102)]
    assert heard.closed[0][1:] == [201.0, 202.0, 200.0, 201.5, 2.5]
    assert max(heard.times) == minute(103)


def test_silence_ends_a_connection(live: StreamingVenue) -> None:
    """It stands, it is subscribed, and brings nothing."""
    reason = listen(live, Heard(), lambda: wait_until(live.is_listened_to), None, 0.5)
    assert reason == "no candle came for 0.5 s"


def test_a_refused_handshake_names_the_status(live: StreamingVenue) -> None:
    """The venue has no websockets at this address."""
    live.refused = 404
    assert "404" in listen(live, Heard(), lambda: None, None, 5)


@pytest.mark.parametrize("kline", [{}, {"s": "BTCUSDT", "x": True, "t": "soon"}, None])
def test_an_unreadable_candle_is_passed_over(live: StreamingVenue, kline: object) -> None:
    """A message in another form is logged, and the next good one is taken."""
    heard = Heard()

    def script() -> None:
        wait_until(live.is_listened_to)
        live.send({"e": "kline", "E": minute(100), "s": "BTCUSDT", "k": kline})
        live.advance_to(minute(101, 7))
        wait_until(lambda: heard.closed)
        live.drop()

    listen(live, heard, script, None, 20)
    assert [row[0] for row in heard.closed] == [minute(100)]
