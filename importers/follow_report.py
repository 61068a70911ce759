"""What a run that follows tells: a line for each bar as it is stored, and the sums at its end."""

import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson
from rich.console import Console
from rich.table import Table

from importers.summary import RunSummary, print_summary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_BELOW_MS = 60_000  # longer delays are counted by whole seconds, so that a year's delays stay few numbers

Origin = Literal["stream", "rest"]


class Delays:
    """Delays in milliseconds, counted by value."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, delay_ms: int) -> None:
        """Count one."""
        self._counts[delay_ms if delay_ms < _EXACT_BELOW_MS else delay_ms // 1000 * 1000] += 1

    def at(self, part: float) -> int | None:
        """Return the least delay that at least this part of all do not exceed; None where there are none."""
        needed = part * self._counts.total()
        seen = 0
        for delay_ms, count in sorted(self._counts.items()):
            seen += count
            if seen >= needed:
                return delay_ms
        return None

    def as_object(self) -> dict[str, int | None]:
        """Return the median, the 99th percentile and the longest."""
        return {"p50": self.at(0.5), "p99": self.at(0.99), "max": self.at(1.0)}


@dataclass(slots=True)
class FollowCounts:
    """One symbol's bars while it was followed: how many the stream brought, how many had to be asked for."""

    symbol: str
    timeframe: str
    streamed: int = 0
    repaired: int = 0
    changed: int = 0
    rejected: int = 0
    first: str | None = None
    last: str | None = None

    def count(self, open_ms: int, origin: Origin) -> None:
        """Count a stored bar."""
        if origin == "stream":
            self.streamed += 1
        else:
            self.repaired += 1
        time = _iso(open_ms)
        self.first, self.last = min(self.first or time, time), max(self.last or time, time)


@dataclass(slots=True)
class FollowSummary:
    """A run that followed, in sums."""

    run_id: str
    seconds: float = 0.0
    reconnects: int = 0
    store_losses: int = 0
    delays: Delays = field(default_factory=Delays)
    symbols: list[FollowCounts] = field(default_factory=list)

    def as_object(self) -> dict[str, Any]:
        """Return the object that `--json` prints at the end."""
        return {
            "event": "followed",
            "run_id": self.run_id,
            "seconds": self.seconds,
            "reconnects": self.reconnects,
            "store_losses": self.store_losses,
            "delay_ms": self.delays.as_object(),
            "symbols": [asdict(counts) for counts in self.symbols],
        }


class FollowReport:
    """Writes to standard output, each line at once.

    Parameters
    ----------
    run_id : str
    as_json : bool
        One JSON object a line: `imported`, `bar` for each stored bar, `followed` at the end.
    shows_bars : bool
        Whether each stored bar has its line.
    """

    def __init__(self, run_id: str, as_json: bool, shows_bars: bool) -> None:
        self._as_json, self._shows_bars = as_json, shows_bars
        self.summary = FollowSummary(run_id)
        self._counts: dict[str, FollowCounts] = {}

    def add(self, symbol: str, timeframe: str) -> FollowCounts:
        """Begin to count a symbol."""
        self._counts[symbol] = FollowCounts(symbol, timeframe)
        self.summary.symbols.append(self._counts[symbol])
        return self._counts[symbol]

    def imported(self, summary: RunSummary) -> None:
        """Tell what the import brought before following began."""
        if self._as_json:
            _write_json({"event": "imported", **summary.as_object()})
        else:
            print_summary(summary, dry_run=False)

    def stored(self, symbol: str, open_ms: int, close_ms: int, price: float, stored_at_ms: int, origin: Origin) -> None:
        """Tell of a bar that is stored now; its delay is the store's time less the time of its close."""
        delay_ms = stored_at_ms - close_ms
        counts = self._counts[symbol]
        counts.count(open_ms, origin)
        self.summary.delays.add(delay_ms)
        if not self._shows_bars:
            return
        if self._as_json:
            bar = {"symbol": symbol, "timeframe": counts.timeframe, "open_time": _iso(open_ms), "close": price}
            _write_json({"event": "bar", **bar, "delay_ms": delay_ms, "origin": origin})
            return
        note = "" if origin == "stream" else "  over REST"
        _write(f"{_EPOCH + timedelta(milliseconds=open_ms):%Y-%m-%d %H:%M}  {symbol}  {price}  {delay_ms:,} ms{note}")

    def ended(self) -> None:
        """Tell the sums."""
        summary = self.summary
        if self._as_json:
            _write_json(summary.as_object())
            return
        console = Console()
        console.print(f"Followed for {summary.seconds:.1f} s, run {summary.run_id}", style="bold", soft_wrap=True)
        names = ("streamed", "repaired", "changed", "rejected")
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for name in ("symbol", "tf", *names, "last"):
            table.add_column(name, justify="right" if name in names else "left", no_wrap=True)
        for counts in summary.symbols:
            last = "-" if counts.last is None else counts.last[:16].replace("T", " ")
            table.add_row(counts.symbol, counts.timeframe, *(f"{getattr(counts, name):,}" for name in names), last)
        console.print(table)
        p50, p99, most = (_text(value) for value in summary.delays.as_object().values())
        losses = f"{summary.reconnects:,} reconnects, MongoDB away {summary.store_losses:,} times"
        console.print(f"Delay p50 {p50}, p99 {p99}, max {most}; {losses}.", soft_wrap=True, highlight=False)


def _text(delay_ms: int | None) -> str:
    return "-" if delay_ms is None else f"{delay_ms:,} ms"


def _write_json(value: dict[str, Any]) -> None:
    _write(orjson.dumps(value).decode())


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _iso(open_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=open_ms)).isoformat()
