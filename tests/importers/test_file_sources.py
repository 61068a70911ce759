"""Files as their publishers make them: CSV, packed CSV, vendor dumps, Freqtrade's feather files."""

import gzip
import hashlib
import itertools
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from import_samples import BTC, DAY, MINUTE, NOW_MS, START_MS, minutes

from importers.bars import Batch
from importers.file_sources import FileSeries, files_batches
from importers.request import Source
from importers.validation import checked
from schemas.errors import InputError
from schemas.symbols import Symbol

PERPETUAL = Symbol("BINANCE", "BTC", "USDT", "USDT")
SERIES = FileSeries(BTC, MINUTE)
CSV = b"time,open,high,low,close,volume\n" + b"".join(
    b"2022-01-01T00:%02d:00Z,10,12,9,11,5\n" % minute for minute in range(30)
)
DUMP_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)


def kline_text(count: int, per_ms: int = 1, start_ms: int = START_MS) -> str:
    """Return rows as the vendor's dump has them: twelve columns, times in ms or, times 1000, in µs."""
    rows = ((start_ms + step * 60_000, 100 + step) for step in range(count))
    return "".join(
        f"{open_ms * per_ms},{price}.10,{price}.90,{price}.00,{price}.50,7.25,"
        f"{(open_ms + 59_999) * per_ms},7.1,9,1,2,0\n"
        for open_ms, price in rows
    )


def zip_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, text)
    return path


def read(source: Source, path: Path | str, series: FileSeries = SERIES) -> list[Batch]:
    return list(itertools.chain.from_iterable(files_batches(source, str(path), series)))


def opens(batches: list[Batch]) -> list[int]:
    return [int(open_ms) for batch in batches for open_ms in batch.bars.open_ms]


def test_plain_and_packed_csv_are_the_same(tmp_path: Path) -> None:
    """A .gz is unpacked, also under another name, and a byte order mark is no part of the first column's name."""
    for name, data in {"a.csv": CSV, "b.csv.gz": gzip.compress(CSV), "c.csv": b"\xef\xbb\xbf" + CSV}.items():
        (tmp_path / name).write_bytes(data)
        assert opens(read(Source.CSV, tmp_path / name)) == minutes(*range(30)).tolist()


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(CSV, mtime=0)[:-30], "is torn"),
        (gzip.compress(CSV, mtime=0)[:-8] + b"\0" * 8, "is torn"),  # a wrong checksum
        (b"\x00\x01\x02\xff" * 50, "is no CSV: its first line holds bytes that are no UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00", "is no CSV: its first line"),
        (b"a,b\n1,2\n", "has no column"),
        (b"time,open,high,low,close,volume\n\xff\xfe,1,1,1,1,1\n", "can not be read as a CSV: it is no UTF-8 text"),
    ],
)
def test_a_file_that_is_none_gives_a_sentence(tmp_path: Path, data: bytes, part: str) -> None:
    """Empty, torn and foreign files are refused as a whole."""
    path = tmp_path / "bars.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=part):
        read(Source.CSV, path)


def test_no_file_and_a_folder_give_a_sentence(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, says so."""
    with pytest.raises(InputError, match="There is no file"):
        read(Source.CSV, tmp_path / "none.csv")
    with pytest.raises(InputError, match="can not be read"):
        read(Source.CSV, tmp_path)


@pytest.mark.parametrize("per_ms", [1, 1000])
@pytest.mark.parametrize("header", ["", DUMP_HEADER])
def test_dumps_of_every_age_are_read(tmp_path: Path, per_ms: int, header: str) -> None:
    """Times in ms and (since 2025) in µs, with and without a header, zipped and not, give the same bars."""
    text = header + kline_text(5, per_ms)
    packed = zip_file(tmp_path / "BTCUSDT-1m-2022-01.zip", text)
    plain = tmp_path / "BTCUSDT-1m-2022-02.csv"
    plain.write_text(text)
    for path in (packed, plain):
        (batch,) = read(Source.BINANCE_DUMP, path)
        assert batch.bars.open_ms.tolist() == minutes(0, 1, 2, 3, 4).tolist()
        assert [float(column[1]) for column in batch.bars.ohlcv] == [101.10, 101.90, 101.00, 101.50, 7.25]


def test_a_folder_gives_the_symbols_own_files_in_order(tmp_path: Path) -> None:
    """The vendor's layout is searched; other symbols, timeframes and markets of the same name are left alone."""
    month = 31 * 1440 * 60_000
    zip_file(tmp_path / "spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2022-02.zip", kline_text(2, 1, START_MS + month))
    zip_file(tmp_path / "spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2022-01.zip", kline_text(2))
    zip_file(tmp_path / "spot/monthly/klines/ETHUSDT/1m/ETHUSDT-1m-2022-01.zip", kline_text(9))
    zip_file(tmp_path / "spot/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2022-01.zip", kline_text(9))
    zip_file(tmp_path / "futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2022-01.zip", kline_text(1))
    assert opens(read(Source.BINANCE_DUMP, tmp_path)) == [*minutes(0, 1), *(minutes(0, 1) + month)]
    assert opens(read(Source.BINANCE_DUMP, tmp_path, FileSeries(PERPETUAL, MINUTE))) == [START_MS]


def test_a_pattern_gives_the_files_that_it_names(tmp_path: Path) -> None:
    """A glob chooses months."""
    zip_file(tmp_path / "BTCUSDT-1m-2022-01.zip", kline_text(1))
    zip_file(tmp_path / "BTCUSDT-1m-2023-01.zip", kline_text(1, 1, START_MS + 365 * 86_400_000))
    assert opens(read(Source.BINANCE_DUMP, tmp_path / "BTCUSDT-1m-2022-*.zip")) == [START_MS]
    with pytest.raises(InputError, match=r"names no file such as BTCUSDT-1m-2022-01\.zip"):
        read(Source.BINANCE_DUMP, tmp_path / "BTCUSDT-1m-2024-*.zip")


def test_a_torn_zip_gives_a_sentence(tmp_path: Path) -> None:
    """A zip that was cut off, one whose content was damaged, and one without a CSV are refused."""
    path = zip_file(tmp_path / "BTCUSDT-1m-2022-01.zip", kline_text(500))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for data in (whole[:-50], bytes(damaged), b"no zip"):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is torn"):
            read(Source.BINANCE_DUMP, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match="must hold one CSV file, found 0"):
        read(Source.BINANCE_DUMP, path)


def test_a_checksum_beside_the_zip_is_checked(tmp_path: Path) -> None:
    """The vendor's .CHECKSUM file lets a right zip pass and refuses another."""
    path = zip_file(tmp_path / "BTCUSDT-1m-2022-01.zip", kline_text(3))
    beside = tmp_path / "BTCUSDT-1m-2022-01.zip.CHECKSUM"
    beside.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert len(opens(read(Source.BINANCE_DUMP, path))) == 3
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(InputError, match="SHA-256"):
        read(Source.BINANCE_DUMP, path)


def freqtrade_frame(count: int = 3) -> pd.DataFrame:
    dates = pd.to_datetime(START_MS + np.arange(count) * 60_000, unit="ms", utc=True)
    values = {name: np.full(count, 10.0) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame({"date": dates, **values})


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_freqtrade_files_are_found_and_read(tmp_path: Path, unit: str) -> None:
    """The data folder of an exchange serves spot and, in its sub-folder, futures; so does the file itself."""
    frame = freqtrade_frame()
    frame["date"] = frame["date"].dt.as_unit(unit)
    (tmp_path / "futures").mkdir()
    frame.to_feather(tmp_path / "BTC_USDT-1m.feather", compression="lz4")
    frame.head(1).to_feather(tmp_path / "futures" / "BTC_USDT_USDT-1m-futures.feather")
    assert opens(read(Source.FREQTRADE, tmp_path)) == minutes(0, 1, 2).tolist()
    assert opens(read(Source.FREQTRADE, tmp_path / "BTC_USDT-1m.feather")) == minutes(0, 1, 2).tolist()
    futures = FileSeries(PERPETUAL, MINUTE)
    assert opens(read(Source.FREQTRADE, tmp_path, futures)) == [START_MS]
    assert opens(read(Source.FREQTRADE, tmp_path / "futures", futures)) == [START_MS]


def test_missing_values_and_times_wait_for_the_check(tmp_path: Path) -> None:
    """Nullable columns and a time that is missing or mistyped are read: such a row is refused alone, not the file."""
    frame = freqtrade_frame(4)
    frame["date"] = frame["date"].dt.as_unit("ms")
    frame.loc[1, "date"] = pd.NaT
    frame.loc[2, "date"] = pd.Timestamp("2922-01-01", tz="UTC")
    frame["volume"] = pd.array([1.0, None, 3.0, 4.0], "Float64")
    frame.to_feather(tmp_path / "BTC_USDT-1m.feather")
    (batch,) = read(Source.FREQTRADE, tmp_path)
    assert np.isnan(batch.bars.volume).tolist() == [False, True, False, False]
    result = checked(batch.bars, NOW_MS)
    assert result.bars.open_ms.tolist() == minutes(0, 3).tolist()
    assert [row.reason for row in result.rejected] == ["time_out_of_range"] * 2


def test_wrong_freqtrade_files_give_a_sentence(tmp_path: Path) -> None:
    """Another series' file, a torn file, a missing column, naive dates and dates that run backwards are refused."""
    path = tmp_path / "BTC_USDT-1m.feather"
    with pytest.raises(InputError, match=r"has no BTC_USDT-1m\.feather"):
        read(Source.FREQTRADE, tmp_path)
    frame = freqtrade_frame()
    frame.to_feather(path)
    with pytest.raises(InputError, match="is not the file of BINANCE:BTCUSDT 1d"):
        read(Source.FREQTRADE, path, FileSeries(BTC, DAY))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is torn or no feather file"):
        read(Source.FREQTRADE, path)
    frame.drop(columns="volume").to_feather(path)
    with pytest.raises(InputError, match="has no column volume"):
        read(Source.FREQTRADE, path)
    frame.assign(close=["10", "11", "12"], volume=True).to_feather(path)
    with pytest.raises(InputError, match=r"must hold numbers, found close \(str\), volume \(bool\)"):
        read(Source.FREQTRADE, path)
    frame.assign(date=frame["date"].dt.tz_localize(None)).to_feather(path)
    with pytest.raises(InputError, match="times with a zone"):
        read(Source.FREQTRADE, path)
    frame[::-1].reset_index(drop=True).to_feather(path)
    with pytest.raises(InputError, match="dates run backwards at row 1"):
        read(Source.FREQTRADE, path)
