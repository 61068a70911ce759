"""Asks a bot over Freqtrade's REST API how it is and what it has traded; it only reads."""

import math
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from pydantic import SecretStr

from monitoring.chain.books import BotBook, BotTrade
from monitoring.facts import BotHealth
from monitoring.sources.freqtrade_trades import CLOCKS_APART, ClosedTrades, read_time, read_trade
from schemas.bot.trade_facts import money
from schemas.errors import InputError, QuantFlowError
from schemas.settings import Settings

_LOG_LINES = 300
_TRADER_STOPPED = 502  # what a question about trades is answered with while it is
# ccxt's sentence of a refused request is "binance 429 Too Many Requests {...}"; Freqtrade repeats it in its warnings.
_RATE_LIMITED = re.compile(r"\b(429|418) [A-Z]|too many requests|too much request weight|rate.?limit", re.IGNORECASE)
_SPEAKS_OF_REQUESTS = ("freqtrade.exchange", "freqtrade.freqtradebot", "freqtrade.worker", "freqtrade.wallets")


class BotApiError(QuantFlowError):
    """A bot's REST API did not answer, or refused."""

    exit_code = 4


class BotApi:
    """One bot's REST API, asked over one connection that is kept.

    Parameters
    ----------
    url : str
        Where it listens: `http://127.0.0.1:8080`.
    user, password : str, SecretStr
        Of the block `api_server` in the bot's config.
    timeout_s : float
        How long one answer is waited for.
    transport : httpx.BaseTransport, optional
        Stands in for the network.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: SecretStr,
        *,
        timeout_s: float = 2.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not re.fullmatch(r"https?://[^/@\s]+/?", url):
            raise InputError(f"Freqtrade's address must look like http://127.0.0.1:8080, found {url!r}.")
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v1",
            auth=(user, password.get_secret_value()),
            timeout=timeout_s,
            transport=transport,
        )
        self._closed = ClosedTrades(self._get)
        self._lock = threading.Lock()  # two strategies of one bot may be reconciled at once

    @classmethod
    def of(cls, settings: Settings, url: str) -> "BotApi":
        """Return the API at an address, with user and password of the settings.

        Raises
        ------
        InputError
            Where there is no password.
        """
        if settings.freqtrade_password is None:
            raise InputError(
                "Freqtrade's REST API wants a password: set QUANTFLOW_FREQTRADE_USER and QUANTFLOW_FREQTRADE_PASSWORD "
                "in the environment or in .env to what the block api_server of the bot's config says."
            )
        return cls(url, settings.freqtrade_user, settings.freqtrade_password)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def health(self) -> BotHealth:
        """Return what the bot says of itself; it never raises: what did not answer is told in `error`."""
        try:
            with self._reading():
                return self._health()
        except BotApiError as error:
            return BotHealth(ping_ms=None, error=str(error))

    def trades(self, since: datetime, until: datetime) -> list[BotTrade]:
        """Return all open trades that began before `until`, and those closed from `since` on, by their number.

        Raises
        ------
        BotApiError
            Where the API does not answer or refuses.
        """
        with self._lock, self._reading():
            return self._trades(since, until)

    def book(self, since: datetime, until: datetime) -> BotBook:
        """Return the trades of a stretch of time, and what all closed trades left; see `trades`."""
        with self._lock, self._reading():
            trades = self._trades(since, until)
            return BotBook(tuple(trades), self._closed.dust())

    def _health(self) -> BotHealth:
        began = time.monotonic()
        self._get("/ping")
        ping_ms = (time.monotonic() - began) * 1000
        config = self._get("/show_config")
        last = self._get("/health").get("last_process")
        currency = str(config.get("stake_currency", ""))
        return BotHealth(
            ping_ms=ping_ms,
            state=config.get("state"),
            last_process=datetime.fromisoformat(last).astimezone(UTC) if last else None,
            stake_quote=_amount(config.get("stake_amount")),
            free_quote=self._free(currency),
            stake_currency=currency or None,
            open_trades=_count(self._told("/count").get("current")),
            max_open_trades=_count(config.get("max_open_trades")),
            rate_limited_at=self._rate_limited_at(),
        )

    def _trades(self, since: datetime, until: datetime) -> list[BotTrade]:
        open_trades = self._open_trades()
        found = {trade.trade_id: trade for trade in self._closed.since(since - CLOCKS_APART)}
        found |= {trade.trade_id: trade for trade in open_trades if trade.trade_id not in found}
        return [found[number] for number in sorted(found) if found[number].opened_at < until]

    def _open_trades(self) -> list[BotTrade]:
        """Freqtrade answers 'none' where it failed to read them, too: its count tells the two apart."""
        for _ in range(2):  # between the two questions one may open or close
            trades = [read_trade(one) for one in self._get("/status")]
            count = len(trades) if trades else self._get("/count").get("current")
            if count == len(trades):
                return trades
        raise BotApiError(f"Freqtrade at {self.url} counts {count} open trades and does not tell them.")

    def _free(self, currency: str) -> Decimal | None:
        balances = self._told("/balance").get("currencies")
        if balances is None:
            return None
        own = [one for one in balances if one.get("currency") == currency]
        return _amount(own[0].get("free")) if own else Decimal(0)

    def _rate_limited_at(self) -> tuple[datetime, ...]:
        lines = self._told("/logs", limit=_LOG_LINES).get("logs", ())
        return tuple(sorted(read_time(line[1]) for line in lines if _tells_of_a_limit(line)))

    def _told(self, path: str, **query: Any) -> Mapping[str, Any]:
        """Return an answer, or nothing where it is not given: a bot that is stopped does not count its trades."""
        try:
            answer: Mapping[str, Any] = self._get(path, **query)
        except BotApiError:
            return {}
        return answer

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn an answer that is not as Freqtrade's are into a sentence."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise BotApiError(f"{self.url} does not answer as Freqtrade's REST API does ({what:.80}).") from None

    def _get(self, path: str, **query: Any) -> Any:
        try:
            answer = self._client.get(path, params=query)
            answer.raise_for_status()
            return answer.json()
        except httpx.HTTPStatusError as error:
            raise BotApiError(self._refusal(error.response)) from None
        except httpx.TimeoutException:
            raise BotApiError(f"Freqtrade at {self.url} did not answer {path} in time.") from None
        except (httpx.HTTPError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BotApiError(f"Freqtrade at {self.url} did not answer: {reason}.") from None

    def _refusal(self, answer: httpx.Response) -> str:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return (
                f"Freqtrade at {self.url} refused this user: set QUANTFLOW_FREQTRADE_USER and "
                "QUANTFLOW_FREQTRADE_PASSWORD to what the block api_server of the bot's config says."
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return f"At {self.url} there is no REST API of Freqtrade. Is it the address of the block api_server?"
        if answer.status_code == _TRADER_STOPPED:
            return f"Freqtrade at {self.url} does not answer questions about trades: it may be stopped."
        return f"Freqtrade at {self.url} answered with the status {answer.status_code}."


def _tells_of_a_limit(line: list[Any]) -> bool:
    _, _, logger, level, text = line
    return level in ("WARNING", "ERROR") and logger.startswith(_SPEAKS_OF_REQUESTS) and bool(_RATE_LIMITED.search(text))


def _amount(value: object) -> Decimal | None:
    """Return an amount of money; None for 'unlimited', or where nothing is told."""
    try:
        return money(float(str(value)))
    except ValueError:
        return None


def _count(value: object) -> int | None:
    """Return a number of trades; None where it is not told, -1 or infinite."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)
