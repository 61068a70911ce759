"""The command as a user runs it: what it prints, how it exits, and that bad input loses nothing."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from import_samples import START_MS, Ran, stored
from scripted_venue import ScriptedVenue

from schemas.collections import Store

pytestmark = pytest.mark.mongo

RunCli = Callable[..., Ran]
HEADER = "timestamp,open,high,low,close,volume\n"
BTC_1M = ("--tf", "1m", "--symbol", "BINANCE:BTCUSDT")


def csv_file(folder: Path, *rows: str) -> str:
    path = folder / "bars.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return str(path)


def row(minute: int, volume: float = 5) -> str:
    return f"2022-01-01 00:{minute:02}:00,10,12,9,11,{volume}"


def csv(run_cli: RunCli, path: str, *more: str, **environment: str) -> Ran:
    return run_cli(*BTC_1M, "--source", "csv", "--path", path, *more, **environment)


def test_json_is_exactly_one_object(run_cli: RunCli, tmp_path: Path) -> None:
    """Standard output holds one line with exactly the fields that are documented."""
    ran = csv(run_cli, csv_file(tmp_path, row(0), row(1), row(3)), "--json")
    assert (ran.code, ran.err) == (0, "")
    (line,) = ran.out.splitlines()
    found = json.loads(line)
    assert list(found) == ["run_id", "source", "seconds", "symbols"]
    assert (found["source"], len(found["run_id"])) == ("csv", 32)
    assert found["symbols"] == [
        {
            "symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "fetched": 3, "inserted": 3, "changed": 0, "unchanged": 0,
            "rejected": 0, "gaps": 1, "first": "2022-01-01T00:00:00+00:00", "last": "2022-01-01T00:03:00+00:00",
        }
    ]  # fmt: skip


def test_the_summary_is_a_table(run_cli: RunCli, tmp_path: Path) -> None:
    """Without --json the counts come as a table."""
    ran = csv(run_cli, csv_file(tmp_path, row(0), row(1)))
    assert ran.code == 0
    assert "Import from csv" in ran.out
    assert "BINANCE:BTCUSDT" in ran.out
    assert "2022-01-01 00:01" in ran.out


def test_the_summary_fits_80_columns(run_cli: RunCli, tmp_path: Path) -> None:
    """In a narrow window the times stand below the counts: every figure is there, and no line is longer."""
    ran = csv(run_cli, csv_file(tmp_path, row(0), row(1)), COLUMNS="80")
    _, counts_names, counts, _, times_names, times = (line.split() for line in ran.out.splitlines())
    assert counts_names[2:] == ["fetched", "inserted", "changed", "unchanged", "rejected", "gaps"]
    assert counts == ["BINANCE:BTCUSDT", "1m", "2", "2", "0", "0", "0", "0"]
    assert times_names[2:] == ["first", "last"]
    assert times[2:] == ["2022-01-01", "00:00", "2022-01-01", "00:01"]
    assert max(map(len, ran.out.splitlines())) <= 80


def test_each_symbol_that_is_named_is_imported(run_cli: RunCli) -> None:
    """Behind one --symbol with commas or behind several: none is dropped for a later one."""
    named = ("--symbol", "BINANCE:BTCUSDT,BINANCE:ETHUSDT", "--symbol", "BINANCE:SOLUSDT")
    ran = run_cli("--tf", "1d", *named, "--resample-from", "1m", "--json")
    found = [one["symbol"] for one in json.loads(ran.out)["symbols"]]
    assert found == ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "BINANCE:SOLUSDT"]


def test_minutes_are_not_taken_for_days(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """A file of 1m given as 1d is refused whole: the good day that is stored stays, and no row is counted."""
    day = {"date": "20220101", "symbol": "BINANCE:BTCUSDT", "open": 1, "high": 3, "low": 1, "close": 2, "volume": 9}
    db["crypto_market"].insert_one(dict(day))
    rows = [f"{START_MS + minute * 60_000},10,12,9,11,0.5" for minute in range(1500)]
    path = csv_file(tmp_path, *rows)
    ran = run_cli("--tf", "1d", "--symbol", "BINANCE:BTCUSDT", "--source", "csv", "--path", path)
    assert ran.code == 2
    assert "holds bars of a shorter timeframe than 1d: most are 60 s apart" in ran.err
    assert stored(db, "crypto_market") == [day]
    assert stored(db, "import_rejects") == []


def test_the_real_file_is_stored_once(run_cli: RunCli, real_bars: Path, db: Store) -> None:
    """45,031 rows the first time, none the second; values are those of the file, in float64."""
    first, second = (csv(run_cli, str(real_bars), "--json").counts for _ in range(2))
    assert (first["fetched"], first["inserted"], first["rejected"], first["gaps"]) == (45_031, 45_031, 0, 0)
    assert (second["inserted"], second["changed"], second["unchanged"]) == (0, 0, 45_031)
    with gzip.open(real_bars, "rt") as lines:
        texts = [line.rstrip().split(",")[1:] for line in lines][1:]
    names = ("open", "high", "low", "close", "volume")
    assert [[document[name] for name in names] for document in stored(db)] == [
        [float(text) for text in values] for values in texts
    ]


def test_a_changed_bar_is_replaced_counted_and_logged(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """The new value is stored; the log names the symbol and the bar."""
    csv(run_cli, csv_file(tmp_path, row(0), row(1)))
    ran = csv(run_cli, csv_file(tmp_path, row(0), row(1, 6)), "--json")
    assert (ran.code, ran.counts["changed"], ran.counts["unchanged"]) == (0, 1, 1)
    assert "bars_changed" in ran.err
    assert "2022-01-01 00:01" in ran.err
    assert [document["volume"] for document in stored(db)] == [5.0, 6.0]


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (b"", 2, "is empty"),
        (HEADER.encode(), 2, "no rows of bars"),
        (b"timestamp,open,high,low,close\n1,2,3,4,5\n", 2, "no column volume"),
        (f"{HEADER}{row(3)}\n{row(2)}\n".encode(), 2, "dates run backwards at line 3"),
        (gzip.compress(f"{HEADER}{row(3)}\n".encode(), mtime=0)[:-9], 2, "is torn"),
        (f"{HEADER}{row(2)}\n{row(3)}"[:-4].encode(), 6, "ends without a line end"),
        (f"{HEADER}{row(2)}\n{row(2, 7)}\n{row(3)}\n".encode(), 6, "import_rejects"),
        (f"{HEADER}{row(2)}\n2022-01-01 00:03:30,10,12,9,11,5\n".encode(), 6, "import_rejects"),
        (f"{HEADER}{row(2)}\n2022-01-01 00:03:00,10,8,9,11,5\n".encode(), 6, "import_rejects"),
    ],
)
def test_a_bad_file_is_told_and_loses_nothing(
    run_cli: RunCli, tmp_path: Path, db: Store, content: bytes, code: int, part: str
) -> None:
    """Exit code not 0, a sentence, no traceback; what was stored before is still there, good rows are stored."""
    csv(run_cli, csv_file(tmp_path, row(0), row(1)))
    bad = tmp_path / "bad.csv"
    bad.write_bytes(content)
    ran = csv(run_cli, str(bad))
    assert ran.code == code
    assert part in ran.err
    assert "Traceback" not in ran.err + ran.out
    minutes = [document["datetime"].minute for document in stored(db)]
    assert minutes[:2] == [0, 1]
    assert (2 in minutes) == (code == 6)


def test_rejects_are_kept_once(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """The refused row keeps its values, reason and first run, however often the file is sent."""
    path = csv_file(tmp_path, row(0), row(0, 7), row(1), row(1))
    first, second = csv(run_cli, path, "--json"), csv(run_cli, path, "--json")
    assert (first.code, second.code) == (6, 6)
    assert first.counts["fetched"] == 4
    assert (first.counts["inserted"], first.counts["unchanged"], first.counts["rejected"]) == (2, 1, 1)
    (reject,) = db["import_rejects"].find({}, {"_id": 0, "rejected_at": 0, "row_digest": 0})
    assert reject == {
        "symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "source": "csv", "time": "2022-01-01T00:00:00.000Z",
        "reason": "duplicate_with_other_values", "run_id": json.loads(first.out)["run_id"],
        "row": {"open": "10.0", "high": "12.0", "low": "9.0", "close": "11.0", "volume": "7.0"},
    }  # fmt: skip
    assert [document["volume"] for document in stored(db)] == [5.0, 5.0]


def test_different_rows_of_one_minute_are_all_kept(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """Rows refused at the same time for the same reason are told apart by their content; equal ones are one."""
    path = csv_file(tmp_path, row(0), row(0, 7), row(0, 8), row(1), ",1", ",2", ",2")
    first, second = csv(run_cli, path, "--json"), csv(run_cli, path, "--json")
    assert (first.counts["rejected"], second.counts["rejected"]) == (5, 5)
    kept = [(reject["reason"], reject["row"]) for reject in db["import_rejects"].find({})]
    assert sorted(found.get("volume", found.get("line")) for _, found in kept) == [",1", ",2", "7.0", "8.0"]
    assert {reject["run_id"] for reject in db["import_rejects"].find({})} == {json.loads(first.out)["run_id"]}


def test_refused_rows_are_listed(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """With time, reason and the row as it came; JSON is one object; without any a sentence says so."""
    assert "No row was refused." in run_cli("rejects").out
    path = csv_file(tmp_path, row(0), "2022-01-01 00:01:00,10,8,9,11,5", "2022-01-01 00:02:00,10,12,9,11,-1")
    assert "`import-ohlcv rejects` lists them" in csv(run_cli, path).err
    listed = run_cli("rejects", "--symbol", "BINANCE:BTCUSDT", "--tf", "1m").out
    assert "2022-01-01T00:01:00" in listed
    assert "volume -1" in listed
    found = json.loads(run_cli("rejects", "--most", "1", "--json").out)["rejects"]
    assert [(one["symbol"], one["row"]["high"]) for one in found] == [("BINANCE:BTCUSDT", "8.0")]
    assert "No row was refused." in run_cli("rejects", "--symbol", "BINANCE:ETHUSDT").out


def test_an_import_that_finds_nothing_says_so(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """A range without bars, such as one in the future, is no silent success."""
    ran = csv(run_cli, csv_file(tmp_path, row(0), row(1)), "--since", "2030-01-01")
    assert ran.code == 0
    assert "BINANCE:BTCUSDT 1m: no bar that is not stored yet was found." in ran.err


def test_one_mistyped_year_does_not_spoil_the_series(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """The row is refused with its reason, wherever it stands in the file; the others have no gap."""
    wrong = ("0222-01-01 00:00:00,10,12,9,11,5", "2922-01-01 00:00:00,10,12,9,11,5")
    ran = csv(run_cli, csv_file(tmp_path, wrong[0], row(0), wrong[1], row(1), wrong[0]), "--json")
    assert (ran.code, ran.counts["inserted"], ran.counts["rejected"], ran.counts["gaps"]) == (6, 2, 3, 0)
    assert ran.counts["first"] == "2022-01-01T00:00:00+00:00"
    assert {reject["reason"] for reject in db["import_rejects"].find({})} == {"time_out_of_range"}
    assert list(db["bar_gaps"].find({})) == []


def test_bars_of_the_future_are_refused(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """A bar of a file that closes after the server's clock has not closed."""
    ran = csv(run_cli, csv_file(tmp_path, row(0), "2099-01-01 00:00:00,10,12,9,11,5"))
    assert ran.code == 6
    assert [reject["reason"] for reject in db["import_rejects"].find({})] == ["not_closed"]
    assert len(stored(db)) == 1


def test_a_venue_is_imported_resumed_and_its_gaps_listed(run_cli: RunCli, venue: ScriptedVenue, db: Store) -> None:
    """Over HTTP, then again, then the gaps: absent at the venue, so that nothing is open to fill."""
    venue.missing = {START_MS + 7 * 60_000}
    first = run_cli(*BTC_1M, "--exchange-url", venue.url, "--json")
    assert (first.code, first.counts["inserted"], first.counts["gaps"]) == (0, 99, 1)
    second = run_cli(*BTC_1M, "--exchange-url", venue.url, "--json")
    assert (second.code, second.counts["fetched"]) == (0, 0)
    listed = json.loads(run_cli("gaps", "--json").out)["gaps"]
    assert [(gap["start"], gap["end"], gap["state"]) for gap in listed] == [
        ("2022-01-01T00:07:00+00:00", "2022-01-01T00:07:00+00:00", "absent")
    ]
    table = run_cli("gaps", "--symbol", "binance:btcusdt", "--tf", "1m")
    assert "Gaps in stored bars: 1" in table.out
    assert "absent" in table.out
    filled = run_cli("gaps", "--fill", "--exchange-url", venue.url, "--json")
    assert (filled.code, json.loads(filled.out)["symbols"]) == (0, [])
    assert "No open gaps" in filled.err


def test_open_gaps_are_filled_from_the_venue(run_cli: RunCli, venue: ScriptedVenue, tmp_path: Path, db: Store) -> None:
    """A file leaves a gap open; `gaps --fill` stores what the venue has."""
    csv(run_cli, csv_file(tmp_path, row(0), row(1), row(5)))
    ran = run_cli("gaps", "--fill", "--exchange-url", venue.url, "--json")
    assert (ran.code, ran.counts["inserted"], ran.counts["gaps"]) == (0, 3, 0)
    assert [document["datetime"].minute for document in stored(db)] == [0, 1, 2, 3, 4, 5]
    assert [gap["state"] for gap in db["bar_gaps"].find({})] == ["filled"]


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("--tf", "1m", "--symbol", "BINANCE:BTCUSDC"), 2, "Near it: BINANCE:BTCUSDT"),
        (("--tf", "1m", "--symbol", "BTCUSDT"), 2, "BINANCE:BTCUSDT was needed"),
        (("--symbol", "BINANCE:BTCUSDT", "--tf", "1m", "gaps", "--fill"), 2, "--tf, --symbol before gaps"),
        (("--tf", "1m"), 2, "needs --tf 1m or 1d and --symbol"),
        (("--tf", "5m", "--symbol", "BINANCE:BTCUSDT"), 2, "--tf"),
    ],
)
def test_wrong_arguments_are_told(
    run_cli: RunCli, venue: ScriptedVenue, db: Store, arguments: tuple[str, ...], code: int, part: str
) -> None:
    """A symbol that the venue lacks, one that is none, a missing option, a timeframe that is not stored."""
    ran = run_cli(*arguments, "--exchange-url", venue.url)
    assert ran.code == code
    assert part in ran.err
    assert "Traceback" not in ran.err
    assert stored(db) == []


def test_a_torn_file_among_others_is_told_in_the_summary(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """The other files of the pattern are stored and counted; the exit code is that of the error."""
    for month in (1, 2, 3):
        start_s = int(datetime(2022, month, 1, tzinfo=UTC).timestamp())
        (tmp_path / f"BTCUSDT-1m-2022-{month:02}.csv").write_text(f"{start_s * 1000},10,12,9,11,5,0,0,0,0,0,0\n")
    (tmp_path / "BTCUSDT-1m-2022-02.csv").write_bytes(gzip.compress(b"a" * 99)[:-9])
    ran = run_cli(*BTC_1M, "--source", "binance-dump", "--path", str(tmp_path), "--json")
    assert (ran.code, ran.counts["inserted"], ran.counts["gaps"]) == (2, 2, 1)
    assert "BTCUSDT-1m-2022-02.csv is torn" in ran.err
    assert [document["datetime"].month for document in stored(db)] == [1, 3]


def test_a_symbol_without_its_file_is_told_in_the_summary(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """The symbols before and behind it are stored and counted."""
    frame = pd.DataFrame({"date": pd.to_datetime([START_MS], unit="ms", utc=True)})
    frame = frame.assign(**dict.fromkeys(("open", "high", "low", "close", "volume"), 10.0))
    for base in ("BTC", "SOL"):
        frame.to_feather(tmp_path / f"{base}_USDT-1m.feather")
    names = "BINANCE:BTCUSDT,BINANCE:ETHUSDT,BINANCE:SOLUSDT"
    ran = run_cli("--tf", "1m", "--symbol", names, "--source", "freqtrade", "--path", str(tmp_path), "--json")
    assert ran.code == 2
    assert [symbol["inserted"] for symbol in json.loads(ran.out)["symbols"]] == [1, 0, 1]
    assert "has no ETH_USDT-1m.feather" in ran.err
    assert len(stored(db)) == 2


def test_a_pair_says_where_a_symbol_is_split(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """A file's symbol with an unknown quote is refused with a remedy that works, and stored under its usual name."""
    path = csv_file(tmp_path, row(0), row(2), row(2, 7))
    refused = run_cli("--tf", "1m", "--symbol", "BINANCE:BTCVAI", "--source", "csv", "--path", path)
    assert refused.code == 2
    assert "with a slash, as in BINANCE:BTC/USDT" in refused.err
    ran = run_cli("--tf", "1m", "--symbol", "binance:btc/vai", "--source", "csv", "--path", path, "--json")
    assert (ran.code, ran.counts["symbol"], ran.counts["inserted"]) == (6, "BINANCE:BTCVAI", 2)
    listed = json.loads(run_cli("gaps", "--symbol", "BINANCE:BTCVAI", "--json").out)["gaps"]
    assert [gap["symbol"] for gap in listed] == ["BINANCE:BTCVAI"]


def test_a_venue_that_is_not_there_is_told(run_cli: RunCli) -> None:
    """Exit code 4, and the address that did not answer."""
    ran = run_cli(*BTC_1M, "--exchange-url", "http://127.0.0.1:9")
    assert ran.code == 4
    assert "http://127.0.0.1:9 did not give its spot markets" in ran.err
    assert "Traceback" not in ran.err


def test_a_perpetual_at_a_venue_without_them_is_refused_at_once(run_cli: RunCli, venue: ScriptedVenue) -> None:
    """The venue's list of perpetuals is not there: asked for once, told with its place, nothing stored."""
    venue.faults_at = {"/fapi/v1/exchangeInfo": [(404, {}, "")] * 5}
    ran = run_cli("--tf", "1m", "--symbol", "BINANCE:BTCUSDT.P", "--exchange-url", venue.url)
    assert ran.code == 4
    assert "refused to give its perpetual markets" in ran.err
    assert "nothing at /fapi/v1/exchangeInfo (404)" in ran.err
    assert [path for path, _ in venue.asked] == ["/fapi/v1/exchangeInfo"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--tf", "5m", "--symbol", "BINANCE:BTCUSDT"), "Error: Bars of 1m or 1d are stored, not of '5m'."),
        (("gaps", "--tf", "5m"), "Error: Bars of 1m or 1d are stored, not of '5m'."),
        ((*BTC_1M, "--for", "10m"), "--for and --quiet belong to --follow"),
        ((*BTC_1M, "--follow", "--for", "soon"), "--for must be a length of time"),
    ],
)
def test_options_that_do_not_fit_are_a_sentence(run_cli: RunCli, arguments: tuple[str, ...], part: str) -> None:
    """Exit code 2, before anything is opened."""
    ran = run_cli(*arguments)
    assert ran.code == 2
    assert part in ran.err


@pytest.mark.parametrize(
    ("uri", "code", "part"),
    [
        ("mongodb://user:secret@127.0.0.1:9/", 3, "did not answer"),
        ("mongo:/nonsense", 2, "QUANTFLOW_MONGO_URI"),
    ],
)
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_store_that_is_not_there_is_told(
    run_cli: RunCli, tmp_path: Path, uri: str, code: int, part: str, dry_run: list[str]
) -> None:
    """An unreachable server and a wrong URI: a sentence without the password, no traceback."""
    path = csv_file(tmp_path, row(0))
    ran = run_cli(
        *BTC_1M, "--source", "csv", "--path", path, *dry_run,
        QUANTFLOW_MONGO_URI=uri, QUANTFLOW_MONGO_TIMEOUT_S="0.3",
    )  # fmt: skip
    assert ran.code == code
    assert part in ran.err
    assert "secret" not in ran.err
    assert "Traceback" not in ran.err


def test_a_dry_run_makes_nothing(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """Not a bar, not a collection, not an index: a database that was not there is still not there."""
    other = f"{db.name}_dry"
    path = csv_file(tmp_path, row(0), row(2), row(2, 7))
    ran = run_cli(*BTC_1M, "--source", "csv", "--path", path, "--dry-run", "--json", QUANTFLOW_DB=other)
    assert ran.code == 6
    assert (ran.counts["inserted"], ran.counts["rejected"], ran.counts["gaps"]) == (2, 1, 1)
    assert other not in db.client.list_database_names()


def test_days_are_made_from_minutes(run_cli: RunCli, tmp_path: Path, db: Store) -> None:
    """A complete day becomes one bar of 1d; the incomplete one is named on standard error."""
    rows = [f"{START_MS + minute * 60_000},10,12,9,11,0.5" for minute in range(1500)]
    csv(run_cli, csv_file(tmp_path, *rows))
    ran = run_cli("--tf", "1d", "--symbol", "BINANCE:BTCUSDT", "--resample-from", "1m", "--json")
    assert (ran.code, ran.counts["inserted"], json.loads(ran.out)["source"]) == (0, 1, "resample-1m")
    assert "2022-01-02 (60 of 1,440 minutes)" in ran.err
    assert stored(db, "crypto_market") == [
        {"date": "20220101", "symbol": "BINANCE:BTCUSDT", "open": 10, "high": 12, "low": 9, "close": 11, "volume": 720}
    ]


def test_help_shows_examples(run_cli: RunCli) -> None:
    """--help names every source and gives commands to copy."""
    ran = run_cli("--help", TERM="dumb")
    assert ran.code == 0
    for part in ("ccxt", "csv", "freqtrade", "binance-dump", "import-ohlcv --tf 1m --symbol", "--follow", "gaps"):
        assert part in ran.out
