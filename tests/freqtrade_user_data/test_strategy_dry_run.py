"""A real bot in dry-run: it lives without MongoDB, trades the signal that it finds later, and stops when told."""

import signal as signals_of_unix
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bot_folder import BotFolder, signal

from schemas.collections import FILLS, SIGNALS, Store

pytestmark = [pytest.mark.mongo, pytest.mark.freqtrade, pytest.mark.venue]


class Line:
    """A port of its own in front of MongoDB that can be dead: nobody listens until it is `open`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listener.close()

    @contextmanager
    def open(self) -> Iterator[None]:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield
        finally:
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), closing(source), closing(sink):
            while data := source.recv(65_536):
                sink.sendall(data)


class Bot:
    """`freqtrade trade` as a process, with its log and its trades."""

    def __init__(self, folder: BotFolder, mongo_uri: str) -> None:
        self._log, self._trades = folder.path / "bot.log", folder.path / "trades.sqlite"
        folder.write_config(db_url=f"sqlite:///{self._trades}")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                folder.command("trade", config="config.example.json"),
                env=folder.environment(mongo_uri=mongo_uri),
                cwd=folder.path,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def log(self) -> str:
        return " ".join(self._log.read_text().split())

    def trades(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._trades)) as database:
            return database.execute("SELECT pair, is_open, enter_tag, exit_reason FROM trades").fetchall()

    def wait_for(self, what: str, is_true: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not is_true():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{what} was not seen in {seconds} s. {self.log()[-3_000:]}")
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.send_signal(signals_of_unix.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture
def line(mongo_uri: str) -> Line:
    server = urlsplit(mongo_uri)
    return Line((server.hostname or "127.0.0.1", server.port or 27_017))


@pytest.fixture
def bot(new_folder: Callable[[Path], BotFolder], live_venue_config: Path, line: Line) -> Iterator[Bot]:
    started = Bot(new_folder(live_venue_config), f"mongodb://127.0.0.1:{line.port}/?directConnection=true")
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait(timeout=30)


def test_a_bot_outlives_mongodb_and_trades_once(bot: Bot, line: Line, db: Store) -> None:
    """Started with nobody at MongoDB's address it loops on; when one answers it enters once, on the newest signal.

    It writes no traceback, and ends on SIGTERM as Freqtrade does, with code 130.
    """
    bot.wait_for("The warning", lambda: "No signals until MongoDB answers; tried every 5 s." in bot.log())
    bot.wait_for("A running bot", lambda: "state='RUNNING'" in bot.log())
    with line.open():
        bot.wait_for("The return", lambda: "MongoDB gives signals again" in bot.log())
        closed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
        db[SIGNALS].insert_one(signal("BTC/USDT", closed, action="enter_long"))
        bot.wait_for("A trade", lambda: len(bot.trades()) == 1, 20)
        assert bot.trades() == [("BTC/USDT", 1, f"btc_momentum@{closed:%Y-%m-%dT%H:%MZ}#1", None)]
        bot.wait_for("Its fill", lambda: db[FILLS].count_documents({"ts": closed}) == 1, 20)
        assert bot.stop() == 130
    assert len(bot.trades()) == 1
    assert bot.log().count("No signals until") == 1
    assert "Traceback" not in bot.log()
