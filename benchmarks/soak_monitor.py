"""Runs the whole chain at replay speed with many pairs and watches the monitor's memory and its load on MongoDB.

    python benchmarks/soak_monitor.py [--minutes 30] [--pairs 20] [--speed 10] [--json]

Venue, importer, research, the real Freqtrade in live mode with its REST API, and `signal-monitor run` with all sources
and rules: six programs, one MongoDB. Each five seconds the resident memory of each is read. Memory is flat where the
line through the second half of the samples rises by less than two percent of the mean over that half.

The monitor's queries are counted twice: by itself (quantflow_monitor_mongodb_commands_total) and by MongoDB's profiler,
which logs every operation by the program's name.
"""

import argparse
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from quantflow_nodes.chain_programs import Program, running_program
from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET, Bot, BotRequest, running_bot
from quantflow_nodes.programs import Venue, clean_environment, running_venue, venue_clock
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNALS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.symbols import Symbol

BASES = [
    "BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK", "LTC", "BCH", "ATOM", "UNI", "ETC", "XLM",
    "FIL", "NEAR", "APT", "ARB", "OP", "SUI", "INJ", "AAVE", "ALGO",
]  # fmt: skip
STRATEGY_ID = "soak"
CONSUMER = "soak-bot"
API_PASSWORD = "soak-password"  # noqa: S105 - of a bot that lives for minutes on the loopback
SAMPLE_S = 5.0
PROFILE_S = 30.0
FLAT_PCT = 2.0


def graph(symbols: list[str], start: datetime) -> dict[str, Any]:
    """A momentum of three bars on all symbols: about every third bar of each gives a signal."""
    return {
        "name": "soak",
        "nodes": {
            "bars": {
                "type": "read_bars",
                "params": {"symbols": symbols, "timeframe": "1m", "start": start.isoformat()},
            },
            "momentum": {
                "type": "factor",
                "params": {"name": "momentum", "lookback_bars": 3},
                "inputs": {"bars": "bars.bars"},
            },
            "position": {
                "type": "threshold_position",
                "params": {"enter_above": 0.0, "exit_below": 0.0},
                "inputs": {"factor": "momentum.factor"},
            },
            "export": {
                "type": "export_signals",
                "params": {"strategy_id": STRATEGY_ID, "emit": "changes"},
                "inputs": {"position": "position.position"},
            },
        },
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rss_mb(process: psutil.Process) -> float:
    """Resident memory of a program and what it started, MB."""
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in family) / 1e6


def rise_pct(samples: list[float]) -> float:
    """How much the line through some samples rises from their first to their last, in percent of their mean."""
    if len(samples) < 2:
        return 0.0
    line = statistics.linear_regression(range(len(samples)), samples)
    return line.slope * (len(samples) - 1) / statistics.fmean(samples) * 100


def metric(text: str, name: str) -> float:
    """The sum of all series of a metric."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def profiled(db: Store, app: str, seconds: float) -> dict[str, int]:
    """What a program asked of MongoDB within some seconds, by command, as the server's profiler saw it."""
    began = datetime.now(UTC)
    db.command("profile", 2)
    time.sleep(seconds)
    db.command("profile", 0)
    found = db["system.profile"].aggregate(
        [
            {"$match": {"ts": {"$gte": began}, "appName": app}},
            {"$group": {"_id": "$op", "count": {"$sum": 1}}},
        ]
    )
    return {str(one["_id"]): int(one["count"]) for one in found}


@dataclass(frozen=True)
class Chain:
    """The programs of a running chain, and where the monitor serves its metrics."""

    db: Store
    programs: dict[str, Program]
    bot: Bot
    metrics_url: str

    def check(self) -> None:
        """Fail with a program's last words where one has ended."""
        self.bot.check()
        for program in self.programs.values():
            program.check()

    def processes(self) -> dict[str, psutil.Process]:
        """All programs but MongoDB and the venue."""
        own = {name: psutil.Process(program.process.pid) for name, program in self.programs.items()}
        return own | {"freqtrade": psutil.Process(self.bot.process.pid)}


@contextmanager
def running_chain(symbols: list[Symbol], speed: float, folder: Path) -> Iterator[Chain]:
    """Run venue, importer, research, bot and monitor for the length of a `with` block."""
    names = ",".join(symbol.venue_name for symbol in symbols)
    arguments = ["--bars", "synthetic", "--symbol", names, "--speed", f"{speed:g}", "--deposit", "USDT=1000000"]
    # A limit of requests for each real minute would be a tenth or a twentieth of itself in a replay.
    arguments += ["--start", "2022-01-10", "--weight-limit", "0"]
    with ExitStack() as stack:
        server, uri = stack.enter_context(temporary_server())
        venue = stack.enter_context(running_venue(arguments))
        settings = Settings.load(mongo_uri=SecretStr(uri), db="soak", home=server.home)
        db = stack.enter_context(connect(settings))
        clock, api_port, metrics_port = venue_clock(venue), free_port(), free_port()
        since = clock.now() - timedelta(minutes=30)
        write_files(folder, symbols, since, f"http://127.0.0.1:{api_port}", venue)
        environment = environment_of(settings, venue)

        def run(command: list[str]) -> Program:
            return stack.enter_context(running_program(command, folder, environment))

        named = ",".join(map(str, symbols))
        source = ["--symbol", named, "--exchange-url", venue.url, "--since", since.isoformat()]
        programs = {"import-ohlcv": run(["import-ohlcv", "--follow", "--tf", "1m", *source])}
        programs["quantflow live"] = run(["quantflow", "live", "soak.yaml"])
        while db[SIGNAL_EXPORTS].find_one() is None:
            for program in programs.values():
                program.check()
            time.sleep(0.2)
        request = BotRequest(
            pairs=[symbol.pair for symbol in symbols],
            timeframe="1m",
            strategy_id=STRATEGY_ID,
            consumer=CONSUMER,
            venue_url=venue.url,
            stake_quote=1_000.0,
            folder=folder / "bot",
            api_port=api_port,
            api_password=SecretStr(API_PASSWORD),
        )
        bot = stack.enter_context(running_bot(request, settings, clock))
        watch = ["signal-monitor", "run", "--watch", "watch.yaml", "--metrics-port", str(metrics_port), "--json"]
        programs["signal-monitor"] = run(watch)
        yield Chain(db, programs, bot, f"http://127.0.0.1:{metrics_port}/metrics")


def write_files(folder: Path, symbols: list[Symbol], since: datetime, api: str, venue: Venue) -> None:
    """Write what research and the monitor are told: the graph and the watch file."""
    (folder / "soak.yaml").write_text(yaml.safe_dump(graph([str(symbol) for symbol in symbols], since)))
    watched = {
        "strategy_id": STRATEGY_ID,
        "consumer": CONSUMER,
        "freqtrade": api,
        "exchange": "binance",
        "exchange_url": venue.url,
    }
    # An hour back instead of a day, so that what is looked back on is soon as much as it will ever be.
    rules = {"reconciliation": {"within": "1h"}}
    (folder / "watch.yaml").write_text(yaml.safe_dump({"strategies": [watched], "rules": rules}))


def environment_of(settings: Settings, venue: Venue) -> dict[str, str]:
    """Return what all programs but the bot are told by their environment."""
    uri = settings.mongo_uri.get_secret_value() if settings.mongo_uri else ""
    return clean_environment(
        {
            "QUANTFLOW_MONGO_URI": uri,
            "QUANTFLOW_DB": settings.db,
            "QUANTFLOW_HOME": str(settings.home),
            "QUANTFLOW_REPLAY_CLOCK": str(venue_clock(venue)),
            "QUANTFLOW_EXCHANGE_KEY": PAPER_KEY,
            "QUANTFLOW_EXCHANGE_SECRET": PAPER_SECRET,
            "QUANTFLOW_FREQTRADE_PASSWORD": API_PASSWORD,
        }
    )


def soak(minutes: float, pairs: int, speed: float) -> dict[str, Any]:
    """Run the chain for some minutes of the machine's time and return what was seen."""
    symbols = [Symbol.parse(f"BINANCE:{base}USDT") for base in BASES[:pairs]]
    with tempfile.TemporaryDirectory() as temporary, running_chain(symbols, speed, Path(temporary)) as chain:
        samples: dict[str, list[float]] = {name: [] for name in chain.processes()}
        began = time.monotonic()
        while time.monotonic() < began + minutes * 60:
            time.sleep(SAMPLE_S)
            chain.check()
            for name, process in chain.processes().items():
                samples[name].append(rss_mb(process))
        ran_s = time.monotonic() - began
        text = httpx.get(chain.metrics_url).text
        cpu = chain.processes()["signal-monitor"].cpu_times()
        asked = profiled(chain.db, "signal-monitor", PROFILE_S)
        return {
            "minutes": minutes,
            "pairs": pairs,
            "speed": speed,
            "signals": chain.db[SIGNALS].count_documents({}),
            "fills": chain.db[FILLS].count_documents({}),
            "looks": metric(text, "quantflow_monitor_looks_total"),
            "queries_per_s": metric(text, "quantflow_monitor_mongodb_commands_total") / ran_s,
            "profiled_per_s": {op: count / PROFILE_S for op, count in sorted(asked.items())},
            "cpu_pct": (cpu.user + cpu.system) / ran_s * 100,
            "rss_mb": {name: memory(values) for name, values in samples.items()},
        }


def memory(values: list[float]) -> dict[str, float]:
    """What a program's memory did, MB; the first minute is its start."""
    half = values[len(values) // 2 :]
    return {
        "after_a_minute": values[min(len(values) - 1, round(60 / SAMPLE_S))],
        "in_the_middle": half[0],
        "at_the_end": values[-1],
        "most": max(values),
        "second_half_rise_pct": rise_pct(half),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--speed", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seen = soak(given.minutes, given.pairs, given.speed)
    if given.json:
        print(json.dumps(seen))
        return
    size = f"{seen['minutes']:g} minutes, {seen['pairs']} pairs, x{seen['speed']:g}"
    print(f"{size}: {seen['signals']:,} signals, {seen['fills']:,} fills")
    print(f"the monitor looked {seen['looks']:,.0f} times, with {seen['cpu_pct']:.1f} % of a core")
    told = ", ".join(f"{op} {rate:.2f}" for op, rate in seen["profiled_per_s"].items())
    print(f"it asked MongoDB {seen['queries_per_s']:.2f} times a second (by the profiler: {told})")
    for name, row in seen["rss_mb"].items():
        verdict = "flat" if row["second_half_rise_pct"] < FLAT_PCT else "RISES"
        figures = ", ".join(f"{what.replace('_', ' ')} {row[what]:.1f}" for what in list(row)[:4])
        print(f"{name:15} MB: {figures}; second half {row['second_half_rise_pct']:+.2f} %: {verdict}")


if __name__ == "__main__":
    main()
