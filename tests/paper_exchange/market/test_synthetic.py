"""Synthetic bars are the same everywhere, and look like a market's."""

import hashlib

import numpy as np
import pytest

from paper_exchange.market.synthetic import DEFAULT_END_MS, synthetic_tape
from paper_exchange.market.tape import Tape


def digest(tape: Tape) -> str:
    """SHA-256 over the columns in order, each as little-endian 64-bit integers."""
    columns = (tape.open_ms, tape.open, tape.high, tape.low, tape.close, tape.volume)
    return hashlib.sha256(b"".join(column.astype("<i8").tobytes() for column in columns)).hexdigest()


@pytest.mark.parametrize(
    ("symbol", "seed", "expected"),
    [
        ("BTCUSDT", 1, "7a1f8fb620251a14e984ee79c6327767560f84c429b35d1e13a299adc7bedaa5"),
        ("ETHUSDT", 1, "95295c5eba6292f34b7fc96d880fda0c8fb14b21cce7f3310cfcfa10e906d1a5"),
        ("BTCUSDT", 2, "d9842a5b6db8503b655c800d164d04a35535d8feb75c75e81e16630d445df087"),
    ],
)
def test_a_seed_and_a_symbol_always_give_the_same_bars(symbol: str, seed: int, expected: str) -> None:
    """The digests were taken with numpy 2; another one means that published figures no longer hold."""
    assert digest(synthetic_tape(symbol, seed)) == expected


def test_the_default_is_january_2022_without_a_gap() -> None:
    """31 days of minutes that end where February begins."""
    tape = synthetic_tape("BTCUSDT", 3)
    assert len(tape) == 31 * 1440
    assert tape.end_ms == DEFAULT_END_MS == 1_643_673_600_000
    assert set(np.diff(tape.open_ms).tolist()) == {60_000}


def test_each_bar_opens_where_the_last_one_closed() -> None:
    """The market never shuts, so it has no opening gaps."""
    tape = synthetic_tape("SOLUSDT", 3, days=2)
    assert np.array_equal(tape.open[1:], tape.close[:-1])


@pytest.mark.parametrize("symbol", ["BTCUSDT", "XRPUSDT", "DOGEUSDT"])
def test_volatility_clusters_and_tails_are_heavy(symbol: str) -> None:
    """Large moves follow large moves, an hour later still; kurtosis is above the normal's 3."""
    closes = synthetic_tape(symbol, 5).close
    returns = np.diff(np.log(closes))
    size = np.abs(returns)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.15
    assert np.corrcoef(size[60:], size[:-60])[0, 1] > 0.08
    assert np.mean((returns - returns.mean()) ** 4) / returns.var() ** 2 > 4


def test_every_bar_trades_enough_to_show_its_prices() -> None:
    """Four lots at least, so that trades can be cut from each bar."""
    assert all(synthetic_tape(symbol, 1).volume.min() >= 4 for symbol in ("BTCUSDT", "XRPUSDT"))
