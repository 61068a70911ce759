"""Runs the venue as a process: binds the port, says when it is ready, and ends cleanly when asked."""

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

import orjson
import uvicorn
from starlette.types import ASGIApp

from paper_exchange.errors import StartError
from paper_exchange.websocket_protocol import CuttableWebSocket

_BACKLOG = 2048
_PING_EVERY_S, _PONG_WITHIN_S = 20.0, 60.0  # the venue's: silent for a minute is gone
_LARGEST_MESSAGE = 2**20
_GOODBYE_S = 0.02  # so that what was said last is written before the sockets are closed


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; `port` 0 takes a free one.

    Raises
    ------
    StartError
        Where the port is taken, may not be used, or the host is not one of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise StartError(f"--host {host} is no address of this machine; 127.0.0.1 is usual.") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(_bind_failure(host, port, error)) from None
    listener.setblocking(False)
    return listener


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use by another program; choose another, or --port 0 for a free one."
    if error.errno == errno.EACCES:
        return f"Port {port} needs privileges that this user has not; choose one above 1023, or --port 0."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine; 127.0.0.1 is usual."
    return f"The venue can not listen at {host}:{port}: {error.strerror}."


def clear_ready_file(path: Path) -> None:
    """Remove what an earlier venue that was killed left at `path`, so that nobody takes it for this one's.

    Raises
    ------
    StartError
        Where no file can be written there later.
    """
    if not path.parent.is_dir():
        raise StartError(f"--ready-file {path} can not be written: there is no folder {path.parent}.")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"--ready-file {path} can not be replaced: {error.strerror}.") from None


def write_ready_file(path: Path, document: dict[str, object]) -> None:
    """Write `document` to `path` at once: whoever sees the file sees all of it.

    Raises
    ------
    StartError
        Where the folder can not be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(orjson.dumps(document) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise StartError(f"--ready-file {path} can not be written: {error.strerror}.") from None


class Background(Protocol):
    """What runs beside the requests."""

    async def run(self) -> None:
        """Run until cancelled."""
        ...

    def say_goodbye(self) -> None:
        """Use the last moment at which clients are still connected."""
        ...


def serve(
    app: ASGIApp,
    listener: socket.socket,
    on_ready: Callable[[], None],
    *,
    until_eof: bool = False,
    background: Background | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; `on_ready` is called once requests are being answered.

    With `until_eof` the end of standard input ends the venue too: a program that holds the other end of that pipe takes
    the venue with it, however it dies. A `background` that fails ends the venue as well, with its error: a market that
    stands still unnoticed would be worse than none.
    """
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, ws=CuttableWebSocket,
        ws_max_size=_LARGEST_MESSAGE, ws_ping_interval=_PING_EVERY_S, ws_ping_timeout=_PONG_WITHIN_S,
        ws_per_message_deflate=False, timeout_graceful_shutdown=3, backlog=_BACKLOG,
    )  # fmt: skip
    server = _Server(config, on_ready, background)

    # uvicorn ends by raising the caught signal once more for these handlers: being asked to stop is no failure.
    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    if until_eof:
        threading.Thread(target=_end_at_eof, args=(server,), daemon=True).start()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if server.failure is not None:
        raise server.failure


class _Server(uvicorn.Server):
    """A uvicorn server that tells when it has started, and runs something beside the requests."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], background: Background | None) -> None:
        super().__init__(config)
        self.failure: BaseException | None = None
        self._on_ready = on_ready
        self._background = background
        self._task: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        if self._background is not None:
            self._task = asyncio.create_task(self._background.run())
            self._task.add_done_callback(self._background_ended)
        try:
            self._on_ready()
        except BaseException:
            await self.shutdown(sockets)  # uvloop waits forever for a loop that still listens
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._background is not None and self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._background.say_goodbye()
            await asyncio.sleep(_GOODBYE_S)
        await super().shutdown(sockets)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.failure = task.exception()
            self.should_exit = True


def _end_at_eof(server: uvicorn.Server) -> None:
    standard_input = 0  # by number: a lock on sys.stdin would be in the way of the interpreter's end
    while os.read(standard_input, 4096):
        pass
    server.should_exit = True
