"""Carries messages to people through apprise: bounded in time, tried again, and without ever showing an address."""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import structlog
from pydantic import SecretStr

from monitoring.alerts.message import Message
from monitoring.problem import Severity
from schemas.errors import SettingsError

TIMEOUT_S = 10.0
KEPT = 100
_SHORTEST_SECRET = 3

_log = structlog.get_logger(__name__)


@dataclass
class Channel:
    """One address: a service of apprise, asked in a thread of its own, as it may take as long as it likes.

    Attributes
    ----------
    name : str
        What may be shown: the scheme, and the host where it is no secret. Of many services it is the token.
    waiting : deque of Message
        What another channel took and this one did not; it is tried again before anything else.
    late : deque of Message
        What it took after its time and is not known as taken yet.
    """

    name: str
    service: Any
    secrets: Sequence[str] = field(repr=False)
    waiting: deque[Message] = field(default_factory=deque)
    late: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT))
    is_down: bool = False
    _attempt: "_Attempt | None" = None

    def start(self, message: Message) -> "_Attempt | None":
        """Begin to send; None where the attempt before has not come back yet."""
        if self._attempt is not None and self._attempt.thread.is_alive():
            return None
        self._attempt = _Attempt(self.service, message)
        self._attempt.thread.start()
        return self._attempt

    def took_late(self, message: Message) -> bool:
        """Tell whether it took a message after its time: sent again, it would arrive at each try, and never count."""
        attempt = self._attempt
        if attempt is not None and attempt.is_late and not attempt.thread.is_alive():
            self._attempt = None
            if attempt.error is None:
                self.late.append(attempt.message)
        if not message.says_no_more_than(self.late):
            return False
        self.late = deque((one for one in self.late if not one.says_no_more_than([message])), maxlen=KEPT)
        return True

    def keep(self, message: Message) -> None:
        """Let a message wait for the next try; the oldest one makes room."""
        if len(self.waiting) >= KEPT:
            dropped = self.waiting.popleft()
            _log.error("alert_dropped", channel=self.name, alert=dropped.title, why=f"{KEPT} newer ones wait for it")
        self.waiting.append(message)

    def without_secrets(self, text: str) -> str:
        """Return what may be shown of a service's own words."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


class _Attempt:
    """One try to send a message, in a thread that does not keep the program from ending."""

    def __init__(self, service: Any, message: Message) -> None:
        self._service, self.message = service, message
        self.error: str | None = None
        self.is_late = False
        self.thread = threading.Thread(target=self._send, name="alert", daemon=True)

    def result(self, deadline: float) -> str | None:
        """Return why it was not taken, or None where it was."""
        self.thread.join(max(0.0, deadline - time.monotonic()))
        self.is_late = self.thread.is_alive()
        return f"it did not answer within {TIMEOUT_S:g} s" if self.is_late else self.error

    def _send(self) -> None:
        # A plug-in may raise whatever it likes, and a thread has nobody to tell.
        try:
            self.error = _notify(self._service, self.message)
        except Exception as error:  # noqa: BLE001
            self.error = f"{type(error).__name__}: {error}"


class Channels:
    """All channels of a monitor.

    Parameters
    ----------
    channels : sequence of Channel
    failed : callable, optional
        Is called for each message that a channel did not take.
    """

    def __init__(self, channels: Sequence[Channel], failed: Callable[[], None] | None = None) -> None:
        self._channels = channels
        self._failed = failed or (lambda: None)

    @property
    def names(self) -> list[str]:
        """What may be shown of the channels' addresses."""
        return [channel.name for channel in self._channels]

    def send(self, message: Message) -> bool:
        """Send to all channels at once; False where there are some and none took it.

        A channel that did not take it, where another did, gets it before the next message or look.
        """
        answers = self._offer([(channel, message) for channel in self._channels if not channel.waiting])
        taken = not self._channels or any(error is None for error in answers.values())
        if taken:
            for channel in self._channels:
                if answers.get(channel.name, "it has messages waiting") is not None:
                    channel.keep(message)
        return taken

    def retry(self) -> None:
        """Try once more what single channels did not take, in the order of the messages.

        All channels are asked at once, each until it fails; after `TIMEOUT_S` no other message is begun, as a look is
        due: the rest goes out after it.
        """
        end = time.monotonic() + TIMEOUT_S
        trying = [channel for channel in self._channels if channel.waiting]
        while trying and time.monotonic() < end:
            answers = self._offer([(channel, channel.waiting[0]) for channel in trying])
            took = [channel for channel in trying if answers[channel.name] is None]
            for channel in took:
                channel.waiting.popleft()
            trying = [channel for channel in took if channel.waiting]

    def test(self, message: Message) -> dict[str, str | None]:
        """Send a message to each channel, and return why each did not take it; None where it did."""
        return self._offer([(channel, message) for channel in self._channels])

    def _offer(self, offers: Sequence[tuple[Channel, Message]]) -> dict[str, str | None]:
        deadline = time.monotonic() + TIMEOUT_S
        answers: dict[str, str | None] = {
            channel.name: None for channel, message in offers if channel.took_late(message)
        }
        attempts = [(channel, channel.start(message)) for channel, message in offers if channel.name not in answers]
        for channel, attempt in attempts:
            error = "it is still busy with the message before" if attempt is None else attempt.result(deadline)
            answers[channel.name] = None if error is None else channel.without_secrets(error)
        for channel, message in offers:
            self._note(channel, message, answers[channel.name])
        return answers

    def _note(self, channel: Channel, message: Message, error: str | None) -> None:
        """Say once that a channel is down, and once that it is back."""
        if error is not None:
            self._failed()
            if not channel.is_down:
                _log.error("alert_not_taken", channel=channel.name, alert=message.title, why=error)
        elif channel.is_down:
            _log.warning("channel_takes_alerts_again", channel=channel.name)
        channel.is_down = error is not None


def open_channels(urls: SecretStr | None, failed: Callable[[], None] | None = None) -> Channels:
    """Return the channels of addresses as apprise writes them, separated by spaces, commas or lines.

    Raises
    ------
    SettingsError
        Where one of them is no address of a service that apprise knows; the sentence does not repeat it.
    """
    return Channels(read_channels(urls), failed)


def read_channels(urls: SecretStr | None) -> list[Channel]:
    """Return a channel for each address; see `open_channels`."""
    if urls is None:
        return []
    import apprise
    from apprise.utils.parse import parse_urls

    # It warns of addresses in full, and names tokens at lower levels; what matters is in the results.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    addresses: list[str] = parse_urls(urls.get_secret_value())  # type: ignore[no-untyped-call]
    channels: list[Channel] = []
    for number, address in enumerate(addresses, 1):
        service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if service is None:
            raise SettingsError(
                f"Address {number} of {len(addresses)} in QUANTFLOW_ALERT_URLS is not one that apprise can use. It "
                "must look like mailto://user:password@host or tgram://token/chat; `apprise --details` lists them all."
            )
        name = _shown(service)
        taken = sum(channel.name == name or channel.name.startswith(f"{name} (") for channel in channels)
        channels.append(Channel(f"{name} ({taken + 1})" if taken else name, service, _secrets(address, name)))
    return channels


def _notify(service: Any, message: Message) -> str | None:
    import apprise

    kinds = {Severity.HEALTHY: "success", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
    sender = apprise.Apprise()
    sender.add(service)
    # It was a bool before apprise 2, and is a result now that counts as one.
    result: Any = sender.notify(
        body=message.body, title=message.title, notify_type=apprise.NotifyType(kinds[message.severity])
    )
    if result:
        return None
    said = [str(entry.message) for one in getattr(result, "results", ()) for entry in one.logs()]
    return " ".join(said[-1].split())[:300].rstrip(".") if said else "the service refused it or was not reached"


def _shown(service: Any) -> str:
    """Return the scheme, with the host where every form of the service's address has one: else it may be the token."""
    is_secure = getattr(service, "secure", False) or not service.protocol
    schemes = service.secure_protocol if is_secure else service.protocol
    scheme = schemes if isinstance(schemes, str) else schemes[0]
    if not service.host or not all("{host}" in form for form in service.templates):
        return f"{scheme}://***"
    return f"{scheme}://{service.host}{f':{service.port}' if service.port else ''}"


def _secrets(address: str, name: str) -> list[str]:
    """Return the parts of an address that must not be shown, the longest first."""
    parts = {part for text in (address, unquote(address)) for part in [text, *re.split(r"[/:@?&=,;#\s]+", text)]}
    return sorted((part for part in parts if len(part) >= _SHORTEST_SECRET and part not in name), key=len, reverse=True)
