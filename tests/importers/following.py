"""Runs a follow in this process while a script moves the venue beside it, or as a process of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from import_samples import BTC, COMMAND, MINUTE, START_MS, Ran
from streaming_venue import StreamingVenue

from importers.follow import Followed, run_follow
from importers.follow_report import FollowReport, FollowSummary
from importers.followed_series import Timing
from importers.intake import ImportRun
from importers.request import FollowRequest, Span
from importers.venue import Patience, VenueAddress
from schemas.collections import Store
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

QUICK = Patience(attempts=4, wait_initial_s=0.01, wait_max_s=0.02)
HASTY = Timing(
    grace_s=0.1, settle_s=0.2, confirm_every_s=0.4, backoff_max_s=0.4, silence_s=5, reconnect_max_s=0.2, end_s=30
)
MINUTE_MS = 60_000


def wait_until(what: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "what was waited for has not come"
        time.sleep(0.005)


def minute(offset: int, more_ms: int = 0) -> int:
    """Return the time so many minutes after the start, in ms."""
    return START_MS + offset * MINUTE_MS + more_ms


class Follow:
    """One run, with what it told."""

    def __init__(self, db: Store, venue: StreamingVenue) -> None:
        self._db, self._venue = db, venue
        self.report = FollowReport("run-1", as_json=True, shows_bars=False)

    def run(
        self, script: Callable[[], None], until: int, *symbols: Symbol, timing: Timing = HASTY,
        timeframe: Timeframe = MINUTE,
    ) -> tuple[Followed, FollowSummary]:  # fmt: skip
        """Follow up to so many bars after the start, while the script runs in a thread."""
        end_ms = START_MS + until * timeframe.seconds * 1000
        names = [str(symbol) for symbol in symbols or (BTC,)]
        address = VenueAddress("binance", self._venue.url, QUICK)
        request = FollowRequest(names, timeframe, address, Span(None, end_ms))
        with ThreadPoolExecutor(1) as threads:
            scripted = threads.submit(_ending_with_us, script)
            followed = run_follow(request, ImportRun(self._db, "run-1", "ccxt"), self.report, timing)
            scripted.result(60)
        return followed, self.report.summary


def _ending_with_us(script: Callable[[], None]) -> None:
    try:
        script()
    except BaseException:
        os.kill(os.getpid(), signal.SIGINT)
        raise


class Process:
    """The command, following."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def send(self, sent: signal.Signals) -> None:
        """Signal it."""
        self._process.send_signal(sent)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send(signal.SIGTERM)

    def line(self) -> str:
        """Wait for one line of its standard output."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ended(self) -> Ran:
        """Wait for its end."""
        out, err = self._process.communicate(timeout=60)
        return Ran(self._process.returncode, out, err)

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
