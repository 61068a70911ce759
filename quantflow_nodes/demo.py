"""The main job from end to end on one machine: each step is the command that a user would type, and its figures."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from quantflow_nodes.programs import (
    Venue,
    clean_environment,
    find_program,
    make_folder,
    run_program,
    running_venue,
    shared_file,
)
from schemas.console import DISAGREES
from schemas.embedded import temporary_server
from schemas.errors import QuantFlowError

GRAPH = "btc_momentum_1m.yaml"
SYMBOL = "BINANCE:BTCUSDT"
DATABASE = "quantflow_demo"
Say = Callable[[str], None]


class DemoFailedError(QuantFlowError):
    """A step of the demo did not do what it must."""


@dataclass(frozen=True, slots=True)
class Demo:
    """One run of the demo.

    Attributes
    ----------
    bars : Path or None
        A file of 1m bars that the venue replays; None lets a seeded generator make them.
    folder : Path
        Where report.html is left. All else that the demo writes lies in a temporary folder and goes with it.
    say : callable
        Prints one line.
    """

    bars: Path | None
    folder: Path
    say: Say
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> bool:
        """Run all steps; return whether every trade agrees.

        Raises
        ------
        QuantFlowError
            Where a step fails; everything that was started has ended then.
        """
        started = time.perf_counter()
        make_folder(self.folder)
        with temporary_server() as (server, uri), running_venue(self._venue_arguments()) as venue:
            version = server.running().version
            self.say(f"1. The embedded MongoDB {version} runs at {uri.split('/?')[0]} ({_since(started)})")
            self.say(f"2. {self._describe(venue)}")
            own = {"QUANTFLOW_MONGO_URI": uri, "QUANTFLOW_HOME": str(server.home)}
            self.environment.update(clean_environment({**own, "QUANTFLOW_DB": DATABASE}))
            for timeframe in ("1m", "1d"):
                self._import(timeframe, venue)
            self._run_graph()
            self._run_again()
            agrees = self._parity()
        self.say(f"The embedded server and the venue have stopped. {_since(started)} in all.")
        return agrees

    def _venue_arguments(self) -> list[str]:
        return ["--bars", str(self.bars.absolute()) if self.bars else "synthetic"]

    def _describe(self, venue: Venue) -> str:
        ready: Any = venue.ready
        origin = f"the bars of {self.bars}" if self.bars else "SYNTHETIC bars from a seeded generator"
        bars = ", ".join(f"{symbol} {count:,} bars of 1m" for symbol, count in ready["bars"].items())
        first, last = (f"{datetime.fromtimestamp(ready[key] / 1000, UTC):%Y-%m-%d %H:%M}" for key in ("first", "last"))
        return f"paper-exchange answers at {venue.url} with {origin}: {bars}, {first} to {last} UTC"

    def _import(self, timeframe: str, venue: Venue) -> None:
        arguments = ["--tf", timeframe, "--symbol", SYMBOL, "--exchange-url", venue.url]
        imported, seconds = self._json("import-ohlcv", *arguments)
        bars = imported["symbols"][0]
        self.say(
            f"3. import-ohlcv --tf {timeframe}: {bars['fetched']:,} fetched, {bars['inserted']:,} inserted, "
            f"{bars['rejected']:,} rejected, {bars['gaps']:,} gaps, {_short(bars['first'])} to {_short(bars['last'])} "
            f"({seconds:.1f} s)"
        )

    def _run_graph(self) -> None:
        ran, seconds = self._json("quantflow", "run", str(self._graph), "--report-folder", str(self.folder.absolute()))
        metrics, export = ran["nodes"]["backtest"]["summary"], ran["nodes"]["export"]["summary"]
        self.say(
            f"4. quantflow run {GRAPH}: {metrics['trades']:,} trades, return {metrics['total_return']:+.2%} "
            f"(buy and hold {metrics['buy_and_hold_return']:+.2%}), drawdown {metrics['max_drawdown']:.2%}, "
            f"fees {metrics['fees_paid']:,.2f}; {export['inserted']:,} signals inserted; {self.folder / 'report.html'} "
            f"({seconds:.1f} s)"
        )
        if not metrics["trades"] or not export["inserted"]:
            raise DemoFailedError(
                "The graph gave no trades or no signals on these bars, so there is nothing to compare."
            )

    def _run_again(self) -> None:
        ran, seconds = self._json("quantflow", "run", str(self._graph), "--no-report")
        export = ran["nodes"]["export"]["summary"]
        self.say(
            f"5. quantflow run, again: {export['inserted']:,} inserted, {export['changed']:,} changed, "
            f"{export['unchanged']:,} unchanged ({seconds:.1f} s)"
        )
        if export["inserted"] or export["changed"] or export["retracted"]:
            raise DemoFailedError("The same graph on the same bars wrote signals a second time.")

    def _parity(self) -> bool:
        started = time.perf_counter()
        self.say("6. freqtrade backtesting --strategy ExternalSignalStrategy on these signals, beside our own trades:")
        command = [find_program("quantflow", "freqtrade"), "parity", str(self._graph), "--show", "5"]
        ended = run_program(command, **self._options)
        if ended.returncode not in (0, DISAGREES):
            raise DemoFailedError(f"quantflow parity ended with exit code {ended.returncode}.")
        self.say(f"   ({_since(started)})")
        return bool(ended.returncode == 0)

    @property
    def _graph(self) -> Path:
        return shared_file(f"examples/{GRAPH}")

    @property
    def _options(self) -> dict[str, Any]:
        # A working folder of our own keeps a .env of the user's away from every step.
        home = self.environment["QUANTFLOW_HOME"]
        return {"cwd": home, "env": self.environment}

    def _json(self, program: str, *arguments: str) -> tuple[Any, float]:
        started = time.perf_counter()
        command = [find_program(program, "embedded"), *arguments, "--json"]
        ended = run_program(command, stdout=subprocess.PIPE, **self._options)
        if ended.returncode != 0:
            raise DemoFailedError(f"{program} {' '.join(arguments)} ended with exit code {ended.returncode}.")
        return orjson.loads(ended.stdout), time.perf_counter() - started


def _short(time: str) -> str:
    return time.replace("T", " ")[:16]


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"
