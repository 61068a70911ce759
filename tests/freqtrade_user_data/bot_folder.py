"""A user's folder for the real Freqtrade: candles, configs, the venue, and commands run as a user runs them."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.settings import Settings

SHIPPED = Path(__file__).parents[2] / "freqtrade_user_data"
START = datetime(2022, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class BotFolder:
    """A user_data folder with the shipped configs pointed at a local venue."""

    path: Path
    settings: Settings
    venue_config: Path

    def write_candles(self, pair: str, candles: pd.DataFrame) -> None:
        """Store candles as `freqtrade download-data` does: date, open, high, low, close, volume."""
        folder = self.path / "data" / "binance"
        folder.mkdir(parents=True, exist_ok=True)
        candles.to_feather(folder / f"{pair.replace('/', '_')}-1m.feather")

    def write_config(self, **values: Any) -> None:
        """Add a config of the test's own; it wins over the shipped ones."""
        (self.path / "own.json").write_text(json.dumps(values))

    def command(self, name: str, *arguments: str, config: str = "config.backtest.json") -> list[str]:
        configs = [SHIPPED / config, self.venue_config, self.path / "own.json"]
        command = [sys.executable, "-m", "freqtrade", name, "--userdir", str(self.path), "--no-color"]
        for given in configs:
            command += ["--config", str(given)] if given.exists() else []
        return [
            *command,
            "--strategy",
            "ExternalSignalStrategy",
            "--strategy-path",
            str(SHIPPED / "strategies"),
            *arguments,
        ]

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment that `quantflow exec` gives, with more EXT_SIG_* settings by their names."""
        assert self.settings.mongo_uri is not None
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("EXT_SIG_", "FREQTRADE__"))
        }
        given = {"mongo_uri": self.settings.mongo_uri.get_secret_value(), "db": self.settings.db, **settings}
        return inherited | {f"EXT_SIG_{name.upper()}": value for name, value in given.items()}

    def run(self, name: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *arguments),
            env=self.environment(**settings),
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def backtest(self, *arguments: str, **settings: str) -> pd.DataFrame:
        """Run `freqtrade backtesting` and return its trades, oldest first."""
        done = self.run("backtesting", *arguments, **settings)
        assert done.returncode == 0, done.stderr
        results = self.path / "backtest_results"
        newest = json.loads((results / ".last_result.json").read_text())["latest_backtest"]
        with zipfile.ZipFile(results / newest) as archive:
            report = json.loads(archive.read(Path(newest).with_suffix(".json").name))
        trades = pd.DataFrame(report["strategy"]["ExternalSignalStrategy"]["trades"])
        return trades.sort_values(["open_timestamp", "pair"], ignore_index=True) if len(trades) else trades


def minute(number: float) -> datetime:
    """The time so many minutes after the start of 2022."""
    return START + timedelta(minutes=number)


def candles(opens: Iterable[float]) -> pd.DataFrame:
    """Candles of 1m from the start of 2022: each closes half above its open and spans 2 to either side."""
    opens = [float(price) for price in opens]
    return pd.DataFrame(
        {
            "date": pd.date_range(START, periods=len(opens), freq="min", unit="ms"),
            "open": opens,
            "high": [price + 2 for price in opens],
            "low": [price - 2 for price in opens],
            "close": [price + 0.5 for price in opens],
            "volume": 1.0,
        }
    )


def signal(pair: str, ts: datetime, **content: Any) -> dict[str, Any]:
    """A document of `crypto_signals` as the export writes it, 2 s after the bar's close."""
    written = ts + timedelta(minutes=1, seconds=2)
    return {
        "strategy_id": "btc_momentum",
        "symbol": "BINANCE:" + pair.replace("/", ""),
        "pair": pair,
        "timeframe": "1m",
        "ts": ts,
        "version": 1,
        "run_id": "test",
        "created_at": written,
        "updated_at": written,
        **content,
    }


def signals(pair: str, contents: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Signals of a pair by the minute of their bars."""
    return [signal(pair, minute(number), **content) for number, content in contents.items()]
