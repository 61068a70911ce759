"""Events reach whoever listens, once and in order; who does not keep pace is given up, not waited for."""

import asyncio
import json

import pytest

from paper_exchange.api.hub import Hub, Outbox, Subscriber


def texts(outbox: Outbox) -> list[str]:
    """All that waits in an outbox."""

    async def take_all() -> list[str]:
        return [await outbox.take() for _ in range(len(outbox))]

    return asyncio.run(take_all())


def test_an_event_reaches_those_who_listen_to_its_stream() -> None:
    """Nobody else, each once however often it subscribed, in the order of publishing."""
    hub, one, other = Hub(), Subscriber(Outbox()), Subscriber(Outbox())
    hub.subscribe(one, "a@trade")
    hub.subscribe(one, "a@trade")
    hub.subscribe(other, "b@trade")
    hub.publish("a@trade", '{"n":1}')
    hub.publish("a@trade", '{"n":2}')
    hub.publish("c@trade", '{"n":3}')
    assert texts(one.outbox) == ['{"n":1}', '{"n":2}']
    assert texts(other.outbox) == []


def test_a_combined_subscriber_is_told_the_stream() -> None:
    """The wrapped form that the venue documents: {"stream": ..., "data": ...}."""
    hub, one = Hub(), Subscriber(Outbox(), combined=True)
    hub.subscribe(one, "btcusdt@trade")
    hub.publish("btcusdt@trade", '{"e":"trade"}')
    assert json.loads(texts(one.outbox)[0]) == {"stream": "btcusdt@trade", "data": {"e": "trade"}}


def test_who_has_left_hears_nothing() -> None:
    """Neither of a stream that it has left nor, once gone, of any."""
    hub, one = Hub(), Subscriber(Outbox())
    for stream in ("a@trade", "b@trade", "c@trade"):
        hub.subscribe(one, stream)
    hub.unsubscribe(one, "a@trade")
    hub.unsubscribe(one, "never@trade")
    assert list(one.streams) == ["b@trade", "c@trade"]
    hub.leave(one)
    for stream in ("a@trade", "b@trade", "c@trade"):
        hub.publish(stream, "{}")
    assert texts(one.outbox) == []


def test_the_first_listener_and_the_last_are_a_change() -> None:
    """Those between are none: the stream is told already, or still."""
    hub, one, other = Hub(), Subscriber(Outbox()), Subscriber(Outbox())
    changes: list[list[str]] = []
    hub.on_change = lambda: changes.append(sorted(hub.streams))
    hub.subscribe(one, "a@trade")
    hub.subscribe(other, "a@trade")
    hub.unsubscribe(other, "a@trade")
    hub.unsubscribe(other, "a@trade")
    assert changes == [["a@trade"]]
    hub.leave(one)
    assert changes == [["a@trade"], []]


@pytest.mark.parametrize(("text", "allowed"), [("x", 3), ("x" * 50, 2)])
def test_a_slow_reader_is_given_up(text: str, allowed: int) -> None:
    """Past three texts or a hundred characters nothing is kept for it any more."""
    outbox = Outbox(most_waiting=3, most_characters=100)
    for _ in range(allowed):
        outbox.put(text)
    assert (outbox.is_given_up, len(outbox)) == (False, allowed)
    outbox.put(text)
    outbox.put(text)
    assert (outbox.is_given_up, len(outbox)) == (True, 0)


def test_what_was_taken_no_longer_counts() -> None:
    """A reader that keeps pace may read for ever."""

    async def run() -> bool:
        outbox = Outbox(most_waiting=2, most_characters=20)
        for number in range(1000):
            outbox.put(f"event {number}")
            assert await outbox.take() == f"event {number}"
        return outbox.is_given_up

    assert asyncio.run(run()) is False


def test_a_reader_waits_for_the_next_text() -> None:
    """It gets it as soon as it is there."""

    async def run() -> str:
        outbox = Outbox()
        reading = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not reading.done()
        outbox.put("now")
        return await reading

    assert asyncio.run(run()) == "now"
