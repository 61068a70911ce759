"""A venue that is killed in the middle of its work remembers everything it told anybody, once."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import killed_venue
import pytest
from audit import audit
from random_traders import ASSETS, COINS, HOUSE_FUNDS, LISTED, TRADERS, SwingingMarket

from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.journal import Journal
from paper_exchange.trading.order import UNIT

DEPOSITS = {("@house", coin): HOUSE_FUNDS for coin in COINS} | {
    (trader, coin): (60_000 if coin == "USDT" else 100) * UNIT for trader in TRADERS for coin in COINS
}


def run_and_kill(path: Path, seed: int, after_lines: int) -> list[list[object]]:
    """What a venue acknowledged until it was killed, some time after its `after_lines`-th answer."""
    folders = os.pathsep.join(str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[3]))
    process = subprocess.Popen(
        [sys.executable, killed_venue.__file__, str(path), str(seed)],
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": folders},
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after_lines)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    assert process.wait(timeout=30) == -signal.SIGKILL
    return [json.loads(line) for line in lines if line.endswith(b"\n") and line != b"\n"]


@pytest.mark.venue
def test_a_killed_venue_has_every_acknowledged_order_and_fill_once(tmp_path: Path) -> None:
    """Killed five times among thousands of operations, each time at another place, and started again from its journal.

    What it had answered is there with the same fills; at most the one operation that was under way is there besides.
    Balances are those that deposits and fills give, to the unit.
    """
    path = tmp_path / "venue.journal"
    answers: list[list[object]] = []
    for kill in range(5):
        answers += run_and_kill(path, seed=kill, after_lines=900 + 307 * kill)
        journal = Journal(path, killed_venue.HEADER)
        exchange = Exchange(LISTED, killed_venue.FEES, SwingingMarket(), journal, house_funds=HOUSE_FUNDS)
        journal.close()
        audit(exchange, DEPOSITS, ASSETS)
        orders = {order.id: order for user in TRADERS for name in ASSETS for order in exchange.orders(user, name)}
        told = {int(str(answer[0])) for answer in answers}
        assert told <= orders.keys()
        assert len(orders.keys() - told) <= kill + 1
        assert max(orders) == len(orders)
        check_fills(exchange, answers)
    assert len(answers) > 4000


def check_fills(exchange: Exchange, answers: list[list[object]]) -> None:
    """Fail unless each order is at least as far as it was when it was told, and no side of a trade is there twice."""
    for number, account, symbol, status, filled, filled_quote, trades in answers:
        order = exchange.order(str(account), str(symbol), order_id=int(str(number)))
        fills = [fill for fill in exchange.fills(order.account, order.symbol) if fill.order_id == order.id]
        assert [fill.trade_id for fill in fills][: len(trades)] == trades  # type: ignore[arg-type]
        if status in ("FILLED", "EXPIRED"):
            assert (order.status, order.filled, order.filled_quote) == (status, filled, filled_quote)
        assert order.filled == sum(fill.quantity for fill in fills)
    sides = Counter(
        (fill.trade_id, fill.is_buyer) for user in TRADERS for name in ASSETS for fill in exchange.fills(user, name)
    )
    assert set(sides.values()) == {1}
