"""The whole live chain under the monitor's eyes: each program can be ended or frozen, and comes back where it was."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ccxt
import httpx
import yaml
from executor_bot import CONSUMER, PAIR, ExecutorBot
from live_chain import MINUTE, PATIENCE_S, START, VenueProcess, free_port

from quantflow_nodes.freqtrade_bot import PAPER_KEY, PAPER_SECRET
from quantflow_nodes.freqtrade_folder import local_exchange
from quantflow_nodes.programs import Venue, clean_environment, end_process, find_program, venue_clock
from schemas.clock import Clock
from schemas.collections import MONITOR_ALERTS, SIGNAL_EXPORTS, Store
from schemas.embedded import EmbeddedServer
from schemas.settings import Settings
from schemas.timeframes import parse_time

STRATEGY_ID = "watched"
API_PASSWORD = "chain-api-password"
STAKE_QUOTE = 50_000.0
GRAPH = {
    "name": "watched",
    "nodes": {
        "bars": {"type": "read_bars", "params": {"symbols": ["BINANCE:BTCUSDT"], "timeframe": "1m", "start": START}},
        "momentum": {
            "type": "factor",
            "params": {"name": "momentum", "lookback_bars": 1},
            "inputs": {"bars": "bars.bars"},
        },
        "position": {
            "type": "threshold_position",
            "params": {"enter_above": 0.0, "exit_below": 0.0},
            "inputs": {"factor": "momentum.factor"},
        },
        "export": {
            "type": "export_signals",
            "params": {"strategy_id": STRATEGY_ID, "emit": "every_bar"},
            "inputs": {"position": "position.position"},
        },
    },
}


@dataclass
class ChainProgram:
    """One of our commands that runs until it is ended, and can be started again."""

    command: list[str]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / f"{self.command[0]}.{self.command[1].strip('-')}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [find_program(self.command[0], "embedded"), *self.command[1:]],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def signal(self, number: int) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.command[:2]} has ended"
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            end_process(self.process)


class Receiver:
    """Takes alerts as a chat would: a local address that apprise posts JSON to."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class WatchedChain:
    """What a test breaks, and what it sees of the monitor."""

    db: Store
    server: EmbeddedServer
    venue_process: VenueProcess
    venue: Venue
    clock: Clock
    follow: ChainProgram
    live: ChainProgram
    monitor: ChainProgram
    bot: ExecutorBot
    receiver: Receiver
    told: list[dict[str, Any]] = field(default_factory=list)

    def alerts(self, rule: str, **more: Any) -> list[dict[str, Any]]:
        """All alerts of a rule so far, those that are over too, oldest first; what is not known of one is None."""
        unknown = dict.fromkeys(("strategy_id", "consumer", "pair", "told_at"))
        return [
            unknown | dict(one) for one in self.db[MONITOR_ALERTS].find({"rule": rule, **more}).sort("noticed_at", 1)
        ]

    def fires(self, rule: str, since: int, **more: Any) -> dict[str, Any]:
        """Wait for one more alert of a rule than there were, told to the receiver, and return it."""
        self.wait(lambda: any(one["told_at"] for one in self.alerts(rule, **more)[since:]), f"an alert {rule} {more}")
        return self.alerts(rule, **more)[since]

    def clears(self, alert: dict[str, Any]) -> None:
        """Wait until an alert is over, and see that it was told twice: when it began, and when it was over."""
        key = {"alert_id": alert["alert_id"]}

        def is_over() -> bool:
            return bool((self.db[MONITOR_ALERTS].find_one(key) or {}).get("settled"))

        self.wait(is_over, f"the end of {alert['rule']}: {alert['text']}")
        seen = self.messages(alert)
        assert len(seen) == 2, seen

    def messages(self, alert: dict[str, Any]) -> list[dict[str, Any]]:
        """What the receiver was told of an alert, by the words that both of its messages have."""
        return [one for one in self.receiver.messages if f"{alert['alert_id']}" in json.dumps(one)]

    def fault(self, **document: Any) -> None:
        answer = httpx.post(f"{self.venue.url}/control/faults", json=document)
        assert answer.status_code == 201, answer.text

    def clear_faults(self) -> None:
        httpx.delete(f"{self.venue.url}/control/faults")

    def account(self) -> ccxt.binance:
        """The bot's account, in somebody else's hands."""
        block = local_exchange(self.venue.url, [PAIR])["ccxt_config"]
        return ccxt.binance({"apiKey": PAPER_KEY, "secret": PAPER_SECRET, **block})

    def revive(self) -> None:
        """Undo what a test that failed left behind: faults, and programs that are frozen or dead."""
        if self.venue_process.process is None or self.venue_process.process.poll() is not None:
            self.venue_process.start()
        self.clear_faults()
        assert self.bot.process is not None
        self.bot.process.send_signal(signal.SIGCONT)
        for program in (self.follow, self.live, self.monitor):
            assert program.process is not None
            program.process.send_signal(signal.SIGCONT)
            if program.process.poll() is not None:
                program.start()

    def exports(self) -> int:
        return self.db[SIGNAL_EXPORTS].count_documents({"strategy_id": STRATEGY_ID})

    def pass_bars(self, count: int) -> None:
        until = self.clock.now() + count * MINUTE.delta
        self.wait(lambda: self.clock.now() >= until, "time to pass")

    def wait(self, is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert self.monitor.process is not None
            said = (self.monitor.folder / "signal-monitor.run.log").read_text()[-3_000:]
            assert self.monitor.process.poll() is None, f"the monitor ended: {said}"
            assert time.monotonic() < deadline, f"{what} was not seen: {said}"
            time.sleep(0.05)


@contextmanager
def watched_chain(
    db: Store, settings: Settings, server: EmbeddedServer, folder: Path, rules: dict[str, Any]
) -> Iterator[WatchedChain]:
    """Run importer, research, bot and monitor at a local venue for the length of a `with` block."""
    # A limit for each real minute is a twentieth of itself at this speed; faults limit where a test wants it.
    venue_process = VenueProcess(folder, depth_levels=1_000, weight_limit=0)
    receiver, api_port = Receiver(), free_port()
    programs: list[ChainProgram] = []
    bot: ExecutorBot | None = None
    try:
        venue = venue_process.start()
        clock = venue_clock(venue)
        environment = _environment(settings, clock, receiver.url)
        _write_files(folder, venue, api_port, rules)
        source = ["--symbol", "BINANCE:BTCUSDT", "--exchange-url", venue.url, "--since", START]
        commands = (
            ["import-ohlcv", "--follow", "--tf", "1m", *source],
            ["quantflow", "live", "watched.yaml"],
            ["signal-monitor", "run", "--watch", "watch.yaml", "--every", "0.5", "--json"],
        )
        programs = [ChainProgram(command, folder, environment) for command in commands]
        follow, live, monitor = programs
        follow.start()
        live.start()
        bot = ExecutorBot(
            db, settings, venue, clock, folder / "bot",
            config={"stake_amount": STAKE_QUOTE, "api_server": _api(api_port)},
            signal_settings={"strategy_id": STRATEGY_ID},
        )  # fmt: skip
        bot.start()
        monitor.start()
        yield WatchedChain(db, server, venue_process, venue, clock, follow, live, monitor, bot, receiver)
    finally:
        if bot is not None and bot.process is not None:
            bot.process.send_signal(signal.SIGCONT)
            bot.end()
        for program in reversed(programs):
            program.end()
        venue_process.end()
        receiver.close()


def _write_files(folder: Path, venue: Venue, api_port: int, rules: dict[str, Any]) -> None:
    start = parse_time(START, "the start").isoformat()
    graph = json.loads(json.dumps(GRAPH).replace(START, start))
    (folder / "watched.yaml").write_text(yaml.safe_dump(graph))
    watched = {
        "strategy_id": STRATEGY_ID, "consumer": CONSUMER, "pairs": [PAIR], "symbols": ["BINANCE:BTCUSDT"],
        "every_bar": True, "freqtrade": f"http://127.0.0.1:{api_port}", "exchange": "binance",
        "exchange_url": venue.url,
    }  # fmt: skip
    (folder / "watch.yaml").write_text(
        yaml.safe_dump({"strategies": [watched], "rules": rules, "alerts": {"over_after": "20s"}})
    )


def _api(port: int) -> dict[str, Any]:
    return {
        "enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port, "username": "freqtrader",
        "password": API_PASSWORD, "jwt_secret_key": "a-key-of-a-bot-that-lives-for-minutes", "verbosity": "error",
        "ws_token": "unused-token-of-this-bot",
    }  # fmt: skip


def _environment(settings: Settings, clock: Clock, alert_url: str) -> dict[str, str]:
    assert settings.mongo_uri is not None
    return clean_environment(
        {
            "QUANTFLOW_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "QUANTFLOW_DB": settings.db,
            "QUANTFLOW_HOME": str(settings.home),
            "QUANTFLOW_REPLAY_CLOCK": str(clock),
            "QUANTFLOW_EXCHANGE_KEY": PAPER_KEY,
            "QUANTFLOW_EXCHANGE_SECRET": PAPER_SECRET,
            "QUANTFLOW_FREQTRADE_PASSWORD": API_PASSWORD,
            "QUANTFLOW_ALERT_URLS": alert_url,
            "PYTHONUNBUFFERED": "1",
            "PATH": os.environ["PATH"],
        }
    )
