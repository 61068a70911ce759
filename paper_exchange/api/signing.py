"""Decides whether the owner of a key has made a request, just now: HMAC SHA-256 over what was sent, and its time."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paper_exchange.api.query import Query
from paper_exchange.errors import ApiError, illegal, mandatory

_LEGAL_SIGNATURE = "^[A-Fa-f0-9]{64}$"
_SIGNATURE = re.compile(r"[A-Fa-f0-9]{64}")
_LEGAL_WINDOW = r"^[0-9]{1,20}(\.[0-9]{1,3})?$"
_WINDOW = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,3}))?")
_DEFAULT_WINDOW_US = 5_000_000
_LONGEST_WINDOW_MS = 60_000
_AHEAD_US = 1_000_000
_MICROSECONDS_FROM = 10**14  # ms reach this in the year 5138; whatever is larger was sent in microseconds
_US_PER_MS = 1000


@dataclass(frozen=True, slots=True)
class ServerTime:
    """A clock that a client may have signed with.

    Parameters
    ----------
    now_us
        What it shows, in µs since 1970.
    speed
        Its seconds per real second. A request is as long on its way whatever the clock's speed, so the time that it
        may take is that much longer on this clock.
    """

    now_us: int
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signed request says of itself.

    Parameters
    ----------
    signature
        Hexadecimal digits in either case.
    timestamp_us, window_us
        When it was signed, and for how long it may be used.
    """

    signature: str
    timestamp_us: int
    window_us: int


def signature_of(secret: bytes, payload: bytes) -> str:
    """Return the signature of `payload` in small hexadecimal digits."""
    return hmac.new(secret, payload, hashlib.sha256).hexdigest()


def request_payload(query: bytes, body: bytes) -> bytes:
    """Return what the sender of an HTTP request has signed: query string and body, joined, without the signature.

    Not a byte is decoded or encoded: a sender that percent-encodes in its own way has signed its own way.
    """
    return _unsigned(query) + _unsigned(body)


def message_payload(params: Mapping[str, str]) -> bytes:
    """Return what the sender of a websocket message has signed: all parameters but the signature, by name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature").encode()


def read_signed(query: Query) -> Signed:
    """Return signature, time and window of a request.

    Raises
    ------
    ApiError
        -1102 for what is missing, -1100 for what is no signature or no number.
    """
    timestamp = query.integer("timestamp")
    if timestamp is None:
        raise mandatory("timestamp")
    window_us = _window_us(query)
    signature = query.text("signature")
    if signature is None:
        raise mandatory("signature")
    if _SIGNATURE.fullmatch(signature) is None:
        raise illegal("signature", _LEGAL_SIGNATURE)
    return Signed(signature, timestamp if timestamp >= _MICROSECONDS_FROM else timestamp * _US_PER_MS, window_us)


def check_fresh(signed: Signed, clocks: Iterable[ServerTime]) -> None:
    """Refuse a request that was signed too long ago, or in the future, by each of `clocks`.

    Raises
    ------
    ApiError
        -1021, with the reason by the clock that comes nearest to the request's time.
    """
    reasons: list[tuple[int, str]] = []
    for clock in clocks:
        pace = max(1.0, clock.speed)
        age = clock.now_us - signed.timestamp_us
        if age <= -_AHEAD_US * pace:
            reasons.append((-age, "Timestamp for this request was 1000ms ahead of the server's time."))
        elif age > signed.window_us * pace:
            reasons.append((age, "Timestamp for this request is outside of the recvWindow."))
        else:
            return
    raise ApiError(-1021, min(reasons)[1])


def check_signature(secret: bytes, payload: bytes, signature: str) -> None:
    """Refuse a request that the owner of `secret` has not signed.

    Raises
    ------
    ApiError
        -1022.
    """
    if not hmac.compare_digest(signature_of(secret, payload), signature.lower()):
        raise ApiError(-1022, "Signature for this request is not valid.")


def _unsigned(part: bytes) -> bytes:
    return b"&".join(pair for pair in part.split(b"&") if not pair.startswith(b"signature="))


def _window_us(query: Query) -> int:
    text = query.text("recvWindow")
    if text is None:
        return _DEFAULT_WINDOW_US
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise illegal("recvWindow", _LEGAL_WINDOW)
    window_us = int(found[1]) * _US_PER_MS + int((found[2] or "").ljust(3, "0"))
    if window_us > _LONGEST_WINDOW_MS * _US_PER_MS:
        raise ApiError(-1102, f"'recvWindow' contains unexpected value. Cannot be greater than {_LONGEST_WINDOW_MS}.")
    return window_us
