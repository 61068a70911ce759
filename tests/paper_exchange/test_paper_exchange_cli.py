"""The command reads its options, refuses mistakes in a sentence, and sets the clock that is asked for."""

import socket
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.main import get_command
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.cli import app, main
from paper_exchange.clock import RunningClock, StandingClock, WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.market import Market
from paper_exchange.options.bars import Source, read_sources
from paper_exchange.options.time import make_clock, parse_time
from paper_exchange.ready import ready_line
from paper_exchange.server import serve, write_ready_file


@pytest.fixture
def markets() -> dict[str, Market]:
    """One market of two minutes."""
    return {"BTCUSDT": market_of(tape_of([(0, 100, 100, 100, 100, 9), (1, 100, 100, 100, 100, 9)]))}


def failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command in this process; its exit code and what it printed to stderr."""
    monkeypatch.setattr("sys.argv", ["paper-exchange", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bars", "nowhere.csv"], "there is no such file"),
        (["--bars", "synthetic", "--symbol", "ABCXYZ"], "ends in no quote asset"),
        (["--bars", "synthetic", "--symbol", "btc"], "A symbol such as BTCUSDT"),
        (["--bars", "synthetic", "--symbol", ","], "At least one symbol"),
        (["--bars", "synthetic", "--symbol", "BTCUSDT,BTC/USDT"], "Each symbol can have one source"),
        (["--bars", "a.csv", "--symbol", "BTCUSDT,ETHUSDT"], "One file holds one symbol"),
        (["--bars", "a.csv", "--bars", "b.csv"], "write --bars SYMBOL=FILE"),
        (["--bars", "synthetic", "--speed", "-1"], "--speed needs a number from 0 up"),
        (["--bars", "synthetic", "--start", "soon"], "--start needs an ISO time"),
        (["--bars", "synthetic", "--start", "now", "--speed", "60"], "--start now needs --speed 1"),
        (["--bars", "synthetic", "--end", "2022-13-01"], "--end needs an ISO time"),
        (["--bars", "synthetic", "--host", "203.0.113.1"], "is no address of this machine"),
        (["--bars", "synthetic", "--ready-file", "/nowhere/ready.json"], "/nowhere/ready.json can not be written"),
        (["--bars", "synthetic", "--ready-file", "/proc/version"], "/proc/version can not be replaced"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """What was needed and what was found; no traceback."""
    code, err = failure(monkeypatch, capsys, "--port", "0", *arguments)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = failure(monkeypatch, capsys, "--port", str(port), "--bars", "synthetic", "--days", "1")
    assert code == 2
    assert f"Port {port} of 127.0.0.1 is in use by another program" in err


@pytest.mark.parametrize(
    ("bars", "symbol", "sources"),
    [
        (["synthetic"], "BTCUSDT", [Source("BTCUSDT", None)]),
        (["synthetic"], "BTCUSDT, ETHUSDT", [Source("BTCUSDT", None), Source("ETHUSDT", None)]),
        (["x.csv"], "ETHUSDT", [Source("ETHUSDT", Path("x.csv"))]),
        (
            ["BTCUSDT=a=b.csv", "ETHUSDT=synthetic"],
            "BTCUSDT",
            [Source("BTCUSDT", Path("a=b.csv")), Source("ETHUSDT", None)],
        ),
    ],
)
def test_sources_are_read_from_bars_and_symbol(bars: list[str], symbol: str, sources: list[Source]) -> None:
    """One file takes its name from --symbol, several say theirs themselves."""
    assert read_sources(bars, symbol) == sources


def test_the_clock_stands_at_the_end_of_the_bars_by_default(markets: dict[str, Market]) -> None:
    """So that all bars are closed."""
    clock = make_clock(markets, 0, "", on_wall_time=False)
    assert isinstance(clock, StandingClock)
    assert clock.now_ms() == NEW_YEAR_MS + 2 * MINUTE_MS


def test_the_clock_stands_where_it_is_told_to(markets: dict[str, Market]) -> None:
    """A time without a zone is UTC."""
    assert make_clock(markets, 0, "2022-01-01T00:00:30", on_wall_time=False).now_ms() == NEW_YEAR_MS + 30_000
    assert parse_time("--start", "2022-01-01T08:00:30+08:00") == NEW_YEAR_MS + 30_000


def test_a_running_clock_begins_with_the_first_bar_and_stops_with_the_last(markets: dict[str, Market]) -> None:
    """Unless --start says otherwise."""
    clock = make_clock(markets, 60, "", on_wall_time=False)
    assert isinstance(clock, RunningClock)
    assert (clock.start_ms, clock.stop_ms, clock.speed) == (NEW_YEAR_MS, NEW_YEAR_MS + 2 * MINUTE_MS, 60)
    later = make_clock(markets, 2, "2022-01-01T00:01", on_wall_time=False)
    assert isinstance(later, RunningClock)
    assert later.start_ms == NEW_YEAR_MS + MINUTE_MS


def test_on_wall_time_the_venue_tells_the_machines_time(markets: dict[str, Market]) -> None:
    """Within the seconds that this test takes."""
    clock = make_clock(markets, 1, "now", on_wall_time=True)
    assert isinstance(clock, WallClock)
    assert abs(clock.now_ms() - time.time() * 1000) < 60_000


def test_the_ready_line_says_what_is_served(markets: dict[str, Market]) -> None:
    """Address, bars, their span and source, and the clock."""
    line = ready_line(markets, {"url": "http://127.0.0.1:5"}, StandingClock(markets["BTCUSDT"].tape.end_ms))
    assert line == (
        "paper-exchange ready at http://127.0.0.1:5: BTCUSDT 2 bars 2022-01-01 00:00 to 2022-01-01 00:01 UTC "
        "(a test's bars); clock stands still at 2022-01-01 00:02 UTC"
    )


def test_a_time_before_1970_or_after_all_times_is_refused() -> None:
    """Not a traceback from the depths of the calendar."""
    for text in ("0001-01-01", "1969-12-31", "2022-01-01T00:00:00+99:00"):
        with pytest.raises(StartError, match="--start needs an ISO time"):
            parse_time("--start", text)


def test_what_a_killed_venue_left_is_removed_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whoever waits for the ready file must not see an old one, even where the new venue fails to start."""
    left = tmp_path / "ready.json"
    left.write_text("{}")
    failure(monkeypatch, capsys, "--port", "0", "--bars", "nowhere.csv", "--ready-file", str(left))
    assert not left.exists()


def test_a_ready_file_that_fails_at_the_last_moment_ends_the_venue(tmp_path: Path) -> None:
    """The sentence, not a process that hangs: a folder in the file's place can not be replaced by it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        folder = tmp_path / "ready.json"
        folder.mkdir()
        with pytest.raises(StartError, match="can not be written"):
            serve(FastAPI(), listener, lambda: write_ready_file(folder, {}))


def test_every_option_is_documented() -> None:
    """On the venue's page, by its name; those that typer adds itself are its own."""
    page = (Path(__file__).parents[2] / "docs" / "paper-exchange.md").read_text()
    named = {name for parameter in get_command(app).params for name in parameter.opts if name.startswith("--")}
    undocumented = {name for name in named if f"`{name}`" not in page}
    assert undocumented == {"--install-completion", "--show-completion"}
