"""What the tests of research share: small bars frames made by hand, and the real bars where they are found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REAL_BARS = Path(__file__).parents[3] / "shared" / "data" / "btc_perp_1m_20211231_20220201.csv.gz"


def bars_frame(
    opens: list[float],
    closes: list[float] | None = None,
    symbol: str = "BINANCE:BTCUSDT",
    start: str = "2022-01-01",
    freq: str = "1min",
) -> pd.DataFrame:
    """Return bars of one symbol; without closes each bar closes at the next one's open."""
    ends = closes if closes is not None else [*opens[1:], opens[-1]]
    first, last = np.array(opens, dtype=float), np.array(ends, dtype=float)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "datetime": pd.date_range(start, periods=len(opens), freq=freq, tz="UTC"),
            "open": first,
            "high": np.maximum(first, last),
            "low": np.minimum(first, last),
            "close": last,
            "volume": np.arange(1.0, len(opens) + 1.0),
        }
    )


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., pd.DataFrame]:
    """The builder of small frames."""
    return bars_frame


@pytest.fixture(scope="session")
def real_bars() -> pd.DataFrame:
    """45,031 real one-minute bars; the test is skipped where the file is not there."""
    if not REAL_BARS.exists():
        pytest.skip(f"needs {REAL_BARS.name} beside the project")
    table = pd.read_csv(REAL_BARS)
    prices = {name: table[name].astype(float) for name in ("open", "high", "low", "close", "volume")}
    opens = pd.to_datetime(table["timestamp"], utc=True)
    return pd.DataFrame({"symbol": "BINANCE:BTCUSDT", "datetime": opens, **prices})
