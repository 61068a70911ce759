"""Asks a bot over Freqtrade's REST API how it is and what it has traded; it only reads."""

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from monitoring.chain.books import BotBook, BotOrder, BotTrade, base_of
from monitoring.facts import BotHealth
from schemas.bot.trade_facts import money
from schemas.errors import InputError, QuantFlowError
from schemas.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 500
_LOG_LINES = 300
_STOP_ORDER = "stoploss"
_CLOCKS_APART = timedelta(minutes=5)  # a trade's close is the venue's time of its last fill, or the bot's own
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
        self._closed = _ClosedTrades(self._get)

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
            began = time.monotonic()
            self._get("/ping")
            ping_ms = (time.monotonic() - began) * 1000
            config = self._get("/show_config")
            last = self._get("/health").get("last_process")
        except BotApiError as error:
            return BotHealth(ping_ms=None, error=str(error))
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

    def trades(self, since: datetime, until: datetime) -> list[BotTrade]:
        """Return all open trades that began before `until`, and those closed from `since` on, by their number.

        Raises
        ------
        BotApiError
            Where the API does not answer or refuses.
        """
        open_trades = self._open_trades()
        found = {trade.trade_id: trade for trade in self._closed.since(since - _CLOCKS_APART)}
        found |= {trade.trade_id: trade for trade in open_trades if trade.trade_id not in found}
        return [found[number] for number in sorted(found) if found[number].opened_at < until]

    def book(self, since: datetime, until: datetime) -> BotBook:
        """Return the trades of a stretch of time, and what all closed trades left; see `trades`."""
        trades = self.trades(since, until)
        return BotBook(tuple(trades), self._closed.dust())

    def _open_trades(self) -> list[BotTrade]:
        """Freqtrade answers 'none' where it failed to read them, too: its count tells the two apart."""
        for _ in range(2):  # between the two questions one may open or close
            trades = [_trade(one) for one in self._get("/status")]
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
        return tuple(sorted(_time(line[1]) for line in lines if _tells_of_a_limit(line)))

    def _told(self, path: str, **query: Any) -> Mapping[str, Any]:
        """Return an answer, or nothing where it is not given: a bot that is stopped does not count its trades."""
        try:
            answer: Mapping[str, Any] = self._get(path, **query)
        except BotApiError:
            return {}
        return answer

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


class _ClosedTrades:
    """The closed trades of a bot, newest first; what is known of older ones is their dust, which is kept as a sum."""

    def __init__(self, get: Any) -> None:
        self._get = get
        self._dust: dict[str, Decimal] = {}
        self._counted: dict[int, datetime] = {}  # those of the newest moments; older ones are in the sums alone
        self._count = 0
        self._newest = _EPOCH

    def since(self, since: datetime) -> list[BotTrade]:
        """Return those closed from `since` on, and add the dust of those that are new."""
        found: list[BotTrade] = []
        total = 0
        for trade, total in self._newest_first():  # noqa: B007 - the last total is the newest
            closed = trade.closed_at or _EPOCH
            if closed < since and closed < self._newest - _CLOCKS_APART:
                break
            found.append(trade)
        fresh = [one for one in found if one.trade_id not in self._counted and self._is_new(one)]
        if self._count + len(fresh) != total:
            # The first time; or the bot's database was replaced, or trades were deleted in it.
            fresh = self._start_again()
        self._add(fresh)
        return [one for one in found if (one.closed_at or _EPOCH) >= since]

    def dust(self) -> dict[str, Decimal]:
        """Return what the closed trades left of each base asset, as of the last reading."""
        return dict(self._dust)

    def _is_new(self, trade: BotTrade) -> bool:
        return (trade.closed_at or _EPOCH) >= self._newest - _CLOCKS_APART

    def _start_again(self) -> list[BotTrade]:
        self._dust, self._counted, self._count, self._newest = {}, {}, 0, _EPOCH
        return [trade for trade, _ in self._newest_first()]

    def _add(self, trades: list[BotTrade]) -> None:
        for trade in trades:
            base = base_of(trade.pair)
            self._dust[base] = self._dust.get(base, Decimal(0)) + trade.base_change
            self._counted[trade.trade_id] = trade.closed_at or _EPOCH
        self._count += len(trades)
        self._newest = max(self._counted.values(), default=_EPOCH)
        if self._counted:
            oldest = self._newest - _CLOCKS_APART
            self._counted = {number: closed for number, closed in self._counted.items() if closed >= oldest}

    def _newest_first(self) -> Iterator[tuple[BotTrade, int]]:
        offset = 0
        while True:
            page = self._get("/trades", limit=_PAGE, offset=offset, order_by_id=False)
            for one in page["trades"]:
                yield _trade(one), page["total_trades"]
            offset += len(page["trades"])
            if not page["trades"] or offset >= page["total_trades"]:
                return


def _trade(told: Mapping[str, Any]) -> BotTrade:
    return BotTrade(
        trade_id=int(told["trade_id"]),
        pair=str(told["pair"]),
        is_open=bool(told["is_open"]),
        is_short=bool(told["is_short"]),
        amount=money(told["amount"]),
        opened_at=_time(told["open_timestamp"]),
        closed_at=_time(told["close_timestamp"]) if told.get("close_timestamp") else None,
        orders=tuple(_order(told, order) for order in told["orders"]),
    )


def _order(trade: Mapping[str, Any], order: Mapping[str, Any]) -> BotOrder:
    is_entry = order["ft_order_side"] == ("sell" if trade["is_short"] else "buy")
    placed = _time(order.get("order_timestamp") or trade["open_timestamp"])
    filled = order.get("order_filled_timestamp")
    return BotOrder(
        order_id=str(order["order_id"]),
        side=_side(order["ft_order_side"], is_short=trade["is_short"]),
        amount=money(order.get("filled") or 0.0),
        is_open=bool(order["is_open"]),
        placed_at=placed,
        updated_at=max(placed, _time(filled)) if filled else placed,
        tag=order.get("ft_order_tag") or trade.get("enter_tag" if is_entry else "exit_reason"),
        fee_base=_fee_base(trade, order, is_entry=is_entry),
    )


def _side(side: str, *, is_short: bool) -> Literal["buy", "sell"]:
    if side == _STOP_ORDER:
        return "buy" if is_short else "sell"
    return "sell" if side == "sell" else "buy"


def _fee_base(trade: Mapping[str, Any], order: Mapping[str, Any], *, is_entry: bool) -> Decimal:
    """Return what the venue kept of the base; where the account held enough, Freqtrade leaves it out of its amounts."""
    if order.get("ft_fee_base"):
        return money(order["ft_fee_base"])
    part = "open" if is_entry else "close"
    rate = trade.get(f"fee_{part}")
    if rate is None or trade.get(f"fee_{part}_currency") != base_of(str(trade["pair"])):
        return Decimal(0)
    return money((order.get("filled") or 0.0) * rate)


def _tells_of_a_limit(line: list[Any]) -> bool:
    _, _, logger, level, text = line
    return level in ("WARNING", "ERROR") and logger.startswith(_SPEAKS_OF_REQUESTS) and bool(_RATE_LIMITED.search(text))


def _time(epoch_ms: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=round(epoch_ms))


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
