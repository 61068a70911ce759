"""Who may trade: accounts with their keys, found by key; a secret is never shown."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from paper_exchange.api.query import Query
from paper_exchange.api.signing import ServerTime, check_fresh, check_signature, read_signed
from paper_exchange.errors import ApiError

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Account:
    """One account with its key.

    Parameters
    ----------
    name
        What the venue's books and its messages to people call it.
    api_key, secret
        What a client sends, and what it signs with.
    deposits
        What the account begins with, by asset, in units of 1e-8.
    can_trade
        Whether its orders are taken; without, it can look and not trade.
    """

    name: str
    api_key: str
    secret: bytes = field(repr=False)
    deposits: Mapping[str, int] = field(default_factory=dict)
    can_trade: bool = True

    @property
    def uid(self) -> int:
        """A number for those who ask for one; the same for the same name."""
        return crc32(self.name.encode())


class Accounts:
    """All accounts, by key.

    Parameters
    ----------
    accounts
        Names and keys are unique; whoever makes them has checked that.
    """

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._by_key = {account.api_key: account for account in accounts}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_key.values())

    def of_key(self, api_key: str | None) -> Account:
        """Return the account of a key.

        Raises
        ------
        ApiError
            -2014 for what can not be a key, -2015 for a key that is not known; both with status 401.
        """
        if api_key is None or _KEY.fullmatch(api_key) is None:
            raise ApiError(-2014, "API-key format invalid.", status=401)
        found = self._by_key.get(api_key)
        if found is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        return found


def authenticate(
    accounts: Accounts, clocks: Iterable[ServerTime], api_key: str | None, payload: bytes, query: Query
) -> Account:
    """Return the account whose key has signed a request just now.

    Parameters
    ----------
    clocks
        The clocks that the request's time may fit.
    payload
        What was signed.

    Raises
    ------
    ApiError
        -2014 or -2015 for the key, -1100 or -1102 for what is missing or malformed, -1021 for the time, -1022 for the
        signature.
    """
    account = accounts.of_key(api_key)
    signed = read_signed(query)
    check_fresh(signed, clocks)
    check_signature(account.secret, payload, signed.signature)
    return account
