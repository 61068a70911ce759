"""What a user asks for, checked before anything is opened."""

from typing import Any

import pytest
from import_samples import START_MS

from importers.request import (
    BarLength,
    FollowRequest,
    ImportRequest,
    Source,
    Span,
    parsed_follow_request,
    parsed_request,
)
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


def follow_request(length: str | None = None, dry_run: bool = False, **given: Any) -> FollowRequest:
    return parsed_follow_request(request(**given), length, dry_run)


@pytest.mark.parametrize(
    ("length", "until", "end_minute"),
    [
        (None, None, None),
        ("90s", None, 1),
        ("10m", None, 10),
        ("2h", None, 120),
        ("1d", None, 1440),
        (None, "2022-01-01T00:05", 5),
        (None, "2022-01-01T00:05:01", 6),
    ],
)
def test_following_ends_after_a_time_or_at_a_time(
    length: str | None, until: str | None, end_minute: int | None
) -> None:
    """Bars that have closed within the time are followed; of --until the bars that open before it."""
    end_ms = follow_request(length, until=until).end_ms(START_MS + 20_000)
    assert end_ms == (None if end_minute is None else START_MS + end_minute * 60_000)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"length": "10x"}, "--for must be a length of time"),
        ({"length": "0m"}, "--for must be a length of time"),
        ({"length": "10m", "until": "2022-01-02"}, "--for and --until"),
        ({"dry_run": True}, "no --dry-run"),
        ({"source": Source.CSV, "path": "a.csv"}, "leave --source and --resample-from out"),
        ({"resample_from": "1m", "tf": BarLength.DAY}, "leave --source and --resample-from out"),
    ],
)
def test_what_can_not_be_followed_is_a_sentence(given: dict[str, Any], part: str) -> None:
    """Files do not grow, a dry run stores nothing, and there is one end."""
    with pytest.raises(InputError, match=part):
        follow_request(**given)


def test_names_of_options_are_checked() -> None:
    """Another length or source names those that there are."""
    assert (BarLength.of("1d"), BarLength.of(None), Source.of("csv")) == (BarLength.DAY, None, Source.CSV)
    with pytest.raises(InputError, match=r"Bars of 1m or 1d are stored, not of '5m'\. Use --tf 1m or 1d\."):
        BarLength.of("5m")
    with pytest.raises(InputError, match="ccxt, csv, freqtrade or binance-dump, not from 'ftp'"):
        Source.of("ftp")
