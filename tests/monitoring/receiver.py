"""A local address that takes alerts as apprise posts them, in JSON; it can refuse and hang."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What was posted; `status` is what it answers, after `delay_s`; while `held` is not set it does not answer."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.requests = 0
        self.status = 200
        self.delay_s = 0.0
        self.held = threading.Event()
        self.held.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.requests += 1
                receiver.held.wait(30)
                time.sleep(receiver.delay_s)
                if receiver.status == 200:
                    receiver.messages.append(body)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """The address for apprise, with a user and password that must not be shown."""
        return f"json://user:hunter2@127.0.0.1:{self.server.server_port}/s3cr3t-path?rto=20"

    @property
    def name(self) -> str:
        """What may be shown of it."""
        return f"json://127.0.0.1:{self.server.server_port}"

    @property
    def titles(self) -> list[str]:
        return [str(message["title"]) for message in self.messages]


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Give a receiver for the length of a `with` block."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.held.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
