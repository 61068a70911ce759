"""Asks the venue, through ccxt, for an account's orders and holdings: the witness that our own programs can not bend.

Only questions are sent (GET), so a key that may only read is enough.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from monitoring.chain.books import VenueBook, VenueOrder, is_spot
from monitoring.facts import VenueHealth
from schemas.clock import process_clock
from schemas.errors import InputError, VenueError
from schemas.exchange_address import redirect
from schemas.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 1000
_TIMEOUT_MS = 5_000
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 900.0
_BAD_KEY = "-2015"  # Binance; ccxt calls it a limit where the same key worked before


@dataclass(frozen=True, slots=True)
class VenueKeys:
    """Which exchange, by ccxt's name, with which keys; `url` stands in for its real address."""

    exchange: str
    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    url: str | None = None

    @classmethod
    def of(cls, settings: Settings, exchange: str | None, url: str | None) -> "VenueKeys":
        """Return those of the settings; `exchange` is Binance where none is named."""
        return cls(exchange or "binance", settings.exchange_key, settings.exchange_secret, url)

    @property
    def are_complete(self) -> bool:
        """Whether there is a key and its secret."""
        return self.api_key is not None and self.secret is not None

    def check(self) -> None:
        """Raise an InputError where there are none."""
        if not self.are_complete:
            raise InputError(_NO_KEYS)


_NO_KEYS = (
    "Orders are told to the account's owner only: set QUANTFLOW_EXCHANGE_KEY and QUANTFLOW_EXCHANGE_SECRET in the "
    "environment or in .env."
)


class VenueLimitedError(VenueError):
    """The venue limits this machine or account: it is asked again when the time it named is over."""


@dataclass(slots=True)
class VenueLimits:
    """Whether a venue limits this machine, and until when it wants to be left alone: known to all that ask it."""

    noted_at: datetime | None = None
    paused_until: float = 0.0  # by a steady clock

    @property
    def left_s(self) -> float:
        """For how long nothing may be asked, in seconds."""
        return self.paused_until - time.monotonic()


class VenueAccount:
    """One account at one venue, over one client that is kept, and so loads the venue's markets once.

    Parameters
    ----------
    keys : VenueKeys
        Without keys only `health` can be asked.
    now : callable
        The time by which limits are noted, aware; by default the process's clock.
    limits : VenueLimits
        Shared by those that ask the same venue.

    Raises
    ------
    InputError
        Where ccxt knows no such exchange, or the address is none.
    """

    def __init__(
        self, keys: VenueKeys, now: Callable[[], datetime] | None = None, limits: VenueLimits | None = None
    ) -> None:
        import ccxt  # here, not above: it takes over half a second, which other commands need not pay

        if keys.exchange not in ccxt.exchanges:
            raise InputError(f"ccxt knows no exchange {keys.exchange!r}.")
        self.name = keys.exchange
        self._ccxt, self._has_keys = ccxt, keys.are_complete
        # A local venue stands for an account of its own; a real one counts what all programs of this machine ask.
        self._client = getattr(ccxt, keys.exchange)(
            {"enableRateLimit": keys.url is None, "timeout": _TIMEOUT_MS, **_secrets(keys)}
        )
        if keys.url is not None:
            redirect(self._client, keys.url)
        # What these ask for serves nobody here, and wants a key that may do more than read.
        self._client.options |= {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
        self._now = process_clock().now if now is None else now
        self._limits = VenueLimits() if limits is None else limits

    def close(self) -> None:
        """Let go of the connections."""
        self._client.session.close()

    def health(self) -> VenueHealth:
        """Return whether the venue answers, by its cheapest question; it never raises.

        A venue that limits us has answered: `rate_limited_at` is when it did so last. While it wants to be left alone
        it is not asked, and nothing is known: there is neither a ping nor an error.
        """
        if self._limits.left_s > 0:
            return VenueHealth(None, self._limits.noted_at)
        began = time.monotonic()
        try:
            with self._asking("its time"):
                self._client.fetch_time()
        except VenueLimitedError:
            pass  # it was asked, and this is its answer
        except VenueError as error:
            return VenueHealth(None, self._limits.noted_at, str(error))
        return VenueHealth((time.monotonic() - began) * 1000, self._limits.noted_at)

    def book(self, pairs: Iterable[str], since: datetime, until: datetime, *, holdings: bool = True) -> VenueBook:
        """Return all orders of some pairs placed in [since, until), oldest first in each pair, and what is held.

        Raises
        ------
        VenueError
            Where the venue does not answer or refuses, or does not trade a pair.
        """
        if not self._has_keys:
            raise VenueError(_NO_KEYS)
        wanted = list(pairs)
        with self._asking("its markets"):
            markets = self._client.load_markets()
        unknown = [pair for pair in wanted if is_spot(pair) and pair not in markets]
        if unknown:
            raise VenueError(f"{self.name} does not trade {', '.join(unknown)}. Is it the exchange of this bot?")
        wanted = [pair for pair in wanted if pair in markets]
        with self._asking("its orders"):
            orders = [order for pair in wanted for order in self._orders(pair, _ms(since), _ms(until))]
        steps = {pair: step for pair in wanted if (step := self._step(markets[pair])) is not None}
        return VenueBook(tuple(wanted), tuple(orders), self._holdings() if holdings else None, steps)

    def _holdings(self) -> dict[str, Decimal]:
        """Return what the account holds of each asset, free and locked in orders."""
        with self._asking("what the account holds"):
            balance = self._client.fetch_balance()
        return {
            asset: (Decimal(str(one.get("free") or 0)) + Decimal(str(one.get("used") or 0))).normalize()
            for asset, one in balance.items()
            if isinstance(one, dict) and asset in balance["total"]
        }

    def _orders(self, pair: str, since_ms: int, until_ms: int) -> list[VenueOrder]:
        found: dict[str, VenueOrder] = {}
        while True:
            page = [one for one in self._client.fetch_orders(pair, since_ms, _PAGE) if one["timestamp"] < until_ms]
            fresh = [order for order in page if order["id"] not in found]
            for order in fresh:
                found[order["id"]] = _order(order)
            if len(page) < _PAGE or not fresh:
                return list(found.values())
            since_ms = page[-1]["timestamp"]

    def _step(self, market: dict[str, Any]) -> Decimal | None:
        step = market["precision"].get("amount")
        if step is None:
            return None
        is_places = self._client.precisionMode != self._ccxt.TICK_SIZE
        return Decimal(1).scaleb(-int(step)) if is_places else Decimal(str(step))

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn ccxt's errors into sentences without address, signature or key; note limits, and keep to them."""
        left_s = self._limits.left_s
        if left_s > 0:
            raise VenueLimitedError(f"{self.name} limits our requests: it is asked again in {left_s:,.0f} s.")
        try:
            yield
        except self._ccxt.BaseError as error:
            raise self._sentence(error, what) from None

    def _sentence(self, error: Exception, what: str) -> VenueError:
        ccxt, text = self._ccxt, str(error)
        said = _said(text)
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded) and _BAD_KEY not in text:
            pause_s = self._note_limit()
            return VenueLimitedError(
                f"{self.name} limits our requests and did not give {what}: it is asked again in {pause_s:,.0f} s."
            )
        if isinstance(error, ccxt.AuthenticationError | ccxt.PermissionDenied) or _BAD_KEY in text:
            return VenueError(
                f"{self.name} refused the keys and did not give {what}{said}. QUANTFLOW_EXCHANGE_KEY and "
                "QUANTFLOW_EXCHANGE_SECRET must be a pair that the exchange gave out, may read, and may be used from "
                "this machine."
            )
        if isinstance(error, ccxt.InvalidNonce):
            return VenueError(f"{self.name} did not give {what}{said}. Set this machine's clock right, by NTP.")
        if isinstance(error, ccxt.NetworkError):
            where = urlsplit(str(self._client.urls["api"].get("public", ""))).netloc
            return VenueError(f"{self.name} did not answer at {where}: it did not give {what}{said}.")
        return VenueError(f"{self.name} did not give {what}{said or f': {type(error).__name__}'}.")

    def _note_limit(self) -> float:
        """Note a limit, and ask nothing until the time that the venue named is over: who goes on is banned."""
        self._limits.noted_at = self._now()
        headers = self._client.last_response_headers or {}
        named = str(headers.get("Retry-After", ""))
        pause_s = min(max(float(named) if named.isdigit() else 10.0, _LEAST_PAUSE_S), _LONGEST_PAUSE_S)
        self._limits.paused_until = time.monotonic() + pause_s
        return pause_s


def _secrets(keys: VenueKeys) -> dict[str, str]:
    given = {"apiKey": keys.api_key, "secret": keys.secret}
    return {name: value.get_secret_value() for name, value in given.items() if value is not None}


def _said(text: str) -> str:
    """Return the venue's own words out of ccxt's message, which may hold a signed address."""
    message = re.search(r'"(?:msg|message|retMsg|error)"\s*:\s*"([^"]{1,200})', text)
    return f": {message[1].rstrip('.')}" if message else ""


def _order(order: dict[str, Any]) -> VenueOrder:
    """Take amounts from the venue's own text where it is known: ccxt's numbers are floats."""
    raw = order["info"]
    placed = order["timestamp"]
    changed = [order.get("lastUpdateTimestamp"), order.get("lastTradeTimestamp"), raw.get("updateTime")]
    return VenueOrder(
        order_id=str(order["id"]),
        pair=order["symbol"],
        side=order["side"],
        amount=Decimal(str(raw.get("executedQty", order["filled"] or 0))).normalize(),
        cost=Decimal(str(raw.get("cummulativeQuoteQty", order["cost"] or 0))).normalize(),
        placed_at=_time(placed),
        updated_at=_time(max([placed, *(int(one) for one in changed if one)])),
        is_open=order["status"] == "open",
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _time(epoch_ms: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=round(epoch_ms))
