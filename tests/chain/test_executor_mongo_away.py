"""MongoDB frozen, killed, and back: the loop goes on, stops work, nothing enters, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_bot import MINUTE, ExecutorBot, executor_bot
from pydantic import SecretStr

from schemas.embedded import EmbeddedServer, temporary_server
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]

LONGEST_LOOP_S = 1.0  # the contract, in real time


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[EmbeddedServer, str]]:
    """A MongoDB of this file's own, to be frozen and killed."""
    with temporary_server() as started:
        yield started


@pytest.fixture(scope="module")
def bot(server: tuple[EmbeddedServer, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorBot]:
    """A bot whose minute takes twelve seconds; how long a loop is held is measured in real time."""
    folder: Path = tmp_path_factory.mktemp("executor")
    settings = Settings.load(mongo_uri=SecretStr(server[1]), db="away", home=folder, mongo_timeout_s=60.0)
    with connect(settings) as db, executor_bot(db, settings, folder / "bot", speed=5) as one:
        one.start()
        yield one


def said(bot: ExecutorBot, since: int) -> dict[str, int]:
    """How often the log spoke of MongoDB since a place in it."""
    log = bot.log()[since:]
    words = ("No signals until", "gives signals again", "are kept in", "takes receipts, fills and positions again")
    return {word: log.count(word) for word in words}


def test_a_frozen_mongodb_holds_no_loop_and_loses_no_stop(bot: ExecutorBot, server: tuple[EmbeddedServer, str]) -> None:
    """SIGSTOP for eight seconds with a position open: Freqtrade's stop sells, and MongoDB learns of it afterwards."""
    closed = MINUTE.floor(bot.clock.now()) - MINUTE.delta
    bot.signal(closed, action="enter_long")
    bot.wait(lambda: bool(bot.positions(ts=closed, state="open")), "the position")
    mongod = server[0].running().mongod()
    assert mongod is not None
    place, loops = len(bot.log()), len(bot.held_s())
    mongod.suspend()
    try:
        bot.wait(lambda: said(bot, place)["No signals until"] == 1, "the warning")
        bot.flag("stop")
        bot.wait(lambda: bot.trades()[-1][1] == 0, "the stop")
        bot.wait(lambda: said(bot, place)["are kept in"] == 1, "that the fill waits")
        bot.wait(lambda: len(bot.held_s()) > loops + 8, "further loops")
    finally:
        mongod.resume()
    bot.flag("stop", on=False)
    bot.wait(lambda: bool(bot.positions(ts=closed, state="closed")), "the closed position")
    bot.wait(lambda: said(bot, place)["gives signals again"] == 1, "the return")
    (position,) = bot.positions(ts=closed)
    assert position["exit_reason"] == "trailing_stop_loss"
    (bought, sold) = bot.fills()
    assert "ts" not in sold
    assert sold["reason"] == "trailing_stop_loss"
    assert bought["ts"] == closed
    assert set(said(bot, place).values()) == {1}
    assert max(bot.held_s()[loops:]) <= LONGEST_LOOP_S


def test_a_killed_mongodb_comes_back_to_a_bot_that_missed_nothing(
    bot: ExecutorBot, server: tuple[EmbeddedServer, str]
) -> None:
    """kill -9; its keeper starts it again at the same port, and the next signal is traded."""
    killed = server[0].running()
    mongod = killed.mongod()
    assert mongod is not None
    loops = len(bot.held_s())
    mongod.kill()

    def is_back() -> bool:
        state = server[0].state()
        return state is not None and state.pid != killed.pid and state.mongod() is not None

    bot.wait(is_back, "the new server")
    closed = bot.signal(action="enter_long")
    bot.wait(lambda: bool(bot.positions(ts=closed, state="open")), "the position")
    assert bot.outcome(closed) == ("entered", None)
    assert max(bot.held_s()[loops:]) <= LONGEST_LOOP_S
    assert "Traceback" not in bot.log()


def test_a_bot_starts_without_mongodb_and_a_killed_one_tells_what_it_kept(
    bot: ExecutorBot, server: tuple[EmbeddedServer, str]
) -> None:
    """Frozen before the bot starts: it trades on, and its stop sells. Killed then, it tells of it at its next start."""
    (held,) = bot.positions(state="open")
    bot.end()
    mongod = server[0].running().mongod()
    assert mongod is not None
    loops, place = len(bot.held_s()), len(bot.log())
    mongod.suspend()
    try:
        bot.start()
        bot.flag("stop")
        bot.wait(lambda: bot.trades()[-1][1] == 0, "the stop")
        bot.wait(lambda: said(bot, place)["are kept in"] == 1, "that the fill waits")
        assert said(bot, place)["No signals until"] == 1
        assert max(bot.held_s()[loops:]) <= LONGEST_LOOP_S
        bot.end(by=9)
    finally:
        mongod.resume()
    bot.flag("stop", on=False)
    assert bot.positions(ts=held["ts"])[0]["state"] == "open"
    bot.start()
    bot.wait(lambda: bool(bot.positions(ts=held["ts"], state="closed")), "the closed position")
    assert len(bot.fills()) == len(bot.orders())
