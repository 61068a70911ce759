"""A way to the server that breaks once, for tests of what is asked or written again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.uri_parser import parse_uri


@contextmanager
def cut_once(uri: str, command: bytes) -> Iterator[str]:
    """Stand before a server, and lose its first answer to a command: the connection breaks in its place."""
    (server,) = parse_uri(uri)["nodelist"]
    listener = socket.create_server(("127.0.0.1", 0))
    has_cut = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(server) as upstream:
            while asked := client.recv(1 << 20):
                upstream.sendall(asked)
                answer = upstream.recv(1 << 20)
                if command in asked and not has_cut.is_set():
                    has_cut.set()
                    return
                client.sendall(answer)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        host, port = listener.getsockname()
        yield f"mongodb://{host}:{port}/?directConnection=true&heartbeatFrequencyMS=60000"
    finally:
        listener.close()
    assert has_cut.is_set(), "the command was never sent"
