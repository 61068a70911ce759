"""Each alert is provoked by a real fault of the live chain, told once, and told once more when it is over."""

import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from executor_bot import CONSUMER, PAIR
from pydantic import SecretStr
from watched_chain import GRAPH, STRATEGY_ID, WatchedChain, watched_chain

from quantflow_nodes.programs import find_program
from schemas.collections import FILLS, MONITOR_ALERTS, SIGNAL_RECEIPTS
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue, pytest.mark.timeout(600)]

RULES = {
    "signal_missing": {"bars": 2},
    "signal_expired": {"within_bars": 5},
    "rejects": {"count": 2},
    "slippage": {"bps": 5, "within_bars": 5},
    "rate_limited": {"within": "2m"},
    "reconciliation": {"every": "2s", "within": "5m"},
    "silent": {"after": "60s", "bars": 4},
}


DIFFERS = f"{CONSUMER} balance differs {PAIR}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedChain]:
    """One chain for the tests of this file, with a MongoDB of its own that can be frozen."""
    folder: Path = tmp_path_factory.mktemp("watched")
    with temporary_server() as (server, uri):
        settings = Settings.load(mongo_uri=SecretStr(uri), db=f"test_{uuid.uuid4().hex[:12]}", home=server.home)
        patient = settings.model_copy(update={"mongo_timeout_s": 60.0})
        with connect(patient) as db, watched_chain(db, settings, server, folder, RULES) as chain:
            chain.wait(lambda: db[FILLS].find_one() is not None, "the first fill")
            yield chain


@pytest.fixture
def chain(running: WatchedChain) -> Iterator[WatchedChain]:
    """The chain without faults; before and after each test no alert lasts."""

    def is_quiet() -> bool:
        return running.db[MONITOR_ALERTS].find_one({"settled": False}) is None

    running.wait(is_quiet, "the end of earlier alerts")
    yield running
    running.revive()
    running.wait(is_quiet, "the end of this test's alerts")


def fired_before(chain: WatchedChain, rule: str, **more: str | None) -> int:
    return len(chain.alerts(rule, **more))


def test_dead_research_is_missed_and_heard_again(chain: WatchedChain) -> None:
    """kill -9 of the live session: no signals at the next bars, then silence; a new session makes up for both."""
    missing, silent = fired_before(chain, "signal_missing"), fired_before(chain, "silent")
    chain.live.kill()
    alerts = [chain.fires("signal_missing", missing), chain.fires("silent", silent)]
    assert {(one["strategy_id"], one["pair"]) for one in alerts} == {(STRATEGY_ID, PAIR), (STRATEGY_ID, None)}
    chain.live.start()
    for alert in alerts:
        chain.clears(alert)


def test_a_session_that_was_frozen_is_late_once(chain: WatchedChain) -> None:
    """SIGSTOP for most of a bar: the export comes late, the next ones do not."""
    before, exports = fired_before(chain, "signal_late"), chain.exports()
    chain.wait(lambda: chain.exports() > exports, "an export")
    chain.live.signal(signal.SIGSTOP)
    chain.pass_bars(2)
    chain.live.signal(signal.SIGCONT)
    chain.clears(chain.fires("signal_late", before))


def test_a_graph_that_fails_is_told_until_it_runs(chain: WatchedChain) -> None:
    """A look-back longer than all bars fails the graph; with a shorter one it succeeds."""
    before = fired_before(chain, "run_failed")

    path = chain.monitor.folder / "again.yaml"
    path.write_text(yaml.safe_dump(GRAPH | {"name": "again"}))
    end = chain.clock.now().isoformat()
    command = [find_program("quantflow", "embedded"), "run", str(path), "--set", f"bars.end={end}"]
    failed = subprocess.run(
        [*command, "--set", "momentum.lookback_bars=100000"], env=chain.live.environment, check=False, timeout=60
    )
    assert failed.returncode != 0
    alert = chain.fires("run_failed", before)
    assert "again" in alert["text"]
    chain.wait(
        lambda: subprocess.run(command, env=chain.live.environment, check=False, timeout=60).returncode == 0,
        "a run beside the live session",
    )
    chain.clears(alert)


def test_a_frozen_bot_is_silent_and_its_signals_expire(chain: WatchedChain) -> None:
    """SIGSTOP of Freqtrade: it answers no more and signals pass by unused; after SIGCONT it goes on."""
    silent, expired = fired_before(chain, "silent", consumer=CONSUMER), fired_before(chain, "signal_expired")
    assert chain.bot.process is not None
    chain.bot.process.send_signal(signal.SIGSTOP)
    alerts = [chain.fires("silent", silent, consumer=CONSUMER), chain.fires("signal_expired", expired)]
    assert [one["pair"] for one in alerts] == [None, PAIR]
    chain.bot.process.send_signal(signal.SIGCONT)
    for alert in alerts:
        chain.clears(alert)


def test_rejected_orders_in_a_row_are_told(chain: WatchedChain) -> None:
    """The venue refuses every order: -2010, again and again, of new entries, or of the exit of what the bot holds."""
    before = fired_before(chain, "rejects")
    chain.fault(kind="reject")
    alert = chain.fires("rejects", before)
    receipts = chain.db[SIGNAL_RECEIPTS].find()
    assert sum(one.get("rejected_orders", int(one.get("reason") == "order_rejected")) for one in receipts) >= 2
    chain.clear_faults()
    chain.clears(alert)


def test_a_thin_book_costs_more_than_the_limit(chain: WatchedChain) -> None:
    """At a hundredth of its liquidity a market order walks up the book."""
    before = fired_before(chain, "slippage")
    chain.fault(kind="partial", percent=1)
    alert = chain.fires("slippage", before)
    chain.clear_faults()
    chain.clears(alert)


def test_limited_requests_are_told(chain: WatchedChain) -> None:
    """429 with Retry-After on every request for two seconds."""
    before = fired_before(chain, "rate_limited")
    chain.fault(kind="rate_limit", status=429, retry_after_s=1, seconds=2)
    chain.clears(chain.fires("rate_limited", before))


def test_a_gap_is_told_until_it_is_filled(chain: WatchedChain) -> None:
    """An hour of older bars is imported, and between them and the others bars are missing."""
    before = fired_before(chain, "gap_open")
    importer = [find_program("import-ohlcv", "embedded")]
    at_the_venue = ["--exchange-url", chain.venue.url, "--symbol", "BINANCE:BTCUSDT"]
    older = ["--tf", "1m", "--since", "2022-01-20T10:00", "--until", "2022-01-20T10:30", *at_the_venue]
    subprocess.run([*importer, *older], env=chain.follow.environment, check=True, timeout=60)
    alert = chain.fires("gap_open", before)
    filled = ["gaps", "--fill", *at_the_venue]
    subprocess.run([*importer, *filled], env=chain.follow.environment, check=True, timeout=60)
    chain.clears(alert)


def test_spent_money_is_missed(chain: WatchedChain) -> None:
    """Somebody else buys with the bot's account: its balance no longer pays a stake, and its books do not agree."""
    low, differs = fired_before(chain, "balance_low"), fired_before(chain, "reconciliation", subject=DIFFERS)
    account = chain.account()
    bought = []

    def is_poor() -> bool:
        """What the bot's own sales bring is spent too."""
        free = account.fetch_balance()["USDT"]["free"]
        if free > 5_000:
            price = account.fetch_ticker(PAIR)["last"]
            bought.append(account.create_market_buy_order(PAIR, (free - 1_000) / price * 0.99)["filled"])
        return any(one["told_at"] for one in chain.alerts("balance_low")[low:])

    chain.wait(is_poor, "that the balance is low")
    alerts = [chain.fires("balance_low", low), chain.fires("reconciliation", differs, subject=DIFFERS)]
    account.create_market_sell_order(PAIR, sum(bought) * 0.999)  # the venue kept a thousandth of what was bought
    for alert in alerts:
        chain.clears(alert)


def test_dead_bars_and_a_dead_venue_are_told(chain: WatchedChain) -> None:
    """kill -9 of the importer, then of the venue; both come back."""
    chain.follow.kill()
    bars = chain.fires("silent", 0, subject="BINANCE:BTCUSDT 1m")
    chain.follow.start()
    chain.clears(bars)
    at_the_venue = f"venue binance {chain.venue.url}"
    chain.venue_process.kill()
    venue = chain.fires("silent", 0, subject=at_the_venue)
    chain.venue_process.start()
    chain.clears(venue)


def test_a_frozen_mongodb_is_told_while_it_is_frozen(chain: WatchedChain) -> None:
    """SIGSTOP of mongod: the message goes out all the same, and once; after SIGCONT it is over."""
    mongod = chain.server.running().mongod()
    assert mongod is not None
    told = len(chain.receiver.messages)
    mongod.suspend()
    try:
        chain.wait(lambda: any("MongoDB" in str(one) for one in chain.receiver.messages[told:]), "the message")
    finally:
        mongod.resume()
    chain.wait(lambda: bool(chain.alerts("silent", subject="mongodb", settled=True)), "the end of it")
    about = [one for one in chain.receiver.messages[told:] if "MongoDB" in str(one)]
    assert len(about) == 2, about


def test_a_restart_of_the_monitor_tells_nothing_again(chain: WatchedChain) -> None:
    """kill -9 of the monitor while a problem lasts: the new one does not tell it again, and tells its end."""
    before = fired_before(chain, "signal_missing")
    chain.live.kill()
    alert = chain.fires("signal_missing", before)
    chain.monitor.kill()
    chain.monitor.start()
    chain.pass_bars(3)
    chain.live.start()
    chain.clears(alert)
