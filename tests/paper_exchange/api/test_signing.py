"""Signatures and times are checked as rest-api.md, "SIGNED Endpoint security" and "Timing security", document them.

The examples with their key, secret and signatures are the documentation's own ("SIGNED Endpoint Examples for POST
/api/v3/order", "SIGNED request example (HMAC)" of web-socket-api.md).
"""

from typing import Any

import pytest
from signed_tools import ANN, NOW_MS, WALL_MS, Client, flat_venue, hexdigest, refusal

from paper_exchange.api.query import Query
from paper_exchange.api.signing import (
    ServerTime,
    check_fresh,
    check_signature,
    message_payload,
    read_signed,
    request_payload,
    signature_of,
)
from paper_exchange.errors import ApiError

SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ORDER = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
ORDER_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
WIDE_ORDER = ORDER.replace(b"LTCBTC", b"%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96")
WIDE_SIGNATURE = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
AHEAD = "Timestamp for this request was 1000ms ahead of the server's time."
LATE = "Timestamp for this request is outside of the recvWindow."


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (ORDER, b"", ORDER_SIGNATURE),
        (b"", ORDER, ORDER_SIGNATURE),
        (WIDE_ORDER, b"", WIDE_SIGNATURE),
        # The documented mixed example: nothing stands between query string and body.
        (ORDER[:58], ORDER[58:], ORDER_SIGNATURE),
    ],
)
def test_the_documented_requests_have_the_documented_signatures(query: bytes, body: bytes, signature: str) -> None:
    """Whichever part holds the parameters, and whichever holds the signature, in either case of letters."""
    signed = b"&signature=" + signature.encode()
    for sent in ((query + signed, body), (query, body + signed), (b"signature=x&" + query, body)):
        check_signature(SECRET, request_payload(*sent), signature)
        check_signature(SECRET, request_payload(*sent), signature.upper())


def test_the_documented_messages_have_the_documented_signatures() -> None:
    """Parameters by name, as UTF-8 and not percent-encoded."""
    params = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "recvWindow": "100",
        "timestamp": "1645423376532",
        "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        "signature": "anything",
    }
    assert signature_of(SECRET, message_payload(params)) == (
        "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    )
    wide = params | {
        "symbol": "１２３４５６",
        "side": "BUY",
        "quantity": "1.00000000",
        "price": "0.10000000",
        "recvWindow": "5000",
    }
    assert signature_of(SECRET, message_payload(wide)) == (
        "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
    )


def test_a_changed_byte_breaks_the_signature() -> None:
    """So does the same order with its parameters in another order: the bytes are signed, not their meaning."""
    for payload in (ORDER.replace(b"quantity=1", b"quantity=2"), b"&".join(reversed(ORDER.split(b"&")))):
        with pytest.raises(ApiError) as caught:
            check_signature(SECRET, payload, ORDER_SIGNATURE)
        assert (caught.value.code, caught.value.msg) == (-1022, "Signature for this request is not valid.")


@pytest.mark.parametrize(
    ("age_us", "window", "reason"),
    [
        (0, None, None),
        (5_000_000, None, None),
        (5_000_001, None, LATE),
        (60_000_000, "60000", None),
        (6_000_346, "6000.346", None),
        (6_000_347, "6000.346", LATE),
        (-999_999, None, None),
        (-1_000_000, None, AHEAD),
    ],
)
def test_a_request_is_fresh_within_its_window(age_us: int, window: str | None, reason: str | None) -> None:
    """timestamp < serverTime + 1 second and serverTime - timestamp <= recvWindow, to the microsecond."""
    now_us = 1_700_000_000_000_000
    sent = {"timestamp": str(now_us - age_us), "signature": "a" * 64}
    signed = read_signed(Query.of(sent if window is None else sent | {"recvWindow": window}))
    if reason is None:
        check_fresh(signed, [ServerTime(now_us)])
        return
    with pytest.raises(ApiError) as caught:
        check_fresh(signed, [ServerTime(now_us)])
    assert (caught.value.code, caught.value.msg) == (-1021, reason)


def test_a_fast_clock_gives_a_request_as_much_real_time() -> None:
    """At 60 times the speed, 5 real seconds are 300 of the venue's; the wall's clock need not fit."""
    wall = ServerTime(1_700_000_000_000_000)
    venue = ServerTime(1_640_995_200_000_000, speed=60)
    signed = read_signed(Query.of({"timestamp": str(1_640_995_200_000 - 299_000), "signature": "a" * 64}))
    check_fresh(signed, [wall, venue])
    with pytest.raises(ApiError, match="outside"):
        check_fresh(signed, [wall, ServerTime(venue.now_us)])


def ask(params: str, key: str | None = ANN.api_key, sign: bool = True) -> tuple[int, int, str]:
    """What the venue says to GET /api/v3/account with a query string."""
    query = f"{params}&signature={hexdigest('ann-secret', params)}" if sign else params
    headers = {} if key is None else {"X-MBX-APIKEY": key}
    return refusal(Client(flat_venue()).send("GET", f"/api/v3/account?{query}", **headers))


@pytest.mark.parametrize(
    ("sent", "status", "code", "msg"),
    [
        ({"params": f"timestamp={WALL_MS}", "key": None}, 401, -2014, "API-key format invalid."),
        ({"params": f"timestamp={WALL_MS}", "key": "a key"}, 401, -2014, "API-key format invalid."),
        (
            {"params": f"timestamp={WALL_MS}", "key": "nobody"},
            401,
            -2015,
            "Invalid API-key, IP, or permissions for action.",
        ),
        (
            {"params": "recvWindow=5000"},
            400,
            -1102,
            "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
        ),
        (
            {"params": f"timestamp={WALL_MS}", "sign": False},
            400,
            -1102,
            "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.",
        ),
        (
            {"params": f"timestamp={WALL_MS}&signature=no", "sign": False},
            400,
            -1100,
            "Illegal characters found in parameter 'signature'; legal range is '^[A-Fa-f0-9]{64}$'.",
        ),
        (
            {"params": f"timestamp={WALL_MS}&signature={'0' * 64}", "sign": False},
            400,
            -1022,
            "Signature for this request is not valid.",
        ),
        ({"params": f"timestamp={WALL_MS - 5001}"}, 400, -1021, LATE),
        ({"params": f"timestamp={WALL_MS + 1000}"}, 400, -1021, AHEAD),
        (
            {"params": f"timestamp={WALL_MS}&recvWindow=60001"},
            400,
            -1102,
            "'recvWindow' contains unexpected value. Cannot be greater than 60000.",
        ),
        (
            {"params": f"timestamp={WALL_MS}&recvWindow=1.2345"},
            400,
            -1100,
            "Illegal characters found in parameter 'recvWindow'; legal range is '^[0-9]{1,20}(\\.[0-9]{1,3})?$'.",
        ),
        (
            {"params": f"timestamp={WALL_MS}&foo=1"},
            400,
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
        ),
    ],
)
def test_what_is_wrong_with_a_signed_request_is_named(sent: dict[str, Any], status: int, code: int, msg: str) -> None:
    """Codes and words of errors.md; a key that is refused is HTTP 401."""
    assert ask(**sent) == (status, code, msg)


def test_the_venues_own_time_is_fresh_too() -> None:
    """A client that lives in a replay's time signs with it; microseconds do as well."""
    client = Client(flat_venue())
    for timestamp in (WALL_MS, WALL_MS * 1000, NOW_MS, NOW_MS * 1000):
        assert client.ask("GET", "account", timestamp=timestamp).status_code == 200


def test_parameters_may_be_split_between_query_string_and_body() -> None:
    """The payload is both, joined; where both have a parameter, the query string's counts."""
    client = Client(flat_venue())
    query = f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&timestamp={WALL_MS}"
    body = "timeInForce=GTC&quantity=2&price=99"
    signature = hexdigest("ann-secret", query + body)
    headers = {"X-MBX-APIKEY": "ann-key", "Content-Type": "application/x-www-form-urlencoded"}
    for sent in ((f"{query}&signature={signature}", body), (query, f"{body}&signature={signature}")):
        response = client.send("POST", f"/api/v3/order?{sent[0]}", sent[1], **headers)
        assert response.status_code == 200, response.text
        assert response.json()["origQty"] == "1.00000000"


def test_no_secret_is_shown_by_an_account() -> None:
    """Not in its text, which ends up in logs and traces."""
    assert "ann-secret" not in repr(ANN)
    assert "ann-secret" not in str(ANN)
