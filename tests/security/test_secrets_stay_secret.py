"""Every command is run with planted passwords and keys, and none of them gets into any output, file or document."""

import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import bson
import pytest
import typer.main
from guarded import DATABASE, Guarded, bare_environment
from market import START, graph_text, write_walk

from importers.cli import app as importing
from monitoring.cli import app as monitoring
from paper_exchange.cli import app as venue
from quantflow_nodes.cli import app as quantflow
from quantflow_nodes.programs import running_venue
from schemas.collections import COLLECTIONS, MONITOR_ALERTS, SIGNAL_RECEIPTS, SIGNALS

pytestmark = pytest.mark.mongo
HERE = Path(__file__).parent
APPS = {"import-ohlcv": importing, "quantflow": quantflow, "signal-monitor": monitoring, "paper-exchange": venue}
KEY, SECRET = "planted-key-4f1c9e", "planted-secret-77a0b2"
BOT_PASSWORD, ALERT_PASSWORD, ALERT_TOKEN = "planted/bot@pass w0rd", "planted-alert-p4ss", "planted-tok3n-91c"
SPAN = ["--from", "2022-01-01", "--to", "2022-01-02"]
SEEN = START + timedelta(minutes=31, seconds=1)
RECEIPT = {
    "consumer": "bot", "strategy_id": "walk", "pair": "BTC/USDT", "timeframe": "1m",
    "ts": START + timedelta(minutes=30),
    "version": 1, "decision": "skipped", "reason": "risk", "seen_at": SEEN, "candle": START, "latency_ms": 1000.0,
    "run_id": "bot-run", "updated_at": SEEN,
}  # fmt: skip
Leaf = tuple[str, ...]

# The cheapest arguments by which each command does its work, and the code by which it then ends.
ARGUMENTS: dict[tuple[str, ...], tuple[list[str], int]] = {
    ("import-ohlcv",): (["--tf", "1m", "--symbol", "BINANCE:ETHUSDT", "--source", "csv", "--path", "bars.csv"], 6),
    ("import-ohlcv", "gaps"): ([], 0),
    ("import-ohlcv", "rejects"): ([], 0),
    ("quantflow", "run"): (["walk.yaml"], 0),
    ("quantflow", "sweep"): (["walk.yaml", "--grid", "momentum.lookback_bars=10,20", "--out", "sweep"], 0),
    ("quantflow", "live"): (["walk.yaml", "--until", "2022-01-01T03:00"], 0),
    ("quantflow", "lookahead"): (["walk.yaml", "--samples", "1"], 0),
    ("quantflow", "check"): (["walk.yaml"], 0),
    ("quantflow", "nodes"): ([], 0),
    ("quantflow", "runs"): ([], 0),
    ("quantflow", "parity"): (["walk.yaml", "--set", "bars.symbols=['BINANCE:SOLUSDT']", "--keep", "parity"], 2),
    ("quantflow", "replay"): (["--strategy", "walk", "--consumer", "bot", *SPAN, "--keep", "replay"], 2),
    ("quantflow", "audit"): (["--strategy-id", "walk"], 0),
    ("quantflow", "demo"): (["--folder", "bars.csv/none"], 2),
    ("quantflow", "demo-live"): (["--folder", "bars.csv/none"], 2),
    ("quantflow", "exec"): (["--", "true"], 0),
    ("quantflow", "db", "start"): ([], 2),
    ("quantflow", "db", "stop"): ([], 2),
    ("quantflow", "db", "status"): ([], 0),
    ("quantflow", "db", "cache"): ([], 0),
    ("quantflow", "db", "uri"): ([], 2),
    ("quantflow", "db", "init"): ([], 0),
    ("quantflow", "db", "roles"): (["--secrets", "users", "--new-passwords"], 0),
    ("quantflow", "db", "reset"): (["--yes"], 0),
    ("signal-monitor", "run"): (["--watch", "watch.yaml", "--looks", "2", "--every", "0.1", "--metrics-port", "0"], 0),
    ("signal-monitor", "check"): (["--watch", "watch.yaml"], 2),
    ("signal-monitor", "latency"): (["--strategy", "walk", *SPAN], 0),
    ("signal-monitor", "reconcile"): (["--strategy", "walk", "--consumer", "bot", *SPAN, "EXCHANGE", "FREQTRADE"], 7),
    ("signal-monitor", "compare"): (["--strategy", "walk", "--consumer", "bot", *SPAN], 0),
    ("signal-monitor", "report"): ([*SPAN, "--watch", "watch.yaml", "-o", "span.html"], 0),
    ("signal-monitor", "test-alert"): ([], 4),
    ("paper-exchange",): (["--bars", "good.csv", "--symbol", "ETHUSDT", "--port", "0", "--accounts", "accounts.json",
                           "--journal", "journal", "--until-eof"], 0),
}  # fmt: skip
CHEAP = [
    ("quantflow", "run"),
    ("quantflow", "db", "status"),
    ("signal-monitor", "check"),
    ("signal-monitor", "test-alert"),
]
ACCOUNTS = json.dumps([{"name": "me", "api_key": KEY, "secret": SECRET, "balances": {"USDT": "9"}}])


def leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every command line that a program knows, a group that works by itself among them."""
    if not hasattr(command, "list_commands"):
        yield path
        return
    context = command.make_context(path[-1], [], resilient_parsing=True)
    if path == ("import-ohlcv",):
        yield path
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


def test_every_command_is_tried() -> None:
    """A command that is added is missed here, until it is told how to run."""
    found = {leaf for name, app in APPS.items() for leaf in leaves(typer.main.get_command(app), (name,))}
    assert found == set(ARGUMENTS)


def test_no_option_takes_a_secret() -> None:
    """Other users of a machine can read command lines: passwords, keys and tokens come by environment or file."""
    suspicious = ("password", "secret", "token", "api", "uri", "key", "credential")
    for name, app in APPS.items():
        for path, command in commands(typer.main.get_command(app), (name,)):
            for option in command.params:
                taken = [word for word in suspicious if any(word in text for text in option.opts)]
                # The folder into which `db roles` writes, and a switch, are no secrets.
                if getattr(option, "is_flag", False) or (path[-1], option.name) == ("roles", "secrets"):
                    continue
                assert not taken, (path, option.opts)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if hasattr(command, "list_commands"):
        context = command.make_context(path[-1], [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


class Echo(BaseHTTPRequestHandler):
    """A service that refuses everything, and in doing so repeats all that it was told."""

    def _refuse(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body.decode(errors="replace")})
        self.send_response(400)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    do_GET = do_POST = do_PUT = do_DELETE = _refuse  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Trial:
    """A folder in which commands run with planted secrets, and what they left."""

    def __init__(self, guarded: Guarded, folder: Path, exchange_url: str, echo_port: int) -> None:
        self.folder, self._guarded, self._outputs = folder / "work", guarded, folder / "outputs"
        self.folder.mkdir()
        self._outputs.mkdir()
        (self.folder / "users").symlink_to(guarded.secrets)  # new passwords are then known to the tests that follow
        self._echo, self._exchange_url = f"http://127.0.0.1:{echo_port}", exchange_url
        self.environment = bare_environment() | {
            "QUANTFLOW_DB": DATABASE,
            "QUANTFLOW_MONGO_URI": guarded.server.admin_uri,
            "EXT_SIG_MONGO_URI": guarded.server.admin_uri,
            "QUANTFLOW_EXCHANGE_KEY": KEY,
            "QUANTFLOW_EXCHANGE_SECRET": SECRET,
            "QUANTFLOW_FREQTRADE_PASSWORD": BOT_PASSWORD,
            "QUANTFLOW_ALERT_URLS": f"json://user:{ALERT_PASSWORD}@127.0.0.1:{echo_port}/hook/{ALERT_TOKEN}",
            "QUANTFLOW_MONGO_TIMEOUT_S": "5",
            "QUANTFLOW_HOME": str(folder / "home"),
        }
        self._write_inputs()

    def _write_inputs(self) -> None:
        rows = ["date,open,high,low,close,volume"]
        rows += [f"2022-01-01T00:{minute:02d}:00Z,100,101,99,100,1" for minute in range(60) if minute != 30]
        (self.folder / "good.csv").write_text("\n".join([*rows, ""]))
        (self.folder / "bars.csv").write_text("\n".join([*rows, "not-a-time,100,101,99,100,1", ""]))
        (self.folder / "walk.yaml").write_text(graph_text(days=1, lookback=20))
        (self.folder / "watch.yaml").write_text(
            "strategies:\n"
            f"  - {{strategy_id: walk, consumer: bot, pairs: [BTC/USDT], freqtrade: '{self._echo}', exchange: binance, "
            f"exchange_url: '{self._exchange_url}'}}\n"
            "  - {strategy_id: other, consumer: bot, pairs: [BTC/USDT], exchange: binance, "
            f"exchange_url: '{self._echo}'}}\n"
        )
        (self.folder / "accounts.json").write_text(ACCOUNTS)
        (self.folder / "accounts.json").chmod(0o600)

    def run(self, trials: Sequence[tuple[Leaf, Mapping[str, str]]]) -> list[tuple[Leaf, int]]:
        """Run commands one after another, each with more in its environment, and return their codes."""
        jobs = [self._job(path, environment) for path, environment in trials]
        done = subprocess.run(
            [sys.executable, HERE / "run_programs.py"],
            input=json.dumps(jobs), capture_output=True, text=True, cwd=HERE.parents[1], timeout=200, check=False,
            env=bare_environment() | {"PYTHONPATH": str(HERE.parents[1])},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(zip((path for path, _ in trials), json.loads(done.stdout), strict=True))

    def _job(self, path: Leaf, environment: Mapping[str, str]) -> dict[str, Any]:
        number = len(list(self._outputs.iterdir()))
        spread = {
            "EXCHANGE": ["--exchange", "binance", "--exchange-url", self._exchange_url],
            "FREQTRADE": ["--freqtrade", self._echo],
        }
        given = [part for argument in ARGUMENTS[path][0] for part in spread.get(argument, [argument])]
        own = {"QUANTFLOW_DB": f"{DATABASE}_scratch"} if path[-1] == "reset" else {}
        outputs = {name: str(self._outputs / f"{number}.{'-'.join(path)}.{name}") for name in ("out", "err")}
        for output in outputs.values():
            Path(output).touch()
        command = {"program": path[0], "arguments": [*path[1:], *given]}
        env = {**self.environment, **own, **environment}
        return {**command, **outputs, "env": env, "cwd": str(self.folder), "in": "/dev/null"}

    def said(self, path: tuple[str, ...]) -> str:
        """All that a command has said so far."""
        return "".join(file.read_text(errors="replace") for file in sorted(self._outputs.glob(f"*.{'-'.join(path)}.*")))

    def leaks(self, secrets: Mapping[str, str]) -> list[str]:
        """Where a planted secret stands, in whatever spelling."""
        places: dict[str, bytes] = {}
        for root in (self.folder, self._outputs):
            for file in root.rglob("*"):
                if file.is_file() and file.name != "accounts.json":
                    places[str(file.relative_to(root))] = file.read_bytes()
        with self._guarded.as_user("admin") as db:
            for collection in COLLECTIONS:
                found = list(db[collection.name].find())
                places[collection.name] = b"".join(bson.encode(document) for document in found)
        forms = {name: spellings(secret) for name, secret in secrets.items()}
        return [
            f"{name} in {place}"
            for place, content in places.items()
            for name, spelt in forms.items()
            if any(form in content for form in spelt)
        ]


def spellings(secret: str) -> set[bytes]:
    """A secret as people, addresses, JSON and HTTP's sign-in write it."""
    sign_ins = [b64encode(f"{user}:{secret}".encode()) for user in ("freqtrader", "user", "admin")]
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    return {text.encode() for text in texts} | set(sign_ins)


@pytest.fixture(scope="module")
def trial(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Bars and signals in the store, a venue that knows the planted key, a bot and a receiver that repeat all."""
    folder = tmp_path_factory.mktemp("trial")
    with guarded.as_user("admin") as db:
        for collection in COLLECTIONS:
            db[collection.name].delete_many({})
        write_walk(db, 240)
        db[SIGNAL_RECEIPTS].insert_one(RECEIPT)
    accounts = folder / "accounts.json"
    accounts.write_text(ACCOUNTS)
    accounts.chmod(0o600)
    venue_arguments = ["--bars", "synthetic", "--days", "1", "--accounts", str(accounts)]
    with echo() as port, running_venue(venue_arguments) as exchange:
        yield Trial(guarded, folder, exchange.url, port)


@pytest.fixture(scope="module")
def planted(guarded: Guarded) -> dict[str, str]:
    return {
        "MongoDB's password": guarded.server.admin_password,
        "the exchange's key": KEY,
        "the exchange's secret": SECRET,
        "Freqtrade's password": BOT_PASSWORD,
        "the receiver's password": ALERT_PASSWORD,
        "the receiver's token": ALERT_TOKEN,
    }


def test_no_command_tells_a_secret_at_debug(trial: Trial, planted: dict[str, str], guarded: Guarded) -> None:
    """All commands do their work, each library tells all it can, and what was planted stands nowhere."""
    codes = trial.run([(path, {"QUANTFLOW_LOG_LEVEL": "DEBUG"}) for path in ARGUMENTS])
    assert trial.leaks(planted) == []
    unexpected = {path: (code, trial.said(path)[-300:]) for path, code in codes if code != ARGUMENTS[path][1]}
    assert unexpected == {}, unexpected
    # What makes this a trial: the libraries did speak, and what they were told was the planted.
    assert "pymongo" in trial.said(("quantflow", "run"))
    assert "ccxt" in trial.said(("signal-monitor", "reconcile"))
    assert "***" in trial.said(("signal-monitor", "reconcile"))
    assert "***" in trial.said(("signal-monitor", "test-alert"))
    with guarded.as_user("admin") as db:
        assert db[SIGNALS].count_documents({}) > 0
        assert db[MONITOR_ALERTS].count_documents({}) > 0


def test_no_command_tells_a_secret_at_other_levels(trial: Trial, planted: dict[str, str]) -> None:
    """At each of them, and as JSON."""
    levels = [{"QUANTFLOW_LOG_LEVEL": level} for level in ("INFO", "WARNING", "ERROR")]
    levels.append({"QUANTFLOW_LOG_LEVEL": "DEBUG", "QUANTFLOW_LOG_JSON": "true"})
    trial.run([(path, level) for level in levels for path in CHEAP])
    assert trial.leaks(planted) == []


def test_what_fails_tells_no_secret(trial: Trial, planted: dict[str, str], guarded: Guarded) -> None:
    """A wrong password, a server that is not there, an address that can not be read, an account that is not known."""
    password = "planted-wr0ng/p@ss"
    right, port = guarded.server.admin_uri, guarded.server.port
    wrong = right.replace(guarded.server.admin_password, quote_plus(password))
    addresses = [wrong, wrong.replace(f":{port}/", ":9/"), f"mongodb://admin:{password}@127.0.0.1:{port}/"]
    loud = {"QUANTFLOW_LOG_LEVEL": "DEBUG", "QUANTFLOW_MONGO_TIMEOUT_S": "1"}
    failing = [("quantflow", "run"), ("quantflow", "runs"), ("signal-monitor", "check"), ("import-ohlcv", "gaps")]
    trials: list[tuple[Leaf, Mapping[str, str]]] = [
        (path, {**loud, "QUANTFLOW_MONGO_URI": uri}) for uri in addresses for path in failing
    ]
    codes = trial.run(trials)
    assert all(code in (2, 3) for _, code in codes), codes
    foreign = {"QUANTFLOW_EXCHANGE_KEY": "planted-unknown-k3y", "QUANTFLOW_EXCHANGE_SECRET": "planted-unknown-s3cret"}
    trial.run([(("signal-monitor", "reconcile"), {**loud, **foreign})])
    assert trial.leaks({**planted, "a wrong password": password, **foreign}) == []
