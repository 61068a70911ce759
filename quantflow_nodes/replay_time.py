"""Runs a Python program by a replay's clock: what it takes for the machine's time is the replay's.

Freqtrade compares candles with the machine's time, so it can trade older days only if it takes them for today. It runs
as it is; `time.time`, `datetime.now` and what is built on them answer by the replay's clock, and `time.sleep` sleeps as
much shorter as the clock runs faster. Patience, which is measured with `time.monotonic`, stays real.

`python -m quantflow_nodes.replay_time freqtrade trade ...`, with `QUANTFLOW_REPLAY_CLOCK` set.
"""

import os
import runpy
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

import time_machine

from schemas.clock import Clock, process_clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_S = 0.004  # between two corrections the time runs at the machine's speed


@contextmanager
def replay_time(clock: Clock) -> Iterator[None]:
    """Let this process take `clock` for the machine's, for the length of a `with` block."""
    real_sleep, real_time_ns = time.sleep, time_machine.escape_hatch.time.time_ns
    ended = threading.Event()
    started = time_machine.travel(clock.now(), tick=True)
    traveller = started.start()

    def correct() -> None:
        """Move the time to the clock's line; by steps forward, so that no reader ever sees it turn back."""
        while not ended.wait(_STEP_S):
            wall = _EPOCH + timedelta(microseconds=real_time_ns() // 1000)
            ahead = clock.at(wall) - datetime.now(UTC)
            if ahead > timedelta(0):
                traveller.shift(ahead)

    threading.Thread(target=correct, name="replay-time", daemon=True).start()
    time.sleep = lambda seconds: real_sleep(float(seconds) / clock.speed)
    try:
        yield
    finally:
        ended.set()
        time.sleep = real_sleep
        started.stop()


def main(arguments: list[str]) -> None:
    """Run the module that the first argument names, as `python -m` does, with the others as its arguments."""
    clock = process_clock()
    sys.argv = arguments
    threading.Thread(target=_end_at_eof, name="end-at-eof", daemon=True).start()
    with replay_time(clock) if clock.is_replay else nullcontext():
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _end_at_eof() -> None:
    """End this process when its standard input ends: whoever started it has gone, however that was."""
    standard_input = 0  # by number: a lock on sys.stdin would be in the way of the interpreter's end
    if stat.S_ISFIFO(os.fstat(standard_input).st_mode):
        while os.read(standard_input, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
