"""Runs the real `freqtrade trade` in live mode against a local venue, in a folder of its own, by a replay's clock."""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from quantflow_nodes.freqtrade_folder import (
    STRATEGY,
    FreqtradeError,
    copy_strategy,
    last_words,
    local_exchange,
    rest_api,
)
from quantflow_nodes.programs import clean_environment, end_process, shared_file
from schemas.clock import Clock
from schemas.errors import InputError, StoreError
from schemas.settings import Settings

PAPER_KEY, PAPER_SECRET = "paper-key", "paper-secret"  # the default account of paper-exchange
_READY_TIMEOUT_S = 120.0
_TRADES = "trades.sqlite"


@dataclass(frozen=True, slots=True)
class BotRequest:
    """What a bot is asked to trade: pairs, whose signals, at which venue, with which stake, in which folder.

    `consumer` is the name under which it writes receipts, fills and positions; `signal_settings` are further
    `EXT_SIG_*` variables. With `api_port` its REST API listens there, on the loopback alone, for the user
    `freqtrader` with `api_password`.
    """

    pairs: Sequence[str]
    timeframe: str
    strategy_id: str
    consumer: str
    venue_url: str
    stake_quote: float
    folder: Path
    signal_settings: Mapping[str, str] = field(default_factory=dict)
    api_port: int | None = None
    api_password: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_urlsafe(24)))


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot that trades, and where its log is."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise a FreqtradeError where the bot has ended."""
        if self.process.poll() is not None:
            raise FreqtradeError(f"freqtrade trade ended: {last_words(self.log)}")


@contextmanager
def running_bot(request: BotRequest, settings: Settings, clock: Clock) -> Iterator[Bot]:
    """Run a bot for the length of a `with` block, which begins when it trades.

    Raises
    ------
    InputError
        Where another bot has traded in that folder.
    FreqtradeError
        Where it does not start; with what it said.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    if (request.folder / _TRADES).exists():
        raise InputError(f"{request.folder} holds the trades of an earlier bot. Name another folder, or remove it.")
    strategies = copy_strategy(request.folder)
    config = request.folder / "config.json"
    config.write_bytes(orjson.dumps(_config(request), option=orjson.OPT_INDENT_2))
    command = [
        sys.executable, "-m", "quantflow_nodes.replay_time", "freqtrade", "trade", "--strategy", STRATEGY,
        "--strategy-path", str(strategies), "--userdir", str(request.folder), "--config", str(config), "--no-color",
        "--db-url", f"sqlite:///{request.folder / _TRADES}",
    ]  # fmt: skip
    log = request.folder / "freqtrade.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=request.folder,  # a .env of the user's must not reach this bot
            env=_environment(request, settings, clock),
            stdin=subprocess.PIPE,  # held by us alone: when we end, however that is, the bot ends
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    bot = Bot(process, log)
    try:
        _wait_until_running(bot)
        yield bot
    finally:
        end_process(process)
        if process.stdin is not None:
            process.stdin.close()


def _config(request: BotRequest) -> dict[str, Any]:
    base: dict[str, Any] = orjson.loads(shared_file("freqtrade_user_data/config.example.json").read_bytes())
    if request.api_port is not None:
        base["api_server"] = rest_api(request.api_port)
    quote = request.pairs[0].rpartition("/")[2]
    return base | {
        "dry_run": False,
        "bot_name": request.consumer,
        "timeframe": request.timeframe,
        "stake_currency": quote,
        "stake_amount": request.stake_quote,
        "max_open_trades": len(request.pairs),
        "exchange": local_exchange(request.venue_url, request.pairs),
        "external_signals": {"strategy_id": request.strategy_id},
    }


def _environment(request: BotRequest, settings: Settings, clock: Clock) -> dict[str, str]:
    if settings.mongo_uri is None:
        raise StoreError("Freqtrade needs the address of a MongoDB server to read signals from.")
    return clean_environment(
        {
            **request.signal_settings,
            "EXT_SIG_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "EXT_SIG_DB": settings.db,
            "EXT_SIG_STRATEGY_ID": request.strategy_id,
            "EXT_SIG_CONSUMER": request.consumer,
            "FREQTRADE__EXCHANGE__KEY": PAPER_KEY,
            "FREQTRADE__EXCHANGE__SECRET": PAPER_SECRET,
            **_api_secrets(request),
            "QUANTFLOW_REPLAY_CLOCK": str(clock),
            "NO_COLOR": "1",
        }
    )


def _api_secrets(request: BotRequest) -> dict[str, str]:
    if request.api_port is None:
        return {}
    return {
        "FREQTRADE__API_SERVER__PASSWORD": request.api_password.get_secret_value(),
        "FREQTRADE__API_SERVER__JWT_SECRET_KEY": secrets.token_hex(32),
    }


def _wait_until_running(bot: Bot) -> None:
    """Wait for the first loop, which Freqtrade's heartbeat ends."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while b"state='RUNNING'" not in bot.log.read_bytes():
        bot.check()
        if time.monotonic() > deadline:
            raise FreqtradeError(f"freqtrade trade did not start: {last_words(bot.log)}")
        time.sleep(0.1)
