"""A bot's REST API, as Freqtrade 2026.9 answers it: read with few questions, and told in sentences where it fails."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from monitoring.sources.freqtrade_api import BotApi, BotApiError
from schemas.errors import InputError
from schemas.settings import Settings

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
URL = "http://127.0.0.1:8080"
LONG_AGO = NOON - timedelta(days=365)


def ms(minute: float) -> int:
    return round((NOON + timedelta(minutes=minute)).timestamp() * 1000)


def order(order_id: str, side: str, filled: float, minute: float, **more: Any) -> dict[str, Any]:
    """As /status and /trades tell it."""
    times = {"order_timestamp": ms(minute), "order_filled_timestamp": ms(minute)}
    return {"order_id": order_id, "ft_order_side": side, "filled": filled, "is_open": False, **times, **more}


def trade(number: int, minute: float, *, is_open: bool = False, **more: Any) -> dict[str, Any]:
    """Bought 0.02216, of which 0.00002216 was kept as the fee; unless it is open, 0.02213 was sold a minute later."""
    bought = order(f"{number}1", "buy", 0.02216, minute, ft_fee_base=0.00002216, ft_order_tag="s@2022-01-15T12:00Z#1")
    sold = order(f"{number}2", "sell", 0.02213, minute + 1)
    told = {
        "trade_id": number, "pair": "BTC/USDT", "is_open": is_open, "is_short": False, "amount": 0.02213,
        "enter_tag": "s@2022-01-15T12:00Z#1", "exit_reason": None if is_open else "roi", "open_timestamp": ms(minute),
        "close_timestamp": None if is_open else ms(minute + 1), "orders": [bought] if is_open else [bought, sold],
        "fee_open": 0.001, "fee_open_currency": "BTC", "fee_close": 0.001, "fee_close_currency": "USDT",
    }  # fmt: skip
    return told | more


class Freqtrade:
    """Answers like the API of a bot, from what a test puts in; `asked` logs the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open: list[dict[str, Any]] = []
        self.closed: list[dict[str, Any]] = []  # oldest first
        self.counted: int | None = None
        self.logs: list[list[Any]] = []
        self.config: dict[str, Any] = {
            "state": "running", "stake_currency": "USDT", "stake_amount": "1000.0", "max_open_trades": 3.0,
        }  # fmt: skip
        self.broken: dict[str, httpx.Response | Exception] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        self.asked.append(path)
        broken = self.broken.get(path)
        if isinstance(broken, Exception):
            raise broken
        if broken is not None:
            return broken
        scheme, _, user = request.headers["authorization"].partition(" ")
        if path != "/ping" and (scheme, b64decode(user)) != ("Basic", b"freqtrader:right"):
            return httpx.Response(401, json={"detail": "Unauthorized"})
        return httpx.Response(200, json=self.answer(path, request.url.params))

    def answer(self, path: str, query: Any) -> Any:
        if path == "/trades":
            newest = sorted(self.closed, key=lambda one: -one["close_timestamp"])
            offset, limit = int(query["offset"]), int(query["limit"])
            assert query["order_by_id"] == "false"
            return {"trades": newest[offset : offset + limit], "total_trades": len(newest)}
        return {
            "/ping": {"status": "pong"},
            "/health": {"last_process": "2022-01-15T12:00:01.250000Z", "last_process_ts": 1642248001},
            "/show_config": self.config,
            "/balance": {"currencies": [{"currency": "BTC", "free": 1.0}, {"currency": "USDT", "free": 250.5}]},
            "/count": {"current": len(self.open) if self.counted is None else self.counted, "max": 3},
            "/logs": {"logs": self.logs},
            "/status": self.open,
        }[path]


@pytest.fixture
def freqtrade() -> Freqtrade:
    return Freqtrade()


RIGHT = "right"


def api(freqtrade: Freqtrade, password: str = RIGHT) -> BotApi:
    return BotApi(URL, "freqtrader", SecretStr(password), transport=httpx.MockTransport(freqtrade))


def test_health_tells_what_the_next_entry_needs(freqtrade: Freqtrade) -> None:
    """State, last loop, stake, what is free, and how many trades there may be."""
    health = api(freqtrade).health()
    assert health.ping_ms is not None
    assert (health.state, health.error) == ("running", None)
    assert health.last_process == NOON + timedelta(seconds=1.25)
    assert (health.stake_quote, health.free_quote, health.stake_currency) == (Decimal(1000), Decimal("250.5"), "USDT")
    assert (health.open_trades, health.max_open_trades) == (0, 3)


def test_what_has_no_number_is_none(freqtrade: Freqtrade) -> None:
    """An unlimited stake, any number of trades, and a bot that has not looped yet."""
    freqtrade.config |= {"stake_amount": "unlimited", "max_open_trades": -1}
    freqtrade.broken["/health"] = httpx.Response(200, json={"last_process": None})
    health = api(freqtrade).health()
    assert (health.stake_quote, health.max_open_trades, health.last_process) == (None, None, None)


def test_a_stopped_bot_is_alive(freqtrade: Freqtrade) -> None:
    """It refuses to count trades; the rest is told."""
    freqtrade.config["state"] = "stopped"
    freqtrade.broken["/count"] = httpx.Response(502, json={"error": "Error querying /api/v1/count: not running"})
    health = api(freqtrade).health()
    assert (health.state, health.open_trades, health.error) == ("stopped", None, None)


@pytest.mark.parametrize(
    ("path", "broken", "sentence"),
    [
        ("/ping", httpx.ConnectError("Connection refused"), "did not answer: Connection refused."),
        ("/ping", httpx.ReadTimeout("timed out"), "did not answer /ping in time."),
        ("/ping", httpx.Response(404), "there is no REST API of Freqtrade"),
        ("/ping", httpx.Response(200, text="<html>"), "did not answer: "),
        ("/show_config", httpx.Response(500), "answered with the status 500."),
        ("/show_config", httpx.Response(200, json=["of", "another", "program"]), "does not answer as Freqtrade's"),
        ("/health", httpx.Response(200, json={"last_process": "yesterday"}), "does not answer as Freqtrade's"),
    ],
)
def test_health_never_raises(freqtrade: Freqtrade, path: str, broken: Any, sentence: str) -> None:
    """Whatever goes wrong is a sentence in the facts."""
    freqtrade.broken[path] = broken
    health = api(freqtrade).health()
    assert health.ping_ms is None
    assert health.error is not None
    assert sentence in health.error


def test_a_wrong_password_is_a_sentence_without_it(freqtrade: Freqtrade) -> None:
    """It names the settings, and never the value."""
    health = api(freqtrade, "of-another-bot").health()
    assert health.error is not None
    assert "set QUANTFLOW_FREQTRADE_USER and QUANTFLOW_FREQTRADE_PASSWORD" in health.error
    assert "of-another-bot" not in health.error


def test_limits_are_read_from_the_log(freqtrade: Freqtrade) -> None:
    """Lines as Freqtrade wrote them at 429 and 418; its talk of backing off counts no second time."""
    teapot = 'fetch_l2_order_book() returned exception: "binance 418 I\'m a Teapot {...}". Giving up.'
    freqtrade.logs = [
        ["", ms(1), "freqtrade.worker", "INFO", "Bot heartbeat. PID=429, version='2026.9', state='RUNNING'"],
        ["", ms(2), "freqtrade.exchange.common", "WARNING", 'x() returned exception: "binance 429 Too Many Requests"'],
        ["", ms(2.1), "freqtrade.exchange.common", "INFO", "Applying DDosProtection backoff delay: 1"],
        [
            "",
            ms(3),
            "freqtrade.freqtradebot",
            "WARNING",
            "Unable to exit trade BTC/USDT: binance 429 Too Many Requests",
        ],
        ["", ms(4), "freqtrade.exchange.common", "WARNING", teapot],
        ["", ms(5), "freqtrade.freqtradebot", "WARNING", "Unable to exit trade BTC/USDT: insufficient balance"],
    ]
    assert api(freqtrade).health().rate_limited_at == tuple(NOON + timedelta(minutes=at) for at in (2, 3, 4))


def test_trades_are_told_with_their_orders(freqtrade: Freqtrade) -> None:
    """Open and closed ones, in decimals, with the signal's tag; a closed trade's own reason names its exit."""
    freqtrade.closed, freqtrade.open = [trade(1, 0)], [trade(2, 10, is_open=True)]
    closed, still_open = api(freqtrade).trades(NOON, NOON + timedelta(hours=1))
    assert (closed.trade_id, closed.is_open, closed.amount) == (1, False, Decimal("0.02213"))
    bought, sold = closed.orders
    assert (bought.order_id, bought.side, bought.amount) == ("11", "buy", Decimal("0.02216"))
    assert (bought.tag, sold.tag) == ("s@2022-01-15T12:00Z#1", "roi")
    assert closed.base_change == Decimal("0.00000784")  # 0.02216 − 0.00002216 − 0.02213
    assert (still_open.trade_id, still_open.is_open, len(still_open.orders)) == (2, True, 1)


def test_a_fee_that_freqtrade_ate_into_dust_is_taken_off_all_the_same(freqtrade: Freqtrade) -> None:
    """Where the account held enough, Freqtrade does not take the fee off its amount; the venue kept it though."""
    eaten = trade(1, 0)
    eaten["orders"][0]["ft_fee_base"] = None
    freqtrade.closed = [eaten]
    (told,) = api(freqtrade).trades(NOON, NOON + timedelta(hours=1))
    assert told.orders[0].fee_base == Decimal("0.00002216")


def test_the_dust_of_all_closed_trades_is_summed_and_read_once(freqtrade: Freqtrade) -> None:
    """1,200 trades of a year are three pages; the next time only the newest page is read, and new ones are added."""
    freqtrade.closed = [trade(number, -2 * number) for number in range(1200, 0, -1)]
    asking = api(freqtrade)
    book = asking.book(NOON - timedelta(hours=1), NOON)
    assert book.dust == {"BTC": 1200 * Decimal("0.00000784")}
    assert len(book.trades) == 33  # number n closed 2n − 1 minutes ago: those of the last hour and five minutes
    assert freqtrade.asked.count("/trades") == 3
    freqtrade.asked.clear()
    freqtrade.closed.append(trade(1201, 1))
    assert asking.book(NOON, NOON + timedelta(hours=1)).dust == {"BTC": 1201 * Decimal("0.00000784")}
    assert asking.book(NOON, NOON + timedelta(hours=1)).dust == {"BTC": 1201 * Decimal("0.00000784")}
    assert freqtrade.asked.count("/trades") == 2


def test_another_database_is_read_from_the_start(freqtrade: Freqtrade) -> None:
    """An older copy of it was played back: there are fewer closed trades than were counted."""
    freqtrade.closed = [trade(1, 0), trade(2, 5), trade(3, 10)]
    asking = api(freqtrade)
    assert asking.book(NOON, NOON + timedelta(hours=1)).dust == {"BTC": 3 * Decimal("0.00000784")}
    del freqtrade.closed[1:]
    assert asking.book(NOON, NOON + timedelta(hours=1)).dust == {"BTC": Decimal("0.00000784")}
    freqtrade.closed.clear()
    assert asking.book(NOON, NOON + timedelta(hours=1)).dust == {}


def test_open_trades_that_are_counted_and_not_told_are_no_answer(freqtrade: Freqtrade) -> None:
    """Freqtrade answers 'none' where it failed to read them; taken at its word, every position would differ."""
    freqtrade.counted = 2
    with pytest.raises(BotApiError, match="counts 2 open trades and does not tell them"):
        api(freqtrade).trades(NOON, NOON + timedelta(hours=1))


def test_the_order_of_a_stop_is_an_exit(freqtrade: Freqtrade) -> None:
    """Freqtrade calls its side 'stoploss'."""
    freqtrade.closed = [trade(1, 0, orders=[order("11", "buy", 1.0, 0), order("12", "stoploss", 1.0, 1)])]
    (told,) = api(freqtrade).trades(NOON, NOON + timedelta(hours=1))
    assert [(one.side, one.is_stop) for one in told.orders] == [("buy", False), ("sell", True)]


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://bot", "http://user:secret@bot:8080", "http://bot/api"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Scheme and host, and no password in it."""
    with pytest.raises(InputError, match="must look like http"):
        BotApi(url, "u", SecretStr("p"))


def test_a_bot_without_a_password_can_not_be_asked() -> None:
    """The sentence names the settings."""
    with pytest.raises(InputError, match="QUANTFLOW_FREQTRADE_PASSWORD"):
        BotApi.of(Settings.load(freqtrade_password=None), URL)
