"""The venue as one object, so that every route and stream looks at the same markets, time and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.clock import Clock
from paper_exchange.market.market import Market


@dataclass(slots=True)
class Venue:
    """Everything that answers are made of; all of it is used from one asyncio loop, so nothing needs a lock.

    Parameters
    ----------
    markets
        What is listed, by symbol; asked for all, the venue answers in this order.
    clock
        The venue's time. Each request is answered for the one instant at which it is read.
    weights
        The request limits; the venue's documented ones where not given.
    """

    markets: Mapping[str, Market]
    clock: Clock
    weights: RequestWeights = field(default_factory=RequestWeights)
