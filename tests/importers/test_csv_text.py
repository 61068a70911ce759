"""CSV text into columns: every spelling that is allowed, and a sentence with the line for what is not."""

import pytest
from import_samples import BTC, MINUTE, START_MS, minutes

from importers.csv_text import CsvRows, check_spacing, csv_rows, header_shape
from importers.file_sources import FileSeries
from schemas.errors import InputError

HEADER = "time,open,high,low,close,volume\n"
ROW = "2022-01-01T00:0{}:00Z,10,12,9,11,{}\n"


def parse(text: str) -> CsvRows:
    data = text.encode()
    return csv_rows(data, header_shape(data, "bars.csv"), "bars.csv", BTC, MINUTE)


@pytest.mark.parametrize("name", ["time", "timestamp", "date", "datetime", "Date", "TIMESTAMP"])
def test_each_name_of_the_time_column_is_known(name: str) -> None:
    """The time may have any of four names, in any case."""
    rows = parse(f"{name},open,high,low,close,volume\n2022-01-01T00:00:00Z,10,12,9,11,5\n")
    assert rows.bars.open_ms.tolist() == [START_MS]


@pytest.mark.parametrize(
    "text",
    [
        "Volume,Close,extra,Low,High,Open,Date\n5,11,x,9,12,10,2022-01-01\n",
        "time;open;high;low;close;volume\n2022-01-01;10;12;9;11;5\n",
        "time\topen\thigh\tlow\tclose\tvolume\n2022-01-01\t10\t12\t9\t11\t5\n",
        "time,open,high,low,close,volume\r\n2022-01-01,10,12,9,11,5\r\n",
        '"time","open","high","low","close","volume"\n"2022-01-01","10","12","9","11","5"\n',
        "time,open,high,low,close,volume\n\n2022-01-01, 10 , 12, 9, 11, 5\n\n",
    ],
)
def test_columns_are_found_by_name(text: str) -> None:
    """Order, extra columns, delimiter, quotes, blank lines and line ends make no difference."""
    bars = parse(text).bars
    assert [float(column[0]) for column in bars.ohlcv] == [10, 12, 9, 11, 5]
    assert bars.open_ms.tolist() == [START_MS]


def test_numbers_are_read_exactly() -> None:
    """Values with many digits are the float64 nearest to their text, as Python's own reading."""
    texts = ["0.1", "46319.00000001", "2300413.7295", "1e-8", "123456789.123456789"]
    bars = parse(HEADER + "2022-01-01," + ",".join(texts) + "\n").bars
    assert [float(column[0]) for column in bars.ohlcv] == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("time,open,high,low,close", "volume"),
        ("open,high,low,close,volume", "one of time, timestamp, date, datetime"),
        ("time,open,high,low,close,volume,close", "close"),
        ("date,time,open,high,low,close,volume", "several columns of times: date, time"),
    ],
)
def test_a_wrong_header_says_which_column(header: str, part: str) -> None:
    """A missing, doubled or ambiguous column is named."""
    with pytest.raises(InputError, match=part):
        parse(f"{header}\n1,2,3,4,5,6,7\n")


def test_dates_that_run_backwards_are_refused_with_the_line() -> None:
    """The line is counted as an editor counts it, blank lines and refused rows included."""
    text = HEADER + ROW.format(3, 1) + "\n" + "x,1\n" + ROW.format(4, 1) + ROW.format(2, 1)
    with pytest.raises(InputError, match="backwards at line 6: 2022-01-01T00:02:00Z comes after 2022-01-01T00:04:00Z"):
        parse(text)


def test_rows_of_one_minute_stay_for_the_check() -> None:
    """Neighbours with the same time are no step back: the check decides which is kept."""
    assert parse(HEADER + ROW.format(1, 1) + ROW.format(1, 2)).bars.open_ms.tolist() == minutes(1, 1).tolist()


@pytest.mark.parametrize(
    ("line", "reason", "row"),
    [
        ("2022-01-01T00:01:00Z,10,12,9,11\n", "wrong_column_count", {"line": "2022-01-01T00:01:00Z,10,12,9,11"}),
        ("2022-01-01T00:01:00Z,10,12,9,11,5,6\n", "wrong_column_count", None),
        ("2022-01-01T00:01:00Z,10,12,9,eleven,5\n", "value_unreadable", None),
        ("2022-01-01T00:01:00Z,10,12,9,,5\n", "value_unreadable", None),
        ("2022-01-01T00:01:00Z,10,12,9,1_1,5\n", "value_unreadable", None),
        ("a minute later,10,12,9,11,5\n", "time_unreadable", None),
        ("0222-01-01T00:01:00Z,10,12,9,11,5\n", "time_out_of_range", None),
        ("2222-01-01T00:01:00Z,10,12,9,11,5\n", "time_out_of_range", None),
        ("2022-01-01T00:01:00.0000001Z,10,12,9,11,5\n", "off_grid", None),
        ("2022-01-01T00:01:00.0001Z,10,12,9,11,5\n", "off_grid", None),
    ],
)
def test_a_row_that_can_not_be_read_is_refused_and_the_rest_goes_on(
    line: str, reason: str, row: dict[str, str] | None
) -> None:
    """Good rows before and after the bad one are kept; the bad one keeps its texts."""
    rows = parse(HEADER + ROW.format(0, 1) + line + ROW.format(2, 1))
    assert rows.bars.open_ms.tolist() == minutes(0, 2).tolist()
    assert [rejected.reason for rejected in rows.rejected] == [reason]
    assert rows.rejected[0].time == line.split(",")[0]
    if row is not None:
        assert rows.rejected[0].row == row


@pytest.mark.parametrize("tail", ["2022-01-01T00:01:00Z,10,1", "2022-01-01T00:01:00Z,10,12,9,11,5", "20"])
def test_a_last_line_without_its_end_is_refused(tail: str) -> None:
    """Nobody can tell whether the last number of a file that was cut off is whole."""
    rows = parse(HEADER + ROW.format(0, 1) + tail)
    assert rows.bars.open_ms.tolist() == [START_MS]
    assert [(rejected.reason, rejected.row) for rejected in rows.rejected] == [("no_line_end", {"line": tail})]


@pytest.mark.parametrize("text", [HEADER, HEADER.strip(), HEADER.strip() + "\r\n", HEADER + "\n\n"])
def test_only_a_header_is_a_sentence(text: str) -> None:
    """A file without a row says so, also where its header has no line end."""
    with pytest.raises(InputError, match="no rows of bars"):
        parse(text)


def test_mixed_units_name_the_line() -> None:
    """Epochs of two units in one file are refused as a whole, with the line of the first that differs."""
    lines = f"{START_MS},1,1,1,1,1\n{START_MS + 60_000},1,1,1,1,1\n{START_MS // 1000 + 120},1,1,1,1,1\n"
    with pytest.raises(InputError, match=r"bars.csv, line 4: .* most are in ms"):
        parse(HEADER + lines)


def test_bars_of_a_longer_timeframe_are_refused() -> None:
    """Hourly bars lie on the grid of 1m; stored as minutes they would be wrong."""
    text = HEADER + "".join(f"2022-01-01T{hour:02}:00:00Z,10,12,9,11,5\n" for hour in range(10))
    with pytest.raises(InputError, match="no bars of 1m: the nearest two are 3600 s apart"):
        check_spacing(parse(text).bars, "bars.csv")


def test_batches_never_divide_one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of one minute reach the check together, or the later would replace the earlier."""
    monkeypatch.setattr("importers.file_sources.INSERT_ROWS", 2)
    rows = parse(HEADER + "".join(ROW.format(minute, volume) for minute, volume in ((0, 1), (1, 1), (1, 2), (2, 1))))
    batches = list(FileSeries(BTC, MINUTE).batches(rows, "bars.csv"))
    assert [batch.bars.volume.tolist() for batch in batches] == [[1, 1, 2], [1]]


def test_a_span_leaves_out_what_lies_outside() -> None:
    """The start is included, the end is not."""
    rows = parse(HEADER + "".join(ROW.format(minute, 1) for minute in range(5)))
    series = FileSeries(BTC, MINUTE, START_MS + 60_000, START_MS + 180_000)
    assert [batch.bars.open_ms.tolist() for batch in series.batches(rows, "bars.csv")] == [minutes(1, 2).tolist()]
