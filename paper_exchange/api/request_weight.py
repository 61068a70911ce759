"""Counts request weight per client and real minute, as the venue's limits do, and refuses what is past them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from paper_exchange.errors import ApiError

WEIGHT_PER_MINUTE = 6000
_REFUSALS_BEFORE_BAN = 200
_FIRST_BAN_S = 120
_LONGEST_BAN_S = 3 * 86_400


@dataclass(slots=True)
class _Client:
    minute: int = 0
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_s: float = 0.0


@dataclass(slots=True)
class RequestWeights:
    """The weight that each client has used in the current minute of the machine's clock.

    Parameters
    ----------
    limit
        Weight per minute; 0 counts and never refuses.
    time_s
        The machine's time. The venue's clock may stand still, and a limit must not stand with it.
    """

    limit: int = WEIGHT_PER_MINUTE
    time_s: Callable[[], float] = time.time
    _clients: dict[str, _Client] = field(default_factory=dict)

    def charge(self, address: str, weight: int) -> int:
        """Add `weight` to what the client at `address` has used and return the sum.

        Raises
        ------
        ApiError
            -1003 with status 429 past the limit; with status 418 while the client is banned, which
            happens to one that goes on regardless.
        """
        now = self.time_s()
        client = self._clients.setdefault(address, _Client())
        minute = int(now // 60)
        if client.minute != minute:
            client.minute, client.used, client.refused = minute, 0, 0
        client.used += weight
        if self.limit == 0:
            return client.used
        if now < client.banned_until_s:
            raise _banned(client, now)
        if client.used > self.limit:
            client.refused += 1
            if client.refused > _REFUSALS_BEFORE_BAN:
                client.banned_until_s = now + min(_FIRST_BAN_S * 2**client.bans, _LONGEST_BAN_S)
                client.bans += 1
                raise _banned(client, now)
            raise ApiError(
                -1003,
                f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API.",
                status=429,
                retry_after_s=60 - int(now % 60),
            )
        return client.used

    def used(self, address: str) -> int:
        """Return what the client at `address` has used in its latest minute."""
        client = self._clients.get(address)
        return 0 if client is None else client.used


def _banned(client: _Client, now: float) -> ApiError:
    return ApiError(
        -1003,
        f"Way too much request weight used; IP banned until {int(client.banned_until_s * 1000)}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        status=418,
        retry_after_s=int(client.banned_until_s - now) + 1,
    )
