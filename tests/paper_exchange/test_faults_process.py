"""Faults of a real process: what a client sees on its sockets, and who may ask for them at all."""

import json
from collections.abc import Iterator

import httpx
import pytest
from venue_tools import Venue
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from paper_exchange.cli import main

pytestmark = pytest.mark.venue
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue that may have faults, in the middle of January 2022 at sixty times the speed."""
    folder = tmp_path_factory.mktemp("faulty")
    options = ("--start", "2022-01-11", "--speed", "60", "--weight-limit", "0", "--faults")
    with Venue(folder, "--bars", "synthetic", *options) as started:
        yield started


@pytest.fixture(autouse=True)
def cleared(faulty: Venue) -> Iterator[None]:
    """Each test begins and ends without a fault."""
    yield
    httpx.delete(f"{faulty.url}/control/faults").raise_for_status()


def ask_for(venue: Venue, **fault: object) -> None:
    response = httpx.post(f"{venue.url}/control/faults", json=fault)
    assert response.status_code == 201, response.text


def listen(venue: Venue, path: str) -> ClientConnection:
    return connect(venue.url.replace("http", "ws") + path)


def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=PATIENCE_S)


def test_a_dropped_socket_ends_without_a_closing_frame(faulty: Venue) -> None:
    """As a broken network does; until the refusal is over no new socket opens, then one does."""
    with listen(faulty, "/ws/btcusdt@trade") as market, listen(faulty, "/ws-api/v3") as user:
        ask_for(faulty, kind="drop", refuse_s=600)
        for socket in (market, user):
            with pytest.raises(ConnectionClosedError) as ended:
                read_to_the_end(socket)
            assert (ended.value.rcvd, ended.value.sent) == (None, None)
    with pytest.raises(InvalidStatus) as refusal:
        listen(faulty, "/ws")
    assert refusal.value.response.status_code == 503
    (fault,) = httpx.delete(f"{faulty.url}/control/faults").json()
    assert (fault["struck"], fault["sockets_cut"]) == (1, 2)
    with listen(faulty, "/ws") as socket:
        socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert json.loads(socket.recv(timeout=PATIENCE_S)) == {"result": [], "id": 1}


def test_streams_of_a_frozen_market_fall_silent_and_then_tell_all(faulty: Venue) -> None:
    """No trade is told while it is frozen; afterwards not one is missing."""
    with listen(faulty, "/ws/btcusdt@trade") as socket:
        before = json.loads(socket.recv(timeout=PATIENCE_S))
        ask_for(faulty, kind="freeze", seconds=1.5)
        ids = [before["t"]]
        while len(ids) < 40:
            ids.append(json.loads(socket.recv(timeout=PATIENCE_S))["t"])
    assert ids == list(range(ids[0], ids[0] + 40))


def test_without_the_option_there_is_nothing_to_ask(venue: Venue) -> None:
    """The endpoint is not there."""
    assert httpx.get(f"{venue.url}/control/faults").status_code == 404


def test_faults_are_not_for_a_venue_that_others_can_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence and exit code 2."""
    arguments = ["--bars", "synthetic", "--days", "1", "--port", "0", "--host", "127.0.0.2", "--faults"]
    monkeypatch.setattr("sys.argv", ["paper-exchange", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--faults needs a venue that only this machine can reach, found --host 127.0.0.2" in capsys.readouterr().err
