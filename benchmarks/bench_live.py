"""Measures the live chain in wall time at 1m beside a bot that reckons its signals itself, in one run.

    python benchmarks/bench_live.py [--minutes 15] [--json]

Three bots of the real Freqtrade trade in live mode at one local venue, each with an account of its own:

- `chain`: import-ohlcv --follow, quantflow live, ExternalSignalStrategy. A signal goes through MongoDB.
- `alone`: the same momentum inside a Freqtrade strategy, with no store: Freqtrade's own floor.
- `within`: ExternalSignalStrategy on signals that are put into MongoDB at some second within a candle.

Counted is the time from the bar's close (for `within`: from the insert) to the order at the venue, by the venue's
clock, which is this machine's.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ccxt
from pydantic import SecretStr

from monitoring.chain.signal_chain import percentile
from quantflow_nodes.chain_programs import running_program
from quantflow_nodes.freqtrade_folder import local_exchange
from quantflow_nodes.programs import clean_environment, end_process, running_venue, shared_file
from schemas.collections import SIGNAL_EXPORTS, SIGNALS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
LOOKBACK_BARS = 2
WITHIN_PAIRS = ["ETH/USDT", "SOL/USDT"]
ALONE = f"""
from freqtrade.strategy import IStrategy


class MomentumAlone(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    minimal_roi = {{}}
    stoploss = -0.99
    startup_candle_count = {LOOKBACK_BARS}
    order_types = {{"entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False}}

    def populate_indicators(self, dataframe, metadata):
        dataframe["wanted"] = dataframe["close"] > dataframe["close"].shift({LOOKBACK_BARS})
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["wanted"] & ~dataframe["wanted"].shift(1, fill_value=True), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[~dataframe["wanted"], "exit_long"] = 1
        return dataframe
"""


@contextmanager
def bot(name: str, url: str, pairs: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run Freqtrade in live mode in a folder of its own; `alone` is the plain strategy."""
    own = folder / name
    (own / "strategies").mkdir(parents=True)
    (own / "strategies" / "MomentumAlone.py").write_text(ALONE)
    config = json.loads(shared_file("freqtrade_user_data/config.example.json").read_text())
    config |= {
        "dry_run": False, "bot_name": name, "stake_amount": 1_000, "max_open_trades": len(pairs),
        "exchange": local_exchange(url, pairs) | {"enable_ws": True},
    }  # fmt: skip
    (own / "config.json").write_text(json.dumps(config))
    strategy = "MomentumAlone" if name == "alone" else "ExternalSignalStrategy"
    shipped = shared_file("freqtrade_user_data/strategies/ExternalSignalStrategy.py").parent
    command = [
        sys.executable, "-m", "freqtrade", "trade", "--strategy", strategy, "--userdir", str(own), "--config",
        str(own / "config.json"), "--db-url", f"sqlite:///{own / 'trades.sqlite'}", "--strategy-path",
        str(own / "strategies" if name == "alone" else shipped),
    ]  # fmt: skip
    keys = {"FREQTRADE__EXCHANGE__KEY": f"{name}-key", "FREQTRADE__EXCHANGE__SECRET": f"{name}-secret"}
    log = own / "freqtrade.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=own, env=environment | keys, stdout=output, stderr=subprocess.STDOUT)
    try:
        while b"state='RUNNING'" not in log.read_bytes():
            if process.poll() is not None:
                raise SystemExit(log.read_text()[-2_000:])
            time.sleep(0.2)
        yield
    finally:
        end_process(process)


def account(name: str) -> dict[str, object]:
    return {"name": name, "api_key": f"{name}-key", "secret": f"{name}-secret", "balances": {"USDT": "1000000"}}


def order_times(name: str, url: str, pair: str) -> list[datetime]:
    """Return when each order of an account was placed, by the venue's clock."""
    block = local_exchange(url, [pair])["ccxt_config"]
    exchange = ccxt.binance(block | {"apiKey": f"{name}-key", "secret": f"{name}-secret"})
    orders = exchange.fetch_orders(pair, limit=1000)
    return sorted(datetime.fromtimestamp(order["timestamp"] / 1000, UTC) for order in orders)


def after_close(times: list[datetime]) -> list[float]:
    """Return how long after the close of the bar before it each order came, seconds."""
    return [(time - MINUTE.floor(time)).total_seconds() for time in times]


def put_within(db: Store, minutes: int) -> dict[str, list[datetime]]:
    """Put a signal for each pair in at some second of each minute, entries and exits by turns; return when."""
    put: dict[str, list[datetime]] = {pair: [] for pair in WITHIN_PAIRS}
    seconds = random.Random(1)
    for number in range(minutes):
        minute = MINUTE.floor(datetime.now(UTC)) + MINUTE.delta
        for pair, second in zip(WITHIN_PAIRS, (seconds.uniform(5, 28), seconds.uniform(30, 55)), strict=True):
            time.sleep(max(0.0, (minute + timedelta(seconds=second) - datetime.now(UTC)).total_seconds()))
            now = datetime.now(UTC)
            put[pair].append(now)
            db[SIGNALS].insert_one(
                {
                    "strategy_id": "within", "pair": pair, "symbol": f"BINANCE:{pair.replace('/', '')}",
                    "timeframe": "1m", "ts": minute - MINUTE.delta, "version": 1, "run_id": "bench",
                    "action": "exit_long" if number % 2 else "enter_long", "created_at": now, "updated_at": now,
                }
            )  # fmt: skip
    time.sleep(5)
    return put


def measure(minutes: int) -> dict[str, list[float]]:
    """Run the three bots for some minutes and return the seconds of each."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        accounts = folder / "accounts.json"
        accounts.touch(mode=0o600)
        accounts.write_text(json.dumps([account(name) for name in ("chain", "alone", "within")]))
        server, uri = stack.enter_context(temporary_server())
        venue = stack.enter_context(
            running_venue(
                [
                    "--bars",
                    "synthetic",
                    "--symbol",
                    "BTCUSDT,ETHUSDT,SOLUSDT",
                    "--speed",
                    "1",
                    "--accounts",
                    str(accounts),
                ]
            )
        )
        settings = Settings.load(mongo_uri=SecretStr(uri), db="bench", home=server.home)
        store = {"EXT_SIG_MONGO_URI": uri, "EXT_SIG_DB": "bench"}
        own = {"QUANTFLOW_MONGO_URI": uri, "QUANTFLOW_DB": "bench", "QUANTFLOW_HOME": str(server.home)}
        environment = clean_environment(own)
        since = (MINUTE.floor(datetime.now(UTC)) - timedelta(hours=1)).isoformat()
        graph = str(shared_file("examples/btc_momentum_1m.yaml"))
        changes = [f"bars.start={since}", f"momentum.lookback_bars={LOOKBACK_BARS}"]
        follow = ["import-ohlcv", "--follow", "--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--since", since]
        live = ["quantflow", "live", graph, *(part for change in changes for part in ("--set", change))]
        db = stack.enter_context(connect(settings))
        stack.enter_context(running_program([*follow, "--exchange-url", venue.url], folder, environment))
        time.sleep(10)
        stack.enter_context(running_program(live, folder, environment))
        while db[SIGNAL_EXPORTS].find_one() is None:
            time.sleep(0.2)
        for name, pairs in (("chain", ["BTC/USDT"]), ("alone", ["BTC/USDT"]), ("within", WITHIN_PAIRS)):
            strategy = {"EXT_SIG_STRATEGY_ID": "within" if name == "within" else "btc_momentum"}
            stack.enter_context(bot(name, venue.url, pairs, folder, clean_environment(store | strategy)))
        began = MINUTE.floor(datetime.now(UTC)) + MINUTE.delta
        put = put_within(db, minutes)
        seen = {name: after_close([t for t in order_times(name, venue.url, "BTC/USDT") if t >= began])
                for name in ("chain", "alone")}  # fmt: skip
        seen["within"] = []
        for pair in WITHIN_PAIRS:
            orders = order_times("within", venue.url, pair)
            for moment in put[pair]:
                later = [(order - moment).total_seconds() for order in orders if order >= moment]
                seen["within"] += later[:1]
        return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seen = measure(given.minutes)
    figures = {
        name: {"orders": len(values), **{f"p{percent}_s": percentile(values, percent) for percent in (50, 95, 100)}}
        for name, values in seen.items()
    }
    if given.json:
        print(json.dumps(figures))
        return
    what = {"chain": "close to order, through MongoDB", "alone": "close to order, Freqtrade alone",
            "within": "insert within a candle to order"}  # fmt: skip
    for name, row in figures.items():
        spread = "  ".join(f"p{percent} {row[f'p{percent}_s']} s" for percent in (50, 95, 100))
        print(f"{what[name]:35} {row['orders']:4} orders  {spread}")


if __name__ == "__main__":
    main()
