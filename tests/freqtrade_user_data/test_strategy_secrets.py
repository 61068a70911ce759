"""A real bot signs in to a guarded MongoDB by a file of secrets, and its log tells the password at no level."""

import signal as signals_of_unix
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from bot_folder import BotFolder, signal
from guarded import DATABASE, Guarded, guarded_database

from schemas.collections import SIGNAL_RECEIPTS, SIGNALS

pytestmark = [pytest.mark.mongo, pytest.mark.freqtrade, pytest.mark.venue]
PATIENCE_S = 90


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_database(tmp_path_factory.mktemp("guarded")) as made:
        yield made


def test_a_bot_at_its_most_talkative_tells_no_password(
    new_folder: Callable[[Path], BotFolder], live_venue_config: Path, guarded: Guarded
) -> None:
    """With -vvv the driver tells every command. The bot reads a signal and answers it: the password is really used."""
    folder = new_folder(live_venue_config)
    closed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    with guarded.as_user("research") as db:
        db[SIGNALS].insert_one(signal("BTC/USDT", closed, action="exit_long"))
    folder.write_config(db_url=f"sqlite:///{folder.path / 'trades.sqlite'}")
    secrets = {"QUANTFLOW_SECRETS_DIR": str(guarded.secrets / "executor"), "EXT_SIG_MONGO_TIMEOUT_MS": "5000"}
    log = folder.path / "bot.log"
    with log.open("wb") as output:
        bot = subprocess.Popen(
            folder.command("trade", "-vvv", config="config.example.json"),
            env=folder.environment(mongo_uri="", db=DATABASE) | secrets,
            cwd=folder.path, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        with guarded.as_user("monitor") as db:
            while db[SIGNAL_RECEIPTS].find_one({"ts": closed}) is None:
                assert bot.poll() is None, log.read_text()[-3_000:]
                assert time.monotonic() < deadline, log.read_text()[-3_000:]
                time.sleep(0.2)
    finally:
        bot.send_signal(signals_of_unix.SIGTERM)
        bot.wait(30)
    password = guarded.uri("executor").partition("executor:")[2].partition("@")[0]
    said = log.read_text(errors="replace")
    assert "saslStart" in said or "pymongo" in said
    assert password not in said
    assert unquote_plus(password) not in said
    assert not [path for path in folder.path.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
