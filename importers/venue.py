"""The venue as importers need it, through ccxt: its markets, its clock, its bars; patient with its faults."""

import asyncio
import difflib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import stamina
import stamina.instrumentation
import structlog

from importers.bars import EARLIEST_MS, LATEST_MS
from importers.ccxt_exchange import BINANCE_LIKE, PERPETUALS, SPOT, made_exchange
from schemas.errors import SymbolError, VenueError
from schemas.symbols import Symbol, symbol_parts

_MOST_ROWS, _USUAL_ROWS = 1000, 500
_ROW_LENGTH = 6
_LISTS = {SPOT: "spot markets", PERPETUALS: "perpetual markets"}
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried again, and how long in between; each wait is twice the one before."""

    attempts: int = 8
    first_contact_attempts: int = 3
    wait_initial_s: float = 0.25
    wait_max_s: float = 20.0
    longest_ban_s: float = 180.0


@dataclass(frozen=True, slots=True)
class VenueAddress:
    """Which exchange, by ccxt's name; where it is found instead of its real place; how patient to be with it.

    With a `url` such as 'http://127.0.0.1:8080' every address of its interface is replaced, so that nothing can reach
    the real venue.
    """

    exchange: str
    url: str | None = None
    patience: Patience = Patience()


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol at the venue, with ccxt's name for it."""

    symbol: Symbol
    pair: str


class Venue:
    """A venue that answers; made by `open_venue`."""

    def __init__(self, exchange: Any, ccxt: ModuleType, address: VenueAddress) -> None:
        self._exchange, self._ccxt, self._address = exchange, ccxt, address
        self._patience = address.patience
        self.where = f"{exchange.id} at {address.url}" if address.url else str(exchange.id)
        self._banned_until_s = 0.0

    @property
    def pages_from_any_start(self) -> bool:
        """Whether one may ask from 1970 on, and an empty page means that nothing follows."""
        return self._exchange.id in BINANCE_LIKE

    async def read_markets(self) -> None:
        """Read the venue's list of markets, and so learn whether it can be reached."""
        attempts = self._patience.first_contact_attempts
        what = " and ".join(_LISTS[kind] for kind in self._kinds) or "markets"
        await self._asked(f"its {what}", lambda: self._exchange.load_markets(True), attempts=attempts, is_sane=bool)

    @property
    def _kinds(self) -> list[str]:
        """The lists of markets that are read, where the venue has several."""
        return list(self._exchange.options["fetchMarkets"]["types"]) if self.pages_from_any_start else []

    def with_patience(self, patience: Patience) -> "Venue":
        """Return the same venue, asked with another patience."""
        return Venue(self._exchange, self._ccxt, replace(self._address, patience=patience))

    def stream_exchange(self, markets: Sequence[Market]) -> Any | None:
        """Return a new exchange of ccxt that gives candles of these markets over websockets, or None: ccxt has none.

        It knows the given markets only, and asks for no list of its own.
        """
        import ccxt.pro

        name = self._address.exchange
        if name not in ccxt.pro.exchanges:
            return None
        names = [str(market.symbol) for market in markets]
        exchange = made_exchange(ccxt.pro, self._ccxt, name, self._address.url, names)
        if not exchange.has.get("watchOHLCV"):
            return None
        exchange.set_markets([self._exchange.markets[market.pair] for market in markets])
        return exchange

    def market(self, text: str) -> Market:
        """Return the market that a symbol such as 'COINBASE:DOTUSD' names, split as the venue's own list splits it.

        Raises
        ------
        SymbolError
            Where the venue lists no such market, and names the nearest that it has; or several.
        """
        where, name, is_perpetual = symbol_parts(text)
        kind = "swap" if is_perpetual else "spot"
        names: dict[str, list[str]] = {}
        for market in self._exchange.markets.values():
            if market["type"] == kind and market.get("settle") in (None, market["quote"]):
                names.setdefault(f"{market['base']}{market['quote']}", []).append(market["symbol"])
        found = names.get(name, [])
        if len(found) == 1:
            return Market(Symbol.from_pair(where, found[0]), found[0])
        if found:
            raise SymbolError(f"{text} can be any of {', '.join(found)} at {self.where}: it names no one market.")
        suffix = ".P" if is_perpetual else ""
        near = [f"{where}:{other}{suffix}" for other in difflib.get_close_matches(name, names, n=4)]
        hint = f"Near it: {', '.join(near)}." if near else f"It lists {len(names)} {kind} markets, none of a like name."
        raise SymbolError(f"{self.where} has no {kind} market {name} for {text}. {hint}")

    async def clock_ms(self) -> int:
        """Return the venue's time."""
        if not self._exchange.has.get("fetchTime"):
            return int(self._exchange.milliseconds())
        params = {"type": "swap"} if self._kinds == [PERPETUALS] else {}
        return int(await self._asked("its time", lambda: self._exchange.fetch_time(params), is_sane=_is_time))

    def page_rows(self, market: Market) -> int:
        """Return how many bars the venue gives at once."""
        most = self._exchange.feature_value(market.pair, "fetchOHLCV", "limit", _USUAL_ROWS)
        return min(int(most or _USUAL_ROWS), _MOST_ROWS)

    async def fetch_rows(self, market: Market, timeframe: str, since_ms: int, limit: int) -> list[list[Any]]:
        """Return up to `limit` rows [open ms, open, high, low, close, volume] of bars from `since_ms` on."""
        what = f"bars of {market.symbol} {timeframe}"
        rows = await self._asked(
            what, lambda: self._exchange.fetch_ohlcv(market.pair, timeframe, since_ms, limit), is_sane=_are_rows
        )
        return list(rows)

    async def _asked(
        self,
        what: str,
        ask: Callable[[], Awaitable[Any]],
        *,
        is_sane: Callable[[Any], bool],
        attempts: int | None = None,
    ) -> Any:
        patience = self._patience
        most = attempts or patience.attempts
        errors = self._ccxt
        try:
            async for attempt in stamina.retry_context(
                on=errors.OperationFailed,
                attempts=most,
                timeout=None,
                wait_initial=patience.wait_initial_s,
                wait_max=patience.wait_max_s,
                wait_jitter=patience.wait_initial_s,
            ):
                with attempt, self._told(what, attempt, most):
                    answer = await self._asked_once(what, ask)
                    if not is_sane(answer):
                        raise errors.BadResponse("the answer is not what this request is answered with")
                    return answer
        except errors.OperationFailed as error:
            raise VenueError(
                f"{self.where} did not give {what} in {most} {'try' if most == 1 else 'tries'}: {reason_of(error)}. "
                "What was stored is kept; run it again to go on."
            ) from None
        except errors.BaseError as error:
            raise VenueError(f"{self.where} refused to give {what}: {reason_of(error)}.") from None

    @contextmanager
    def _told(self, what: str, attempt: stamina.Attempt, most: int) -> Iterator[None]:
        """Log a failure that will be tried again, with what was asked for, which stamina's own log does not know."""
        try:
            yield
        except self._ccxt.OperationFailed as error:
            if attempt.num < most:
                _log.warning("venue_retried", venue=self.where, asked=what, tried=attempt.num, error=reason_of(error))
            raise

    async def _asked_once(self, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask once, after a ban that any of the concurrent requests has met; note a ban that this one meets."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._banned_until_s - loop.time()))
        try:
            return await ask()
        except self._ccxt.DDoSProtection:
            wait_s = self._retry_after_s()
            if wait_s > self._patience.longest_ban_s:
                raise VenueError(
                    f"{self.where} asks for a pause of {wait_s:.0f} s before it gives {what}. "
                    "What was stored is kept; run it again after that."
                ) from None
            self._banned_until_s = max(self._banned_until_s, loop.time() + wait_s)
            raise

    def _retry_after_s(self) -> float:
        headers = {str(name).lower(): value for name, value in (self._exchange.last_response_headers or {}).items()}
        try:
            wait_s = float(headers.get("retry-after", 0))
        except ValueError:
            return 0.0
        return max(0.0, wait_s) if math.isfinite(wait_s) else 0.0


@asynccontextmanager
async def open_venue(address: VenueAddress, symbols: Sequence[str]) -> AsyncIterator[Venue]:
    """Give a venue, with the markets read that the symbols need, for the length of an `async with` block.

    Raises
    ------
    InputError
        Where ccxt knows no such exchange, or the address is none.
    VenueError
        Where it does not answer.
    """
    # Here, not above: it takes over half a second, which imports from files need not pay.
    import ccxt
    import ccxt.async_support as exchanges

    exchange = made_exchange(exchanges, ccxt, address.exchange, address.url, symbols)
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])  # `Venue._told` logs instead
    try:
        venue = Venue(exchange, ccxt, address)
        await venue.read_markets()
        yield venue
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)
        await exchange.close()


def _is_time(answer: object) -> bool:
    return isinstance(answer, int) and EARLIEST_MS <= answer < LATEST_MS


def _are_rows(answer: object) -> bool:
    """Tell rows of bars from what ccxt makes of a page that is no JSON: it reads the text letter by letter."""
    return isinstance(answer, list) and all(len(row) >= _ROW_LENGTH and _is_time(row[0]) for row in answer)


def reason_of(error: BaseException) -> str:
    """Return an error of ccxt in one line: its kind and its words, which may hold a whole page."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}".rstrip(".")
