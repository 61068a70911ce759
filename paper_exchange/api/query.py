"""Reads a request's parameters as the venue does, and refuses them with the venue's codes."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from paper_exchange.errors import (
    ApiError,
    bad_combination,
    empty,
    illegal,
    invalid_symbol,
    mandatory,
    not_valid,
)
from paper_exchange.market.market import Market
from paper_exchange.units import VENUE_DECIMALS

# The venue quotes its own (Java) patterns in its messages; && [^a-z] takes the small letters away.
_LEGAL_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"
_SYMBOL = re.compile(r"[^\Wa-z]|[-.]")
_ONE = '"[A-Z0-9-_.]{1,20}"'
_LEGAL_SYMBOLS = rf"^\[({_ONE}(,{_ONE}){{0,}}){{0,1}}\]$"
_SYMBOLS = re.compile(_LEGAL_SYMBOLS)
_LEGAL_INTEGER = "^[0-9]{1,20}$"
_MICROSECONDS_FROM = 10**14  # ms reach this in the year 5138; whatever is larger was sent in microseconds
_LONG_MAX = 2**63 - 1
_LEGAL_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class Query:
    """The parameters of one request.

    Parameters
    ----------
    raw
        The query string as it came.
    body
        The request's body, a form. What is in both counts as it is in the query string.
    """

    def __init__(self, raw: bytes, body: bytes = b"") -> None:
        in_query, in_body = _pairs(raw), _pairs(body)
        named, also = dict(in_query), dict(in_body)
        self._values = also | named
        self._read: set[str] = set()
        self._doubled = len(named) != len(in_query) or len(also) != len(in_body)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Query":
        """Return the parameters of a message, which has each only once."""
        query = cls(b"")
        query._values = dict(values)
        return query

    def text(self, name: str) -> str | None:
        """Return a parameter as it was sent; None where it was not, an error where it is empty."""
        self._check_doubled()
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise empty(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a parameter that is a whole number from 0 up."""
        value = self.text(name)
        if value is None:
            return None
        if re.fullmatch(r"[0-9]{1,20}", value, re.ASCII) is None:
            raise illegal(name, _LEGAL_INTEGER)
        if int(value) > _LONG_MAX:
            raise ApiError(-1108, f"Parameter '{name}' overflowed.")
        return int(value)

    def amount(self, name: str) -> int | None:
        """Return a decimal from 0 up in units of 1e-8."""
        value = self.text(name)
        if value is None:
            return None
        found = _DECIMAL.fullmatch(value)
        if found is None:
            raise illegal(name, _LEGAL_DECIMAL)
        decimals = (found[2] or "").rstrip("0")
        if len(decimals) > VENUE_DECIMALS:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
        return int(found[1] + decimals.ljust(VENUE_DECIMALS, "0"))

    def boolean(self, name: str) -> bool | None:
        """Return a parameter that is true or false."""
        value = self.choice(name, ("true", "false"), illegal(name, "^(true|false)$"))
        return None if value is None else value == "true"

    def required(self, name: str) -> str:
        """Return a parameter that must be sent."""
        value = self.text(name)
        if value is None:
            raise mandatory(name)
        return value

    def time_ms(self, name: str) -> int | None:
        """Return a time in ms, whether it was sent in ms or in microseconds."""
        value = self.integer(name)
        return value // 1000 if value is not None and value >= _MICROSECONDS_FROM else value

    def limit(self, default: int, maximum: int) -> int:
        """Return ``limit``: `default` where it was not sent, at most `maximum`."""
        value = self.integer("limit")
        if value == 0:
            raise not_valid("limit")
        return default if value is None else min(value, maximum)

    def choice(self, name: str, choices: tuple[str, ...], error: ApiError) -> str | None:
        """Return a parameter that is one of `choices`; `error` where it is another."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise error
        return value

    def market(self, markets: Mapping[str, Market]) -> Market:
        """Return the market that ``symbol`` names, which must be sent."""
        found = self._one(markets)
        if found is None:
            raise mandatory("symbol")
        return found

    def markets(self, markets: Mapping[str, Market]) -> tuple[list[Market], bool]:
        """Return the markets that ``symbol`` or ``symbols`` name, all where neither was sent.

        The second value is True where one symbol was asked for, and so one object is to be answered.
        """
        one = self._one(markets)
        many = self.text("symbols")
        if one is not None:
            if many is not None:
                raise bad_combination()
            return [one], True
        if many is None:
            return list(markets.values()), False
        if _SYMBOLS.fullmatch(many) is None:
            raise illegal("symbols", _LEGAL_SYMBOLS)
        names = re.findall(r'"([^"]+)"', many)
        if len(set(names)) != len(names):
            raise ApiError(-1151, "Symbol is present multiple times in the list.")
        if any(name not in markets for name in names):
            raise invalid_symbol()
        return [markets[name] for name in names], False

    def finish(self) -> None:
        """Refuse parameters that nothing has read."""
        self._check_doubled()
        sent = len(self._values)
        read = len(self._read & self._values.keys())
        if read == sent:
            return
        if not self._read:
            raise ApiError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
        raise ApiError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")

    def has(self, name: str) -> bool:
        """Return whether a parameter was sent, with a value or without, and leave it unread."""
        return name in self._values

    def peek(self, name: str) -> str:
        """Return a parameter's text without checks, to weigh a request before it is read."""
        return self._values.get(name, "")

    def _check_doubled(self) -> None:
        if self._doubled:
            raise ApiError(-1101, "Duplicate values for a parameter detected.")

    def _one(self, markets: Mapping[str, Market]) -> Market | None:
        name = self.text("symbol")
        if name is None:
            return None
        if len(name) > 50 or any(_SYMBOL.fullmatch(letter) is None for letter in name):
            raise illegal("symbol", _LEGAL_SYMBOL)
        if name not in markets:
            raise invalid_symbol()
        return markets[name]


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    return parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
