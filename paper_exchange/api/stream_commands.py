"""Answers what a client sends over a market socket: subscriptions and properties, in the venue's words."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from paper_exchange.api.hub import Hub, Subscriber
from paper_exchange.api.stream_names import is_well_formed

MOST_STREAMS = 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_INT64 = range(-(2**63), 2**63)
_PLACE = re.compile(r"line (\d+) column (\d+)")


class _Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


def answer(hub: Hub, subscriber: Subscriber, text: str) -> str:
    """Do what a message asks and return the answer, as JSON."""
    message_id: object = None
    try:
        message = _message(text)
        message_id = _message_id(message)
        method = _method(message, text)
        result = _METHODS[method](hub, subscriber, message.get("params"))
        return orjson.dumps({"result": result, "id": message_id}).decode()
    except _Refusal as refusal:
        error = {"code": refusal.code, "msg": refusal.msg}
        return orjson.dumps({"error": error, "id": message_id}).decode()


def _message(text: str) -> dict[str, Any]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = _PLACE.search(str(error))
        line, column = place.groups() if place else ("1", "1")
        raise _Refusal(3, f"Invalid JSON: expected value at line {line} column {column}") from None
    if not isinstance(message, dict):
        raise _Refusal(2, "Invalid request: expected an object at line 1 column 1")
    return message


def _message_id(message: dict[str, Any]) -> object:
    given = message.get("id")
    is_integer = type(given) is int and given in _INT64
    is_name = isinstance(given, str) and _ID.fullmatch(given) is not None
    if "id" not in message or not (given is None or is_integer or is_name):
        raise _Refusal(2, "Invalid request: request ID must be an unsigned integer")
    return given


def _method(message: dict[str, Any], text: str) -> str:
    if "method" not in message:
        raise _Refusal(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    method = message["method"]
    if not isinstance(method, str) or method not in _METHODS:
        expected = ", ".join(f"`{name}`" for name in _METHODS)
        written = orjson.dumps(method).decode()
        column = max(0, text.find(written)) + len(written)
        raise _Refusal(
            2, f"Invalid request: unknown variant `{method}`, expected one of {expected} at line 1 column {column}"
        )
    return method


def _subscribe(hub: Hub, subscriber: Subscriber, params: object) -> None:
    names = _names(params)
    if len(subscriber.streams.keys() | set(names)) > MOST_STREAMS:
        raise _Refusal(2, f"Invalid request: too many subscriptions, the most is {MOST_STREAMS}")
    for name in names:
        hub.subscribe(subscriber, name)


def _unsubscribe(hub: Hub, subscriber: Subscriber, params: object) -> None:
    for name in _names(params):
        hub.unsubscribe(subscriber, name)


def _list_subscriptions(_: Hub, subscriber: Subscriber, params: object) -> list[str]:
    if params:
        raise _Refusal(2, "Invalid request: too many parameters")
    return list(subscriber.streams)


def _set_property(_: Hub, subscriber: Subscriber, params: object) -> None:
    values = _property(params, 2)
    if len(values) != 2 or not isinstance(values[1], bool):
        raise _Refusal(1, "Invalid value type: expected Boolean")
    subscriber.combined = values[1]


def _get_property(_: Hub, subscriber: Subscriber, params: object) -> bool:
    _property(params, 1)
    return subscriber.combined


def _property(params: object, most: int) -> list[object]:
    values = params if isinstance(params, list) else []
    if len(values) > most:
        raise _Refusal(2, "Invalid request: too many parameters")
    if not values or not isinstance(values[0], str):
        raise _Refusal(2, "Invalid request: property name must be a string")
    if values[0] != "combined":
        raise _Refusal(0, "Unknown property")
    return values


def _names(params: object) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _Refusal(2, "Invalid request: params must be a list of stream names")
    if not all(is_well_formed(name) for name in params):
        raise _Refusal(2, "Invalid request: invalid stream")
    return params


_METHODS: dict[str, Callable[[Hub, Subscriber, object], object]] = {
    "SUBSCRIBE": _subscribe,
    "UNSUBSCRIBE": _unsubscribe,
    "LIST_SUBSCRIPTIONS": _list_subscriptions,
    "SET_PROPERTY": _set_property,
    "GET_PROPERTY": _get_property,
}
