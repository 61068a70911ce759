"""Each kind of difference, made by a real fault in the running chain, is found by its name, and is over when mended."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from executor_bot import CONSUMER, MINUTE, PAIR, STRATEGY_ID, ExecutorBot, executor_bot
from live_chain import PATIENCE_S
from pydantic import SecretStr

from monitoring.chain.reconciler import Counterparts, Reconciler, reconcile_all
from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import Scope
from monitoring.sources.freqtrade_api import BotApi
from monitoring.sources.venue_account import VenueAccount, VenueKeys
from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET
from quantflow_nodes.freqtrade_folder import rest_api
from quantflow_nodes.programs import clean_environment
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS
from schemas.embedded import EmbeddedServer, temporary_server
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]

SPEED = 20.0
POLL_S = 0.2
GRACE = timedelta(seconds=20)  # of the market: one second of the machine's
PASSWORD = "of-the-bots-api"
OTHER_KEY, OTHER_SECRET = "other-key", "other-secret"


@dataclass
class Chain:
    """The bot, the store's server, and the two counterparts beside it."""

    bot: ExecutorBot
    server: EmbeddedServer
    api: BotApi
    venue: VenueAccount
    hand: Any  # a person's own client at the venue, with the keys of the bot's account

    def look(self, since: datetime, counterparts: Counterparts | None = None) -> Reconciliation:
        """Hold all sides against each other, for signals and orders from a time on."""
        now = self.bot.clock.now()
        scope = Scope(STRATEGY_ID, CONSUMER, MINUTE, MINUTE.floor(since), now)
        return reconcile_all(
            self.bot.db, scope, counterparts or Counterparts(self.api, self.venue, (PAIR,)), now, GRACE
        )

    def begin(self) -> datetime:
        """Wait for a new minute, and return its begin: what earlier tests ordered lies before it."""
        return self.bot.closed_bar() + MINUTE.delta

    def becomes(self, since: datetime, *kinds: str, counterparts: Counterparts | None = None) -> Reconciliation:
        """Wait until exactly these kinds are found, and all balances are compared."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = self.look(since, counterparts)
            is_compared = all(one.is_compared for one in seen.balances)
            if is_compared and sorted(one.kind for one in seen.findings) == sorted(kinds):
                return seen
            assert time.monotonic() < deadline, f"{kinds or 'agreement'} was not seen, but {seen}"
            time.sleep(POLL_S)

    def command(self, since: datetime, *arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        """Run `signal-monitor reconcile` with all sides, as a user does."""
        assert self.bot.settings.mongo_uri is not None
        environment = {
            "QUANTFLOW_MONGO_URI": self.bot.settings.mongo_uri.get_secret_value(),
            "QUANTFLOW_DB": self.bot.settings.db,
            "QUANTFLOW_REPLAY_CLOCK": str(self.bot.clock),
            "QUANTFLOW_EXCHANGE_KEY": PAPER_KEY,
            "QUANTFLOW_EXCHANGE_SECRET": PAPER_SECRET,
            "QUANTFLOW_FREQTRADE_PASSWORD": password,
            "NO_COLOR": "1",
        }
        sides = ["--freqtrade", self.api.url, "--exchange-url", self.bot.venue.url]
        scope = ["--strategy", STRATEGY_ID, "--since", since.isoformat()]
        command = [sys.executable, "-c", "from monitoring.cli import main; main()", "reconcile", *scope, *sides]
        return subprocess.run(
            [*command, *arguments],
            env=clean_environment(environment), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def order(self, side: str, amount: float) -> str:
        """Order something at the venue by hand, beside the bot."""
        return str(self.hand.create_order(PAIR, "market", side, amount)["id"])

    def restarted(self, change: Callable[[], object] = lambda: None) -> None:
        """End the bot politely, change something, and start it again."""
        self.bot.end()
        change()
        self.bot.start()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for all tests of this file, with a MongoDB and a REST API of its own."""
    import ccxt  # takes a second

    folder: Path = tmp_path_factory.mktemp("executor")
    accounts = folder / "accounts.json"
    mine = {"name": "bot", "api_key": PAPER_KEY, "secret": PAPER_SECRET, "balances": {"USDT": "100000"}}
    other = {"name": "other", "api_key": OTHER_KEY, "secret": OTHER_SECRET, "balances": {"USDT": "100000"}}
    accounts.touch(mode=0o600)
    accounts.write_text(json.dumps([mine, other]))
    secrets = {"password": PASSWORD, "jwt_secret_key": "of-a-bot-that-lives-for-minutes-only"}
    config = {"api_server": rest_api(port := free_port()) | secrets}
    with temporary_server() as (server, uri):
        settings = Settings.load(mongo_uri=SecretStr(uri), db="reconciled", home=folder, mongo_timeout_s=60.0)
        # The venue counts requests by the machine's minute, in which this bot lives through twenty.
        venue_accounts = ("--accounts", str(accounts), "--weight-limit", "0")
        with (
            connect(settings) as db,
            executor_bot(db, settings, folder / "bot", speed=SPEED, accounts=venue_accounts, config=config) as bot,
        ):
            keys = VenueKeys("binance", SecretStr(PAPER_KEY), SecretStr(PAPER_SECRET), bot.venue.url)
            api = BotApi(f"http://127.0.0.1:{port}", "freqtrader", SecretStr(PASSWORD))
            hand = ccxt.binance({"apiKey": PAPER_KEY, "secret": PAPER_SECRET, **bot._exchange()["ccxt_config"]})
            bot.start()
            yield Chain(bot, server, api, VenueAccount(keys, bot.clock.now), hand)
            api.close()


@pytest.fixture
def chain(running: Chain) -> Iterator[Chain]:
    """The chain with its bot running and without a position; positions and balances agree before and after."""
    if running.bot.process is None:
        running.bot.start()
    yield running
    if running.bot.positions(state="open"):
        running.bot.leave()
    running.becomes(running.bot.clock.now() + MINUTE.delta)


def back_up(database: Path, copy: Path) -> None:
    """Copy a database as its own tool does: what was written last may lie in a file beside it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def look_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_round_trip_agrees_on_every_side(chain: Chain) -> None:
    """Orders, positions and the balance to the last digit; while the position is open, and when it is closed."""
    since = chain.begin()
    chain.bot.enter()
    held = chain.becomes(since)
    (balance,) = held.balances
    assert (held.fills, held.freqtrade_orders, held.venue_orders, held.positions) == (1, 1, 1, 1)
    assert balance.unexplained == 0 < balance.in_trades
    assert balance.dust > 0  # the fee was kept in BTC, and what was left was cut to the venue's step
    chain.bot.leave()
    flat = chain.becomes(since)
    assert (flat.fills, flat.freqtrade_orders, flat.venue_orders, flat.positions) == (2, 2, 2, 0)
    assert flat.balances[0].held == flat.balances[0].dust > 0
    assert flat.not_compared == ()


def test_the_command_compares_all_sides(chain: Chain) -> None:
    """A line for Freqtrade, one for each balance, and what is summed up; a wrong password is a sentence and code 4."""
    since = chain.begin()
    chain.bot.enter()
    chain.becomes(since)
    shown = chain.command(since)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == "Freqtrade  1 orders of that time, 1 pairs in position"
    assert lines[1].split() == [
        "balance",
        "at",
        "the",
        "venue",
        "in",
        "trades",
        "dust,",
        "fees",
        "besides",
        "unexplained",
    ]
    assert lines[2].startswith("BTC ")
    assert lines[-1] == "1 signals, 1 receipts, 1 fills, 1 orders at the venue: nothing missing, nothing double."
    refused = chain.command(since, password="of-another-bot")
    assert refused.returncode == 4
    assert "refused this user: set QUANTFLOW_FREQTRADE_USER" in refused.stderr
    assert "of-another-bot" not in refused.stderr + refused.stdout


def test_an_order_placed_beside_the_bot_is_found_and_so_is_what_it_left(chain: Chain) -> None:
    """A person buys on the bot's account and sells it again; the balance agrees then, and the orders age out."""
    since = chain.begin()
    bought = chain.order("buy", 0.01)
    found = chain.becomes(since, "unknown order", "balance differs")
    told = {one.kind: one for one in found.findings}
    assert told["unknown order"].order_id == bought
    assert "more than explained" in told["balance differs"].what
    sold = chain.order("sell", 0.00999)
    both = chain.becomes(since, "unknown order", "unknown order")
    assert {one.order_id for one in both.findings} == {bought, sold}
    chain.becomes(chain.bot.clock.now() + MINUTE.delta)


def test_what_is_sold_beside_the_bot_is_missed(chain: Chain) -> None:
    """Half of the position is sold by hand: Freqtrade's trade is not covered any more, until it is bought back."""
    since = chain.begin()
    chain.bot.enter()
    chain.order("sell", 0.01)
    found = chain.becomes(since, "unknown order", "balance differs")
    assert "less than explained" in found.findings[-1].what
    chain.order("buy", 0.01001)
    chain.becomes(since, "unknown order", "unknown order")


def test_the_account_of_somebody_else_knows_none_of_it(chain: Chain) -> None:
    """The keys of another account of the venue: no order and no coin of the bot is there."""
    since = chain.begin()
    chain.bot.enter()
    keys = VenueKeys("binance", SecretStr(OTHER_KEY), SecretStr(OTHER_SECRET), chain.bot.venue.url)
    other = Counterparts(chain.api, VenueAccount(keys, chain.bot.clock.now), (PAIR,))
    chain.becomes(since, "unknown fill", "balance differs", counterparts=other)
    chain.becomes(since)


def test_documents_that_a_backup_did_not_have_are_missed_until_the_bot_writes_them_again(chain: Chain) -> None:
    """Fill and position are gone from MongoDB; a restarted bot shows all its trades again, and they come back."""
    since = chain.begin()
    ts = chain.bot.enter()
    chain.becomes(since)
    for collection in (FILLS, POSITIONS):
        assert chain.bot.db[collection].delete_many({"ts": ts}).deleted_count == 1
    found = chain.becomes(since, "order without fill", "position differs")
    assert found.findings[0].ts == ts
    chain.becomes(since, "receipt without fill", counterparts=Counterparts())
    chain.restarted()
    chain.becomes(since)


def test_receipts_that_a_backup_did_not_have_are_missed(chain: Chain) -> None:
    """The signal has none any more when its time is over, and its fill has none at once."""
    since = chain.begin()
    ts = chain.bot.enter()
    receipt = chain.bot.receipt(ts)
    chain.bot.db[SIGNAL_RECEIPTS].delete_one({"_id": receipt["_id"]})
    chain.becomes(since, "fill without receipt")
    chain.becomes(since, "fill without receipt", "signal without receipt")
    chain.bot.db[SIGNAL_RECEIPTS].insert_one(receipt)
    chain.becomes(since)


def test_documents_that_something_else_wrote_over_are_found(chain: Chain) -> None:
    """Another amount, a receipt that says skipped, and a second fill under the same signal."""
    since = chain.begin()
    ts = chain.bot.enter()
    (fill,), receipt = chain.bot.fills(ts=ts), chain.bot.receipt(ts)
    fills, receipts = chain.bot.db[FILLS], chain.bot.db[SIGNAL_RECEIPTS]
    chain.becomes(since)
    fills.update_one({"_id": fill["_id"]}, {"$mul": {"amount": 2}})
    chain.becomes(since, "amount")
    fills.replace_one({"_id": fill["_id"]}, fill)
    receipts.update_one({"_id": receipt["_id"]}, {"$set": {"decision": "skipped", "reason": "expired"}})
    chain.becomes(since, "skipped and filled")
    receipts.replace_one({"_id": receipt["_id"]}, receipt)
    twin = {name: value for name, value in fill.items() if name != "_id"} | {"order_id": "777"}
    fills.insert_one(dict(twin))
    chain.becomes(since, "double", "unknown fill", "fill unknown to Freqtrade")
    fills.delete_one({"order_id": "777"})
    chain.becomes(since)


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_bot_that_was_killed_around_its_order_lost_is_found(chain: Chain, when: str) -> None:
    """kill -9 between claim and order, or between order and Freqtrade's note of it; seen while it is dead, and after.

    Before: nothing was ordered, and the bot says so when it is back. After: the venue executed an order whose fill the
    bot records when it is back, and which Freqtrade never learns of; a person sells what it bought.
    """
    since = chain.begin()
    chain.bot.flag(f"kill_{when}_order")
    ts = chain.bot.signal(action="enter_long")
    chain.bot.died()
    chain.bot.flag(f"kill_{when}_order", on=False)
    lost = {"before": "receipt without order", "after": "order without fill"}[when]
    found = chain.becomes(since, lost)
    assert found.findings[0].ts == ts
    (sentence,) = found.not_compared
    assert sentence.startswith(f"Freqtrade at {chain.api.url} did not answer")
    chain.bot.start()
    if when == "before":
        chain.bot.becomes(ts, "skipped", "order_lost")
        chain.becomes(since)
        return
    found = chain.becomes(since, "fill unknown to Freqtrade", "balance differs")
    (fill,) = chain.bot.fills(ts=ts)
    assert found.findings[0].order_id == fill["order_id"]
    chain.order("sell", float(fill["amount"].to_decimal() * Decimal("0.999")))
    chain.becomes(since, "fill unknown to Freqtrade", "unknown order")


def test_an_older_copy_of_freqtrades_database_is_found(chain: Chain) -> None:
    """It was made before the entry: Freqtrade knows nothing of a position that store and venue have."""
    database, copy = chain.bot.folder / "trades.sqlite", chain.bot.folder / "older.sqlite"
    newest = chain.bot.folder / "newest.sqlite"
    back_up(database, copy)
    since = chain.begin()
    chain.bot.enter()
    chain.becomes(since)

    def play_back(path: Path) -> None:
        for beside in chain.bot.folder.glob("trades.sqlite-*"):
            beside.unlink()
        shutil.copy(path, database)

    chain.restarted(lambda: (back_up(database, newest), play_back(copy)))
    chain.becomes(since, "fill unknown to Freqtrade", "position differs", "balance differs")
    chain.restarted(lambda: play_back(newest))
    chain.becomes(since)


def test_nothing_is_lost_by_a_mongodb_that_was_killed(chain: Chain) -> None:
    """kill -9 while a position is open: the stop that sells meanwhile is stored when the server is back."""
    since = chain.begin()
    chain.bot.enter()
    mongod = chain.server.running().mongod()
    assert mongod is not None
    mongod.kill()
    chain.bot.flag("stop")
    chain.bot.wait(lambda: chain.bot.trades()[-1][1] == 0, "the stop")
    chain.bot.flag("stop", on=False)
    stopped = chain.becomes(since)
    assert (stopped.fills, stopped.freqtrade_orders, stopped.venue_orders, stopped.positions) == (2, 2, 2, 0)


def test_a_loop_tells_a_difference_until_it_is_mended(chain: Chain) -> None:
    """The reconciler of the monitor's loop: little is read while all agrees, and everything as long as it does not."""
    counterparts = Counterparts(chain.api, chain.venue)
    reconciler = Reconciler(STRATEGY_ID, CONSUMER, MINUTE, counterparts, span=timedelta(minutes=30))
    began = chain.begin()
    ts = chain.bot.enter()

    def looks() -> Reconciliation:
        return reconciler.look(chain.bot.db, chain.bot.clock.now())

    first, second = looks(), looks()
    assert first.since is not None
    assert second.since is not None
    assert began - first.since > timedelta(minutes=20)
    (fill,) = chain.bot.fills(ts=ts)
    chain.bot.db[FILLS].delete_one({"_id": fill["_id"]})
    lost = f"order without fill {PAIR} {ts:%Y-%m-%dT%H:%MZ} {fill['order_id']}"
    look_until(lambda: lost in [one.subject for one in looks().findings])
    chain.bot.db[FILLS].insert_one(fill)
    look_until(lambda: lost not in [one.subject for one in looks().findings])


def test_limits_and_silence_are_facts(chain: Chain) -> None:
    """429 to the bot and to us, then a bot that is off: told, never raised; the monitor leaves the venue alone."""
    healthy = chain.api.health()
    assert (healthy.state, healthy.stake_currency, healthy.stake_quote) == ("running", "USDT", Decimal(1000))
    assert healthy.free_quote is not None
    assert healthy.free_quote > 90_000
    assert (healthy.open_trades, healthy.max_open_trades, healthy.error) == (0, 1, None)
    assert healthy.last_process is not None
    assert chain.bot.clock.now() - healthy.last_process < timedelta(minutes=2)
    since = chain.begin()
    chain.bot.enter()
    chain.becomes(since)
    assert chain.venue.health().error is None
    fault = {"kind": "rate_limit", "status": 429, "retry_after_s": 1, "seconds": 2}
    assert httpx.post(f"{chain.bot.venue.url}/control/faults", json=fault).status_code == 201
    limited = chain.venue.health()
    assert limited.rate_limited_at is not None
    assert limited.rate_limited_at >= since
    assert limited.error is None
    (sentence,) = chain.look(since).not_compared
    assert sentence.startswith("binance limits our requests: it is asked again in")
    chain.bot.wait(lambda: any(at >= since for at in chain.api.health().rate_limited_at), "the bot's own limit")
    chain.becomes(since)
    chain.bot.leave()
    chain.bot.end()
    silent = chain.api.health()
    assert silent.ping_ms is None
    assert silent.error is not None
    assert chain.venue.health().error is None
