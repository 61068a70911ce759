"""Lets ccxt find an exchange somewhere else, as a whole: no address of its own is left, so that nothing gets out."""

from typing import Any
from urllib.parse import urlsplit

from schemas.errors import InputError

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


def redirect(exchange: Any, url: str) -> None:
    """Make an exchange object of ccxt speak to `url`, with its paths as they were, and ask nothing that needs keys.

    Raises
    ------
    InputError
        Where `url` is no address.
    """
    parts = urlsplit(url)
    if parts.scheme not in _WEBSOCKET_SCHEMES or not parts.netloc:
        raise InputError(f"--exchange-url must be an address such as http://127.0.0.1:8080, found {url!r}.")
    exchange.urls["api"] = moved_addresses(exchange.urls["api"], url.rstrip("/"))
    exchange.options["fetchMargins"] = False  # what these two ask for serves nobody here
    exchange.options["fetchCurrencies"] = False


def moved_addresses(addresses: Any, url: str) -> Any:
    """Return ccxt's addresses (texts, nested in dicts) with their scheme and host replaced; websockets stay such."""
    if isinstance(addresses, dict):
        return {name: moved_addresses(address, url) for name, address in addresses.items()}
    if not isinstance(addresses, str):
        return addresses
    old = urlsplit(addresses)
    scheme, place = url.split("://", 1)
    if old.scheme in _WEBSOCKET_SCHEMES.values():
        scheme = _WEBSOCKET_SCHEMES[scheme]
    return f"{scheme}://{place}{old.path}"
