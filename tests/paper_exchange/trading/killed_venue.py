"""Trades at random into a journal and says of each operation what it did, until somebody kills it."""

import json
import os
import sys
from pathlib import Path

from random_traders import LISTED, RandomTraders

from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.journal import Header, Journal
from paper_exchange.trading.order import UNIT

FEES = FeeSchedule(maker=50_000, taker=75_000, fee_in="BNB")
HEADER = Header.of(LISTED, {"speed": 1})


def acknowledged(traders: RandomTraders) -> bytes:
    """One line about the order that was placed last: what a client would have been answered."""
    order = traders.last
    if order is None:
        return b"\n"
    fills = traders.exchange.fills(order.account, order.symbol)
    mine = [fill.trade_id for fill in fills if fill.order_id == order.id]
    answer = [order.id, order.account, order.symbol, order.status, order.filled, order.filled_quote, mine]
    return json.dumps(answer).encode() + b"\n"


def main(path: Path, seed: int) -> None:
    """Go on from what the journal holds, for ever."""
    traders = RandomTraders(seed, FEES, journal=Journal(path, HEADER))
    if seed == 0:
        traders.deposit(100 * UNIT, 60_000 * UNIT)
    while True:
        traders.act()
        os.write(1, acknowledged(traders))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
