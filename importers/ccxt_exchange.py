"""Makes ccxt's exchange objects as we need them: redirected as a whole, with the lists that are needed, strict."""

import difflib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import InputError
from schemas.exchange_address import redirect
from schemas.symbols import symbol_parts

# These page from any start, however early; an empty page means that there is nothing up to now; their candles on
# websockets say when they are closed. Their spot and futures markets are lists of their own, long ones, of which only
# those needed are read.
BINANCE_LIKE = frozenset({"binance", "binanceus", "binanceusdm", "binancecoinm"})
SPOT, PERPETUALS = "spot", "linear"  # as ccxt names the two lists of markets
_OK, _NOT_FOUND = 200, 404


def made_exchange(exchanges: ModuleType, errors: ModuleType, name: str, url: str | None, symbols: Iterable[str]) -> Any:
    """Return an exchange that has asked nothing yet.

    Parameters
    ----------
    exchanges : module
        `ccxt.async_support`, or `ccxt.pro` for one that knows websockets too.
    errors : module
        `ccxt`.
    name : str
        ccxt's name of it.
    url : str or None
        Where it is found instead of its real place.
    symbols : iterable of str
        What it will be asked about.

    Raises
    ------
    InputError
        Where ccxt knows no such exchange, or the address is none.
    """
    if name not in exchanges.exchanges:
        near = difflib.get_close_matches(name, exchanges.exchanges, n=3)
        raise InputError(f"ccxt knows no exchange {name!r}. " + (f"Near it: {', '.join(near)}." if near else ""))
    # Proxies of the environment serve the real venue only: an address that was given is spoken to directly.
    exchange = getattr(exchanges, name)({"enableRateLimit": True, "aiohttp_trust_env": url is None})
    if url is not None:
        redirect(exchange, url)
    if name in BINANCE_LIKE or url is not None:
        kinds = {PERPETUALS if symbol_parts(text)[2] else SPOT for text in symbols}
        exchange.options["fetchMarkets"] = {"types": sorted(kinds, reverse=True)}
    exchange.on_rest_response = _strict(exchange.on_rest_response, errors)
    return exchange


def _strict(read: Callable[..., str], errors: ModuleType) -> Callable[..., str]:
    """Return ccxt's hook that reads an answer, made strict.

    ccxt takes an answer of status 200 that is no JSON (a sign-in page, half a reply) for an empty list of bars, and
    then it would look as if the venue had none. It takes one of status 404 for a venue that is busy, and asks again;
    but an address that does not exist, such as that of futures at a venue without them, will not exist later.
    """

    def strict(status: int, reason: str, url: str, *rest: Any) -> str:
        text = read(status, reason, url, *rest)
        if status == _NOT_FOUND:
            raise errors.NotSupported(f"there is nothing at {urlsplit(url).path} (404)")
        if status == _OK and text[:1] + text[-1:] not in ("[]", "{}") and not text.isdigit():
            raise errors.BadResponse("the answer is no JSON")
        return text

    return strict
