"""Cuts a websocket off without a word, as a broken network does."""

from collections.abc import MutableMapping
from typing import Any

EXTENSION = "paper_exchange.abort"  # the server puts a function of this name into the scope of each websocket


def abort(scope: MutableMapping[str, Any]) -> bool:
    """End the connection of a websocket's `scope` at once, and return whether the server could.

    A closing frame would wait behind all that its client does not read; and a client must learn to live without one.
    """
    cut = scope.get("extensions", {}).get(EXTENSION)
    if cut is None:
        return False
    cut()
    return True
