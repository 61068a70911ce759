"""An account at a venue is asked with questions alone, over one client; refusals become facts and sentences."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ccxt
import httpx
import pytest
from pydantic import SecretStr

from monitoring.facts import VenueHealth
from monitoring.sources.venue_account import VenueAccount, VenueKeys, VenueLimits
from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET
from quantflow_nodes.freqtrade_folder import local_exchange
from quantflow_nodes.programs import Venue, running_venue
from schemas.errors import InputError, VenueError

pytestmark = pytest.mark.venue
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAIR = "BTC/USDT"


class Recorder:
    """Stands between an account and the venue: passes requests on and keeps their method and path."""

    def __init__(self, url: str) -> None:
        self.asked: list[tuple[str, str]] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def pass_on(self) -> None:
                recorder.asked.append((self.command, urlsplit(self.path).path))
                headers = {"X-MBX-APIKEY": self.headers["X-MBX-APIKEY"]} if self.headers["X-MBX-APIKEY"] else {}
                answer = httpx.request(self.command, url + self.path, headers=headers)
                self.send_response(answer.status_code)
                for name in ("content-type", "retry-after"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue at which three orders were placed: two that executed, one that waits."""
    with running_venue(["--bars", "synthetic", "--deposit", "USDT=10000", "--faults"]) as started:
        config: dict[str, Any] = local_exchange(started.url, [PAIR])["ccxt_config"]
        hand = ccxt.binance({"apiKey": PAPER_KEY, "secret": PAPER_SECRET, **config})
        hand.create_order(PAIR, "market", "buy", 0.02)
        hand.create_order(PAIR, "market", "sell", 0.01)
        hand.create_order(PAIR, "limit", "buy", 0.01, 10_000)
        yield started


@pytest.fixture
def recorder(venue: Venue) -> Iterator[Recorder]:
    started = Recorder(venue.url)
    yield started
    httpx.delete(f"{venue.url}/control/faults")
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def account(recorder: Recorder) -> Iterator[VenueAccount]:
    keys = VenueKeys("binance", SecretStr(PAPER_KEY), SecretStr(PAPER_SECRET), recorder.url)
    opened = VenueAccount(keys, lambda: NOW)
    yield opened
    opened.close()


def limits(venue: Venue, status: int) -> None:
    fault = {"kind": "rate_limit", "status": status, "retry_after_s": 60, "count": 1}
    assert httpx.post(f"{venue.url}/control/faults", json=fault).status_code == 201


def whole(account: VenueAccount) -> Any:
    return account.book([PAIR], datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def test_orders_holdings_and_steps_are_the_venues_own(account: VenueAccount) -> None:
    """To the last digit, with what waits and what is locked by it."""
    book = whole(account)
    bought, sold, waiting = book.orders
    assert (bought.side, bought.amount, bought.is_open) == ("buy", Decimal("0.02"), False)
    assert (sold.side, sold.amount) == ("sell", Decimal("0.01"))
    assert (waiting.amount, waiting.is_open) == (0, True)
    assert book.holdings is not None
    assert book.holdings["BTC"] == Decimal("0.00998")  # 0.1 % of what was bought was kept
    free = Decimal(10_000) - bought.cost + sold.cost * Decimal("0.999")
    assert abs(book.holdings["USDT"] - free) < Decimal("1e-7")
    assert book.steps == {PAIR: Decimal("0.00001")}


def test_only_questions_are_sent(account: VenueAccount, recorder: Recorder) -> None:
    """A key that may only read is enough: four addresses, all by GET; markets are loaded once."""
    for _ in range(2):
        assert account.health().error is None
        whole(account)
    assert {method for method, _ in recorder.asked} == {"GET"}
    paths = [path for _, path in recorder.asked]
    assert set(paths) == {f"/api/v3/{name}" for name in ("time", "exchangeInfo", "allOrders", "account")}
    assert paths.count("/api/v3/exchangeInfo") == 1


@pytest.mark.parametrize("status", [429, 418])
def test_a_limit_is_a_fact_and_is_kept_to(account: VenueAccount, recorder: Recorder, venue: Venue, status: int) -> None:
    """It is told with its time, and nothing more is asked before the venue's time is over: who goes on is banned."""
    assert account.health().rate_limited_at is None
    limits(venue, status)
    limited = account.health()
    assert (limited.rate_limited_at, limited.error) == (NOW, None)
    assert limited.ping_ms is not None
    asked = len(recorder.asked)
    assert account.health() == VenueHealth(None, NOW)  # nothing is sent: neither heard nor silent
    with pytest.raises(VenueError, match=r"binance limits our requests: it is asked again in (60|59) s"):
        whole(account)
    assert len(recorder.asked) == asked


def test_what_one_was_refused_is_known_to_all(account: VenueAccount, recorder: Recorder, venue: Venue) -> None:
    """Orders are asked over another client than the venue's health: a limit of one is a fact of the other."""
    limits_of_both = VenueLimits()
    keys = VenueKeys("binance", SecretStr(PAPER_KEY), SecretStr(PAPER_SECRET), recorder.url)
    asks_orders, asks_health = (VenueAccount(keys, lambda: NOW, limits_of_both) for _ in range(2))
    whole(asks_orders)
    limits(venue, 429)
    with pytest.raises(VenueError, match="limits our requests and did not give its orders"):
        whole(asks_orders)
    asked = len(recorder.asked)
    assert asks_health.health() == VenueHealth(None, NOW)
    assert len(recorder.asked) == asked
    asks_orders.close()
    asks_health.close()


@pytest.mark.parametrize(
    ("key", "secret"), [(PAPER_KEY, "of-another-key"), ("of-nobody", PAPER_SECRET)], ids=["secret", "key"]
)
def test_wrong_keys_are_a_sentence(venue: Venue, key: str, secret: str) -> None:
    """No JSON, no address, no key: what the venue said, and which settings are meant."""
    account = VenueAccount(VenueKeys("binance", SecretStr(key), SecretStr(secret), venue.url))
    with pytest.raises(VenueError) as caught:
        whole(account)
    told = str(caught.value)
    assert told.startswith("binance refused the keys and did not give its orders: ")
    assert "QUANTFLOW_EXCHANGE_KEY and QUANTFLOW_EXCHANGE_SECRET must be a pair" in told
    assert not any(part in told for part in ("{", "http", "signature=", "of-another-key", "of-nobody"))
    account.close()


def test_a_venue_that_is_away_is_a_fact(tmp_path: Path) -> None:
    """Nobody listens at port 9."""
    account = VenueAccount(VenueKeys("binance", SecretStr("k"), SecretStr("s"), "http://127.0.0.1:9"))
    health = account.health()
    assert health.ping_ms is None
    assert health.error == "binance did not answer at 127.0.0.1:9: it did not give its time."
    account.close()


def test_without_keys_only_its_health_is_known(venue: Venue) -> None:
    """The time is told to everybody, orders to the account's owner."""
    keys = VenueKeys("binance", url=venue.url)
    account = VenueAccount(keys)
    assert account.health().error is None
    with pytest.raises(VenueError, match="set QUANTFLOW_EXCHANGE_KEY"):
        whole(account)
    with pytest.raises(InputError, match="set QUANTFLOW_EXCHANGE_KEY"):
        keys.check()
    account.close()


def test_a_pair_that_the_venue_does_not_trade_is_named(account: VenueAccount) -> None:
    """Perhaps it is not the exchange of this bot."""
    with pytest.raises(VenueError, match="binance does not trade NOT/THERE"):
        account.book(["NOT/THERE"], NOW, NOW)


def test_an_exchange_that_ccxt_does_not_know_is_refused() -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match="ccxt knows no exchange 'binanze'"):
        VenueAccount(VenueKeys("binanze"))


def test_the_keys_of_no_account_are_in_what_is_shown() -> None:
    """Keys print as stars, as all secrets do."""
    shown = repr(VenueKeys("binance", SecretStr("the-key"), SecretStr("the-secret")))
    assert "the-" not in json.dumps(shown)
