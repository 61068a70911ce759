"""Messages reach a real receiver, failures are told once and tried again, and no address is ever shown."""

import logging
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from receiver import Receiver, running_receiver

from monitoring.alerts import channels as channels_module
from monitoring.alerts.channels import Channels, open_channels, read_channels
from monitoring.alerts.message import Message
from monitoring.problem import Severity
from schemas.errors import SettingsError

# apprise imports it when it loads its services, on Pythons that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
MESSAGE = Message("WARNING: signal_late s 1m", "It was late.\nStrategy: s", Severity.WARNING)
SECRETS = ("hunter2", "s3cr3t-path", "user:")


@pytest.fixture
def first() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def second() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def urls(*receivers: Receiver) -> SecretStr:
    return SecretStr(" ".join(receiver.url for receiver in receivers))


@pytest.mark.parametrize(
    ("severity", "kind"),
    [(Severity.WARNING, "warning"), (Severity.CRITICAL, "failure"), (Severity.HEALTHY, "success")],
)
def test_a_message_arrives_with_its_kind(first: Receiver, severity: Severity, kind: str) -> None:
    """Title, body and what apprise calls its type."""
    assert open_channels(urls(first)).send(Message("T", "B", severity))
    (got,) = first.messages
    assert (got["title"], got["message"], got["type"]) == ("T", "B", kind)


def test_all_channels_get_it(first: Receiver, second: Receiver) -> None:
    """Addresses stand one after another; lines and commas separate them too."""
    both = SecretStr(f"{first.url},\n  {second.url}")
    assert open_channels(both).send(MESSAGE)
    assert first.titles == second.titles == [MESSAGE.title]


def test_without_channels_everything_is_taken() -> None:
    """Whoever sets no address reads standard output."""
    assert open_channels(None).send(MESSAGE)
    assert open_channels(SecretStr(" ")).names == []


def test_a_message_that_nobody_took_is_not_taken(first: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, with the reason, however often it is tried; and once that it works again."""
    failures: list[int] = []
    opened = open_channels(urls(first), lambda: failures.append(1))
    first.status = 500
    assert [opened.send(MESSAGE), opened.send(MESSAGE)] == [False, False]
    first.status = 200
    assert opened.send(MESSAGE)
    said = "".join(capsys.readouterr())
    assert said.count("alert_not_taken") == 1
    assert "500" in said
    assert said.count("channel_takes_alerts_again") == 1
    assert (len(first.messages), len(failures)) == (1, 2)
    assert not any(secret in said for secret in SECRETS)


def test_what_one_channel_took_is_kept_for_the_other(first: Receiver, second: Receiver) -> None:
    """It is tried again, in the order of the messages, and nothing is told twice to the first."""
    opened = open_channels(urls(first, second))
    second.status = 500
    assert opened.send(MESSAGE)
    assert opened.send(Message("SECOND", "It is worse.", Severity.WARNING))
    second.status = 200
    opened.retry()
    assert first.titles == second.titles == [MESSAGE.title, "SECOND"]


def test_a_channel_that_hangs_holds_nothing_up(
    first: Receiver, second: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time it counts as not taken; while it hangs it is not asked again, and others get their messages."""
    monkeypatch.setattr(channels_module, "TIMEOUT_S", 0.3)
    opened = open_channels(urls(first, second))
    first.held.clear()
    began = time.monotonic()
    assert opened.send(MESSAGE)
    assert opened.send(MESSAGE)
    opened.retry()
    assert time.monotonic() - began < 5
    assert (first.requests, len(second.messages)) == (1, 2)
    first.held.set()


def test_what_a_slow_channel_took_after_its_time_is_not_sent_again(
    first: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as taken when it is offered again, told in the words of a later look; other news are sent."""
    monkeypatch.setattr(channels_module, "TIMEOUT_S", 0.05)
    opened = open_channels(urls(first))
    first.held.clear()
    assert not opened.send(Message("T", "Seen: 12:00", Severity.WARNING, frozenset({"a"})))
    monkeypatch.setattr(channels_module, "TIMEOUT_S", 5)
    first.held.set()
    later = Message("T", "Seen: 12:01", Severity.WARNING, frozenset({"a"}))
    assert offered_until_taken(opened, later)
    assert [one["message"] for one in first.messages] == ["Seen: 12:00"]
    assert opened.send(Message("T", "Seen: 12:02", Severity.WARNING, frozenset({"a", "b"})))
    assert opened.send(later)
    assert len(first.messages) == 3


def offered_until_taken(opened: Channels, message: Message) -> bool:
    """While the attempt before has not come back, the channel is busy."""
    end = time.monotonic() + 10
    while not (taken := opened.send(message)) and time.monotonic() < end:
        time.sleep(0.005)
    return taken


def test_what_waits_holds_a_look_up_no_longer_than_one_message(
    first: Receiver, second: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten messages at 30 ms each take longer than the 100 ms of a try; the rest goes out by and by, each once."""
    opened = open_channels(urls(first, second))
    second.status = 500
    titles = [f"{number}" for number in range(10)]
    assert all(opened.send(Message(title, "B", Severity.WARNING)) for title in titles)
    second.status, second.delay_s = 200, 0.03
    monkeypatch.setattr(channels_module, "TIMEOUT_S", 0.1)
    opened.retry()
    assert len(second.titles) < 5
    second.delay_s = 0
    end = time.monotonic() + 10
    while len(second.titles) < 10 and time.monotonic() < end:
        opened.retry()
    assert second.titles == titles


def test_a_message_that_has_to_make_room_is_told_of(
    first: Receiver, second: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oldest one is dropped, by name."""
    monkeypatch.setattr(channels_module, "KEPT", 2)
    opened = open_channels(urls(first, second))
    second.status = 500
    for title in ("oldest", "older", "newest"):
        opened.send(Message(title, "B", Severity.WARNING))
    said = [line for line in "".join(capsys.readouterr()).splitlines() if "alert_dropped" in line]
    assert len(said) == 1
    assert "oldest" in said[0]
    second.status = 200
    opened.retry()
    assert second.titles == ["older", "newest"]


def test_of_services_whose_host_is_a_token_only_the_scheme_is_shown() -> None:
    """The host of a mail server may be read by anybody, a bot's token not."""
    addresses = {
        "tgram://123456789:ABCdefghijklmnopqrstuvwxyz0123456789/555": "tgram://***",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general": "slack://***",
        "dingtalk://abcdefghijklmnop1234": "dingtalk://***",
        "mailtos://bob:pw1@mail.example.org:587?to=x@y.org": "mailtos://mail.example.org:587",
    }
    opened = read_channels(SecretStr(" ".join(addresses)))
    assert [channel.name for channel in opened] == list(addresses.values())
    for channel, address in zip(opened, addresses, strict=True):
        assert channel.without_secrets(f"It failed for {address}.") == "It failed for ***."
        assert address not in repr(channel)


def test_two_addresses_of_one_service_are_told_apart() -> None:
    """By number, as what tells them apart is secret."""
    both = read_channels(SecretStr("dingtalk://abcdefghijklmnop1234 dingtalk://abcdefghijklmnop5678"))
    assert [channel.name for channel in both] == ["dingtalk://***", "dingtalk://*** (2)"]


@pytest.mark.parametrize("wrong", ["nonsense://hunter2", "tgram://hunter2"])
def test_an_address_that_is_none_is_named_by_its_number(wrong: str) -> None:
    """Never by itself, neither in the error nor in what apprise logs of it."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    level, root.level = root.level, logging.DEBUG
    root.addHandler(handler)
    try:
        with pytest.raises(SettingsError, match="Address 2 of 2") as raised:
            read_channels(SecretStr(f"json://127.0.0.1 {wrong}"))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert "hunter2" not in f"{raised.value} {records}"
