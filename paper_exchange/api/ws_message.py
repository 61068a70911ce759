"""Reads a message of the websocket API: what it calls itself, what it asks, and its parameters as they were signed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from paper_exchange.errors import ApiError

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Message:
    """One request.

    Parameters
    ----------
    id
        What the client calls it: a number, a text, or nothing.
    params
        As text, since that is what was signed.
    """

    id: int | str | None
    method: str
    params: Mapping[str, str]


def read_message(text: str) -> Message:
    """Return the request that a text frame holds.

    Raises
    ------
    ApiError
        -1135 where it is none.
    """
    try:
        # A number keeps the text that was sent and signed: 0.10 is not 0.1 to a signature.
        found = json.loads(text, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ApiError(-1135, "Invalid JSON Request") from None
    if not isinstance(found, dict):
        raise ApiError(-1135, "Invalid JSON Request")
    message_id, method, params = found.get("id"), found.get("method"), found.get("params") or {}
    if not _is_id(message_id):
        raise _bad_json("id")
    if not isinstance(method, str):
        raise _bad_json("method")
    if not isinstance(params, dict):
        raise _bad_json("params")
    texts = {name: _as_text(value) for name, value in params.items()}
    if not all(_is_unicode(text) for pair in texts.items() for text in pair):
        raise _bad_json("params")
    return Message(message_id, method.removeprefix("v3/"), texts)


def _is_id(value: object) -> bool:
    """Return whether an id can be sent back as it came."""
    if isinstance(value, str):
        return _is_unicode(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_ID)


def _is_unicode(text: str) -> bool:
    """Return whether `text` has no half of a surrogate pair, which JSON can escape and nobody can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(value: object) -> str:
    """Return a parameter as its sender has signed it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _no_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number.")


def _bad_json(name: str) -> ApiError:
    return ApiError(-1135, f"JSON sent for parameter '{name}' is not valid")
