"""What a user asks for, checked before anything is opened."""

from typing import Any

import pytest
from import_samples import START_MS

from importers.request import BarLength, ImportRequest, Source, Span, parsed_request
from schemas.errors import InputError, QuantFlowError, SymbolError, TimeError


def request(**given: Any) -> ImportRequest:
    options: dict[str, Any] = dict.fromkeys(("since", "until", "path", "exchange", "exchange_url", "resample_from"))
    options |= {"tf": BarLength.MINUTE, "symbol": "BINANCE:BTCUSDT", "source": Source.CCXT}
    return parsed_request(**(options | given))


def test_the_exchange_is_that_of_the_symbols() -> None:
    """BINANCE:... is fetched from ccxt's binance unless another is named."""
    address = request(symbol="binance:btcusdt, BINANCE:ETHUSDT").address
    assert address is not None
    assert (address.exchange, address.url) == ("binance", None)


def test_times_are_utc_and_half_open() -> None:
    """Dates mean their midnight; a zone is honoured."""
    day = 86_400_000
    assert Span.parse("2022-01-01", "2022-01-02") == Span(START_MS, START_MS + day)
    assert Span.parse("2022-01-01T08:00:00+08:00", None) == Span(START_MS, None)


@pytest.mark.parametrize(
    ("given", "error", "part"),
    [
        ({"tf": None}, InputError, "--tf 1m or 1d"),
        ({"symbol": None}, InputError, "--symbol"),
        ({"symbol": "BTCUSDT"}, SymbolError, "BINANCE:BTCUSDT was needed"),
        ({"symbol": "BINANCE:BTCUSDT,KRAKEN:BTCUSD"}, SymbolError, "BINANCE, KRAKEN"),
        ({"exchange": "kraken"}, SymbolError, "--exchange kraken has no symbols of BINANCE"),
        ({"since": "yesterday"}, TimeError, "--since must be a time"),
        ({"since": "2022-01-02", "until": "2022-01-01"}, InputError, "--until must come after --since"),
        ({"path": "a.csv"}, InputError, "--path belongs to files"),
        ({"source": Source.CSV}, InputError, "add --path"),
        ({"source": Source.CSV, "path": "a.csv", "exchange_url": "http://x"}, InputError, "belong to --source ccxt"),
        ({"source": Source.CSV, "path": "a", "symbol": "BINANCE:BTCUSDT,BINANCE:ETHUSDT"}, InputError, "one symbol"),
        ({"resample_from": "1m"}, InputError, "bars of --tf 1d"),
        ({"resample_from": "5m", "tf": BarLength.DAY}, InputError, "--resample-from 1m"),
    ],
)
def test_what_does_not_fit_is_a_sentence(given: dict[str, Any], error: type[QuantFlowError], part: str) -> None:
    """Missing, malformed and contradicting options name themselves."""
    with pytest.raises(error, match=part):
        request(**given)
