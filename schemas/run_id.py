"""The name of one run of a command or graph: unique, and sorted by time when sorted as text."""

import secrets
import time

_TIME_DIGITS, _RANDOM_BYTES = 12, 10


def new_run_id() -> str:
    """Return 32 hexadecimal digits: the clock in milliseconds, then 80 random bits.

    Ids made in different milliseconds sort as text in the order in which they were made, as those of UUID version 7.
    """
    return f"{time.time_ns() // 1_000_000:0{_TIME_DIGITS}x}{secrets.token_hex(_RANDOM_BYTES)}"
