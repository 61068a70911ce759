"""Files of bars are read exactly; what can not be used is named by its row."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from paper_exchange.errors import StartError
from paper_exchange.market.bars_file import read_tape

HEADER = "timestamp,open,high,low,close,volume"
GOOD = [
    "2022-01-01 00:00:00,100.5,101.25,100,101,12.3456",
    "2022-01-01 00:01:00,101,101.5,100.75,101.5,0",
    "2022-01-01 00:03:00,101.5,102,101,101.25,7",
]


def write(folder: Path, *lines: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_values_are_kept_to_the_digit(tmp_path: Path) -> None:
    """By hand: two decimals of price, four of volume; a missing minute is a gap."""
    tape, rounded = read_tape(write(tmp_path, HEADER, *GOOD))
    assert rounded == 0
    assert (tape.price_decimals, tape.quantity_decimals) == (2, 4)
    assert tape.open.tolist() == [10050, 10100, 10150]
    assert tape.high.tolist() == [10125, 10150, 10200]
    assert tape.volume.tolist() == [123456, 0, 70000]
    assert [(ms - tape.first_ms) // 60_000 for ms in tape.open_ms.tolist()] == [0, 1, 3]


@pytest.mark.parametrize(
    "stamps",
    [
        ("1640995200", "1640995260", "1640995380"),
        ("1640995200000", "1640995260000", "1640995380000"),
        ("1640995200000000", "1640995260000000", "1640995380000000"),
        ("2022-01-01T00:00:00Z", "2022-01-01T00:01:00Z", "2022-01-01T00:03:00Z"),
        ("2022-01-01T08:00:00+08:00", "2022-01-01T08:01:00+08:00", "2022-01-01T08:03:00+08:00"),
        ("2022-01-01", "2022-01-01 00:01", "2022-01-01 00:03:00.000"),
    ],
)
@pytest.mark.parametrize("column", ["timestamp", "time", "date", "datetime", "Date"])
def test_times_are_told_apart(tmp_path: Path, stamps: tuple[str, ...], column: str) -> None:
    """ISO with and without a zone (then UTC), epochs in s, ms and us: all are the same minutes."""
    rows = [stamp + row[row.index(",") :] for stamp, row in zip(stamps, GOOD, strict=True)]
    tape, _ = read_tape(write(tmp_path, HEADER.replace("timestamp", column), *rows))
    assert tape.open_ms.tolist() == [1640995200000, 1640995260000, 1640995380000]


def test_gzip_and_feather_are_read_too(tmp_path: Path) -> None:
    """Feather as Freqtrade stores it, with a date column in UTC."""
    plain, _ = read_tape(write(tmp_path, HEADER, *GOOD))
    packed = tmp_path / "bars.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "bars.csv").read_bytes()))
    frame = pd.read_csv(tmp_path / "bars.csv").rename(columns={"timestamp": "date"})
    frame["date"] = pd.to_datetime(frame["date"], utc=True)
    frame.to_feather(tmp_path / "BTC_USDT-1m.feather")
    for path in (packed, tmp_path / "BTC_USDT-1m.feather"):
        tape, _ = read_tape(path)
        assert tape.volume.tolist() == plain.volume.tolist()
        assert tape.open_ms.tolist() == plain.open_ms.tolist()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([""], "is empty"),
        ([HEADER], "holds no bars"),
        (["timestamp,open,high,low,close", "2022-01-01,1,1,1,1"], "missing: volume"),
        (["when,open,high,low,close,volume", "2022-01-01,1,1,1,1,1"], "needs one time column"),
        (["time,date,open,high,low,close,volume", "1,1,1,1,1,1,1"], "found: time, date"),
        ([HEADER, GOOD[0], "2022-01-01 00:01:00,101,101.5"], "row 3 has nothing for low"),
        ([HEADER, GOOD[0], "2022-01-01 00:01:00,101,x,100,101,5"], "row 3 has 'x' for high"),
        ([HEADER, GOOD[0], "2022-01-01 00:01:00,101,inf,100,101,5"], "row 3 has 'inf' for high"),
        ([HEADER, GOOD[0], "yesterday,101,101.5,100,101,5"], "row 3 has the time 'yesterday'"),
        ([HEADER, GOOD[0], ",101,101.5,100,101,5"], "row 3 has no time"),
        ([HEADER, GOOD[1], GOOD[0]], "row 3 goes back in time to 2022-01-01 00:00:00 UTC"),
        ([HEADER, GOOD[0], GOOD[0]], "row 3 repeats the minute 2022-01-01 00:00:00 UTC"),
        ([HEADER, "2022-01-01 00:00:30,1,1,1,1,1"], "row 2 is not on a whole minute"),
        ([HEADER, "2022-01-01,1,1,1,1,1", "2022-01-02,1,1,1,1,1"], "has bars of 1440 minutes"),
        ([HEADER, "2022-01-01,2,3,2.5,2.6,1"], "row 2 (2022-01-01 00:00:00 UTC) has a low above its open"),
        ([HEADER, "2022-01-01,2,2.5,1,2.6,1"], "has a high below its open or close"),
        ([HEADER, "2022-01-01,0,1,0,1,1"], "has a price that is not above 0"),
        ([HEADER, "2022-01-01,1,1,1,1,-1"], "has a volume below 0"),
        ([HEADER, "17,1,1,1,1,1"], "which are not epochs"),
        ([HEADER, "2022-01-01,1e-9,1e-9,1e-9,1e-9,1"], "finer than the venue's"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_with_its_row(tmp_path: Path, lines: list[str], sentence: str) -> None:
    """The message names the file and says what is wrong where."""
    path = write(tmp_path, *lines)
    with pytest.raises(StartError) as refused:
        read_tape(path)
    assert str(path) in str(refused.value)
    assert sentence in str(refused.value)


def test_a_missing_or_torn_file_is_refused(tmp_path: Path) -> None:
    """A gzip that ends in the middle, a feather that is none, and no file at all."""
    with pytest.raises(StartError, match="there is no such file"):
        read_tape(tmp_path / "none.csv")
    whole = gzip.compress("\n".join([HEADER, *GOOD * 50]).encode())
    for name, content in (("torn.csv.gz", whole[:-12]), ("torn.feather", b"ARROW1"), ("not.csv.gz", b"plain text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StartError, match="can not be read"):
            read_tape(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bars.csv", b"\x89PNG\r\n\x1a\n\0\0", "it is no text, byte 1 is 0x89. A CSV was needed."),
        ("bars.csv", f"{HEADER}\n1,2,3\n1,2,3,4,5,6,7,8\n".encode(), "line 3 has 8 values where there are 6 columns."),
        ("bars.csv", f'{HEADER}\n2022-01-01,"1,2,3,4,5\n'.encode(), "line 2 opens a quote that no line closes."),
        ("bars.csv.gz", b"PK\3\4aaaa", "its name says that it is packed by gzip, and it is not."),
        ("bars.csv.gz", gzip.compress(b"a" * 99, mtime=0)[:-12], "it is torn, its packed content is not whole."),
        ("bars.feather", b"garbage", "it is torn, or no feather file."),
    ],
)
def test_a_foreign_file_is_refused_in_words_of_files(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Not in those of the parser that failed."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StartError) as refused:
        read_tape(path)
    assert str(refused.value) == f"{path} can not be read as one-minute bars: {reason}"


def test_values_finer_than_the_venue_writes_are_counted(tmp_path: Path) -> None:
    """Float noise behind the eighth decimal is rounded away."""
    tape, rounded = read_tape(write(tmp_path, HEADER, "2022-01-01,1,1,1,1,218102.59507500002"))
    assert rounded == 1
    assert tape.volume.tolist() == [21810259507500]
