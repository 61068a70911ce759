"""A line to a server over which each answer takes its time: for tests of what counts as slow and what as away."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def slow_line(port: int, delay_s: float) -> Iterator[int]:
    """Give a port that passes on to another one of this machine, and passes each answer back so much later."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, port, delay_s), daemon=True).start()
        yield int(door.getsockname()[1])


def _serve(door: socket.socket, port: int, delay_s: float) -> None:
    while True:
        try:
            near, _ = door.accept()
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:  # the test is over
            return
        for source, sink, wait_s in ((near, far, 0.0), (far, near, delay_s)):
            threading.Thread(target=_pass_on, args=(source, sink, wait_s), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, wait_s: float) -> None:
    with source:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(wait_s)
                sink.sendall(data)
        with contextlib.suppress(OSError):  # that ends the other direction too
            sink.shutdown(socket.SHUT_RDWR)
