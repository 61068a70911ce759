"""What a client sends over a market socket is answered word for word as the venue documents it.

web-socket-streams.md of binance-spot-api-docs, "Live Subscribing/Unsubscribing to streams", as of July 2026. An error
is wrapped in `{"error": ...}`, as the venue sends it and as ccxt reads it.
"""

import json
from typing import Any

import pytest

from paper_exchange.api.hub import Hub, Outbox, Subscriber
from paper_exchange.api.stream_commands import answer


@pytest.fixture
def subscriber() -> Subscriber:
    """A socket without subscriptions."""
    return Subscriber(Outbox())


def told(subscriber: Subscriber, message: object, hub: Hub | None = None) -> Any:
    return json.loads(answer(hub or Hub(), subscriber, message if isinstance(message, str) else json.dumps(message)))


def test_subscriptions_are_taken_listed_and_ended(subscriber: Subscriber) -> None:
    """The documented requests give the documented responses."""
    hub = Hub()
    two = {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade", "btcusdt@depth"], "id": 1}
    assert answer(hub, subscriber, json.dumps(two)) == '{"result":null,"id":1}'
    assert set(hub.streams) == {"btcusdt@aggTrade", "btcusdt@depth"}
    end = {"method": "UNSUBSCRIBE", "params": ["btcusdt@depth"], "id": 312}
    assert told(subscriber, end, hub) == {"result": None, "id": 312}
    assert told(subscriber, {"method": "LIST_SUBSCRIPTIONS", "id": 3}, hub) == {"result": ["btcusdt@aggTrade"], "id": 3}
    assert set(hub.streams) == {"btcusdt@aggTrade"}


def test_the_combined_property_is_set_and_told(subscriber: Subscriber) -> None:
    """It decides the form of events."""
    assert told(subscriber, {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == {"result": False, "id": 2}
    set_it = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}
    assert told(subscriber, set_it) == {"result": None, "id": 5}
    assert told(subscriber, {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == {"result": True, "id": 2}
    assert subscriber.combined


@pytest.mark.parametrize("message_id", [1, 0, -1, 2**63 - 1, -(2**63), "abc123", "x" * 36, None])
def test_an_id_comes_back_as_it_was_sent(subscriber: Subscriber, message_id: object) -> None:
    """64-bit integers, short names and null."""
    listing = {"method": "LIST_SUBSCRIPTIONS", "id": message_id}
    assert told(subscriber, listing) == {"result": [], "id": message_id}


@pytest.mark.parametrize("message_id", [2**63, 1.5, "", "x" * 37, "a b", True, [], {}])
def test_another_id_is_refused(subscriber: Subscriber, message_id: object) -> None:
    """With the venue's message, which names what it once accepted."""
    refused = {"error": {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}, "id": None}
    assert told(subscriber, {"method": "LIST_SUBSCRIPTIONS", "id": message_id}) == refused
    assert told(subscriber, {"method": "LIST_SUBSCRIPTIONS"}) == refused


VARIANTS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


@pytest.mark.parametrize(
    ("message", "code", "msg"),
    [
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0, "Unknown property"),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0, "Unknown property"),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, "Invalid value type: expected Boolean"),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1, "Invalid value type: expected Boolean"),
        ({"method": "GET_PROPERTY", "params": [7], "id": 1}, 2, "Invalid request: property name must be a string"),
        ({"method": "GET_PROPERTY", "id": 1}, 2, "Invalid request: property name must be a string"),
        (
            '{"method":"SUBSCRIBED","id":1}', 2,
            f"Invalid request: unknown variant `SUBSCRIBED`, expected one of {VARIANTS} at line 1 column 22",
        ),
        ({"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1}, 2, "Invalid request: too many parameters"),
        ({"method": "LIST_SUBSCRIPTIONS", "params": ["x"], "id": 1}, 2, "Invalid request: too many parameters"),
        ('{"params":[],"id":1}', 2, "Invalid request: missing field `method` at line 1 column 20"),
        ({"method": "SUBSCRIBE", "params": ["nonsense"], "id": 1}, 2, "Invalid request: invalid stream"),
        ({"method": "SUBSCRIBE", "params": "", "id": 1}, 2, "Invalid request: params must be a list of stream names"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_the_venues_words(
    subscriber: Subscriber, message: object, code: int, msg: str
) -> None:
    """With the id of the message, so that its sender can tell which it was; nothing has changed."""
    assert told(subscriber, message) == {"error": {"code": code, "msg": msg}, "id": 1}
    assert (subscriber.streams, subscriber.combined) == ({}, False)


@pytest.mark.parametrize("text", ["", "{", "nonsense", "\x00"])
def test_what_is_no_json_is_refused(subscriber: Subscriber, text: str) -> None:
    """Code 3; there is no id to answer to."""
    refused = told(subscriber, text)
    assert refused["error"]["code"] == 3
    assert refused["error"]["msg"].startswith("Invalid JSON: expected value at line 1 column ")
    assert refused["id"] is None


def test_a_socket_listens_to_1024_streams_and_no_more(subscriber: Subscriber) -> None:
    """One more refuses the whole message, so that none is subscribed by half."""
    names = [f"s{number}usdt@trade" for number in range(1025)]
    refused = told(subscriber, {"method": "SUBSCRIBE", "params": names, "id": 1})
    assert refused["error"]["code"] == 2
    assert len(subscriber.streams) == 0
    assert told(subscriber, {"method": "SUBSCRIBE", "params": names[:1024], "id": 2}) == {"result": None, "id": 2}
    assert told(subscriber, {"method": "SUBSCRIBE", "params": names[:5], "id": 3}) == {"result": None, "id": 3}
