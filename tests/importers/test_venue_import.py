"""Bars from a venue over HTTP, through the real ccxt: pages, resumption, faults, gaps."""

import asyncio
import time

import pytest
import stamina.instrumentation
import structlog.testing
from import_samples import BTC, DAY, MINUTE, NOW_MS, START_MS, gap_list, minutes, rising_bars, stored
from scripted_venue import ScriptedVenue

from importers.bars import Batch
from importers.gaps import read_gaps
from importers.intake import ImportRun, SymbolIntake
from importers.summary import SymbolCounts
from importers.venue import Patience, VenueAddress
from importers.venue_import import fill_gaps, import_from_venue
from schemas.collections import Store
from schemas.errors import InputError, SymbolError, VenueError
from schemas.exchange_address import moved_addresses
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo

ETH = Symbol("BINANCE", "ETH", "USDT")
QUICK = Patience(attempts=4, wait_initial_s=0.01, wait_max_s=0.02, longest_ban_s=5)


class Intakes:
    """Begins intakes, and remembers them."""

    def __init__(self, run: ImportRun) -> None:
        self.run = run
        self.begun: list[SymbolIntake] = []

    def begin(self, symbol: Symbol, timeframe: Timeframe) -> SymbolIntake:
        self.begun.append(SymbolIntake(self.run, symbol, timeframe))
        return self.begun[-1]


def fetch(
    db: Store, venue: ScriptedVenue, *symbols: Symbol | str, since: int | None = None, until: int | None = None,
    timeframe: Timeframe = MINUTE, dry_run: bool = False,
) -> list[SymbolCounts]:  # fmt: skip
    """Import from the venue; `since` and `until` in minutes after the start."""
    intakes = Intakes(ImportRun(db, "run-1", "ccxt", dry_run))
    names = [str(symbol) for symbol in symbols or (BTC,)]
    span = [None if minute is None else START_MS + minute * 60_000 for minute in (since, until)]
    address = VenueAddress("binance", venue.url, QUICK)
    errors = asyncio.run(import_from_venue(address, names, timeframe, intakes.begin, *span))
    if errors:
        raise errors[0]
    return [intake.finish() for intake in intakes.begun]


def stored_minutes(db: Store) -> list[int]:
    return [(int(document["datetime"].timestamp()) * 1000 - START_MS) // 60_000 for document in stored(db)]


@pytest.mark.parametrize("most_rows", [1000, 100, 50, 33, 7])
def test_no_bar_is_lost_or_doubled_at_a_page_edge(db: Store, venue: ScriptedVenue, most_rows: int) -> None:
    """Whatever a page's size, also where the last page ends with the last bar, each closed bar is stored once."""
    venue.most_rows = most_rows
    (counts,) = fetch(db, venue)
    assert (counts.fetched, counts.inserted, counts.gaps) == (100, 100, 0)
    assert stored_minutes(db) == list(range(100))
    assert [document["open"] for document in stored(db)] == [100.0 + minute for minute in range(100)]
    starts = [int(request["startTime"]) for request in venue.kline_requests()]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(("late_ms", "closed"), [(0, 100), (59_999, 100), (60_000, 101)])
def test_the_forming_bar_is_never_stored(db: Store, venue: ScriptedVenue, late_ms: int, closed: int) -> None:
    """By the venue's clock, whatever the local one says, a bar is stored from the moment of its close."""
    venue.now_ms = START_MS + 100 * 60_000 + late_ms
    fetch(db, venue)
    assert stored_minutes(db) == list(range(closed))


def test_days_end_with_the_last_that_has_closed(db: Store, venue: ScriptedVenue) -> None:
    """Daily bars follow the same rule."""
    venue.now_ms = START_MS + 3 * 86_400_000 + 1
    fetch(db, venue, timeframe=DAY)
    assert [document["date"] for document in stored(db, "crypto_market")] == ["20220101", "20220102", "20220103"]


def test_an_import_goes_on_after_the_last_stored_bar(db: Store, venue: ScriptedVenue) -> None:
    """The second run asks for what is new only; the third has nothing to ask for."""
    fetch(db, venue)
    venue.now_ms += 5 * 60_000
    venue.asked.clear()
    (counts,) = fetch(db, venue)
    assert (counts.fetched, counts.inserted) == (5, 5)
    assert [int(request["startTime"]) for request in venue.kline_requests()] == [START_MS + 100 * 60_000]
    venue.asked.clear()
    assert fetch(db, venue)[0].fetched == 0
    assert venue.kline_requests() == []


def test_a_span_is_half_open(db: Store, venue: ScriptedVenue) -> None:
    """--since is included, --until is not; what is stored already is found equal."""
    (counts,) = fetch(db, venue, since=10, until=20)
    assert stored_minutes(db) == list(range(10, 20))
    assert (counts.first, counts.last) == ("2022-01-01T00:10:00+00:00", "2022-01-01T00:19:00+00:00")
    (counts,) = fetch(db, venue, since=5, until=25)
    assert (counts.inserted, counts.unchanged) == (10, 10)


def test_several_symbols_come_at_once(db: Store, venue: ScriptedVenue) -> None:
    """Each symbol has its own bars and counts."""
    counts = fetch(db, venue, BTC, ETH)
    assert [(count.symbol, count.inserted) for count in counts] == [("BINANCE:BTCUSDT", 100), ("BINANCE:ETHUSDT", 100)]
    assert db["crypto_market_1m"].count_documents({"symbol": "BINANCE:ETHUSDT"}) == 100


def test_a_perpetual_comes_from_the_futures_market(db: Store, venue: ScriptedVenue) -> None:
    """BINANCE:BTCUSDT.P is asked for at the futures' addresses, all of them at the given place."""
    fetch(db, venue, Symbol("BINANCE", "BTC", "USDT", "USDT"))
    assert {path for path, _ in venue.asked} == {"/fapi/v1/exchangeInfo", "/fapi/v1/time", "/fapi/v1/klines"}
    assert db["crypto_market_1m"].count_documents({"symbol": "BINANCE:BTCUSDT.P"}) == 100


@pytest.mark.parametrize(
    "fault",
    [
        (500, {}, "oops"),
        (503, {}, ""),
        (429, {"Retry-After": "0"}, '{"code":-1003,"msg":"Too many requests."}'),
        (200, {}, '[[164099'),
        (200, {}, "<html>Please sign in</html>"),
        (502, {}, "<html>Bad Gateway</html>"),
    ],
)  # fmt: skip
def test_passing_faults_are_survived(db: Store, venue: ScriptedVenue, fault: tuple[int, dict[str, str], str]) -> None:
    """An error of the server, a limit, a torn answer: asked again, and nothing is lost or doubled."""
    venue.most_rows = 30
    venue.faults = [fault, fault]
    (counts,) = fetch(db, venue)
    assert counts.inserted == 100
    assert stored_minutes(db) == list(range(100))


@pytest.mark.parametrize("path", ["/api/v3/exchangeInfo", "/api/v3/time"])
@pytest.mark.parametrize("fault", [(500, {}, "oops"), (200, {}, "<html>Please sign in</html>"), (200, {}, "{}")])
def test_faults_of_the_first_requests_are_survived(
    db: Store, venue: ScriptedVenue, path: str, fault: tuple[int, dict[str, str], str]
) -> None:
    """The venue's markets and time are asked for again too, also where a stranger answered in its place."""
    venue.faults_at = {path: [fault]}
    assert fetch(db, venue, since=90)[0].inserted == 10


def test_a_stranger_in_the_venues_place_gives_a_sentence(db: Store, venue: ScriptedVenue) -> None:
    """Where every answer is a web page the import ends with a sentence."""
    venue.faults_at = {"/api/v3/exchangeInfo": [(200, {}, "<html>Please sign in</html>")] * 9}
    with pytest.raises(VenueError, match="did not give its spot markets in 3 tries"):
        fetch(db, venue)


def test_the_venues_pause_is_kept(db: Store, venue: ScriptedVenue) -> None:
    """After a 429 with Retry-After: 1 no request comes for that second."""
    venue.faults = [(429, {"Retry-After": "1"}, "{}")]
    started = time.monotonic()
    fetch(db, venue)
    assert time.monotonic() - started >= 1


def test_a_long_ban_ends_the_import_with_a_sentence(db: Store, venue: ScriptedVenue) -> None:
    """A pause longer than anyone waits for is told, with its length."""
    venue.faults = [(418, {"Retry-After": "7200"}, "{}")]
    with pytest.raises(VenueError, match="asks for a pause of 7200 s"):
        fetch(db, venue)


def test_giving_up_keeps_the_pages_before(db: Store, venue: ScriptedVenue) -> None:
    """When a page fails for good, what came before it is stored and the next run completes."""
    venue.most_rows = 25
    fetch(db, venue, until=50)
    venue.faults = [(500, {}, "down")] * 4
    with pytest.raises(VenueError, match="did not give bars of BINANCE:BTCUSDT 1m in 4 tries"):
        fetch(db, venue)
    assert stored_minutes(db) == list(range(50))
    fetch(db, venue)
    assert stored_minutes(db) == list(range(100))


def test_one_symbol_that_fails_does_not_stop_the_other(db: Store, venue: ScriptedVenue) -> None:
    """What is refused of one symbol is told; the other is complete."""
    bad = (400, {}, '{"code":-1120,"msg":"Invalid interval."}')
    venue.faults = [bad]
    begin = Intakes(ImportRun(db, "run-1", "ccxt")).begin
    address = VenueAddress("binance", venue.url, QUICK)
    errors = asyncio.run(import_from_venue(address, [str(BTC), str(ETH)], MINUTE, begin, None, None))
    assert [type(error) for error in errors] == [VenueError]
    assert "refused to give bars of" in str(errors[0])
    assert db["crypto_market_1m"].count_documents({}) == 100


@pytest.mark.parametrize(
    ("base", "quote"),
    [("BTC", "VAI"), ("DOT", "USD"), ("DO", "TUSD")],  # a quote that only the venue knows; a name of two readings
)
def test_the_venues_own_list_splits_a_symbol(db: Store, venue: ScriptedVenue, base: str, quote: str) -> None:
    """Whatever quotes are known here, base and quote are those of the market; bars, gaps and rejects are stored."""
    venue.pairs = [("BTC", "USDT"), (base, quote)]
    venue.missing, venue.wrong = set(minutes(3).tolist()), set(minutes(5).tolist())
    name = f"BINANCE:{base}{quote}"
    intakes = Intakes(ImportRun(db, "run-1", "ccxt"))
    address = VenueAddress("binance", venue.url, QUICK)
    assert asyncio.run(import_from_venue(address, [name], MINUTE, intakes.begin, None, None)) == []
    assert [intake.symbol for intake in intakes.begun] == [Symbol("BINANCE", base, quote)]
    assert db["crypto_market_1m"].count_documents({"symbol": name}) == 98
    venue.wrong = set()
    assert refill(db, venue)[0].inserted == 1
    assert [(gap.symbol, gap.state) for gap in read_gaps(db, name, None, ["absent", "filled"])] == [
        (name, "absent"),
        (name, "filled"),
    ]


def test_a_name_of_two_markets_is_refused_with_both(db: Store, venue: ScriptedVenue) -> None:
    """Bars lie under the name: where a venue has two markets of one name nobody can tell whose they would be."""
    venue.pairs = [("DOT", "USD"), ("DO", "TUSD")]
    with pytest.raises(SymbolError, match=r"BINANCE:DOTUSD can be any of DOT/USD, DO/TUSD at"):
        fetch(db, venue, "BINANCE:DOTUSD")


def test_each_retry_is_logged_once_with_what_was_asked(db: Store, venue: ScriptedVenue) -> None:
    """The warning names the symbol and the error; stamina's own, which knows neither, is not written."""
    venue.faults = [(500, {}, "oops")]
    with structlog.testing.capture_logs() as logs:
        fetch(db, venue)
    (warning,) = [log for log in logs if log["log_level"] == "warning"]
    assert (warning["event"], warning["asked"], warning["tried"]) == ("venue_retried", "bars of BINANCE:BTCUSDT 1m", 1)
    assert warning["error"].startswith("ExchangeNotAvailable: ")
    assert stamina.instrumentation.get_on_retry_hooks()  # as they were, for others


def test_an_unknown_symbol_is_told_before_anything_is_stored(db: Store, venue: ScriptedVenue) -> None:
    """The sentence names what is near; the known symbol beside it is not begun."""
    with pytest.raises(SymbolError, match=r"no spot market BTCUSDC for BINANCE:BTCUSDC\. Near it: BINANCE:BTCUSDT\."):
        fetch(db, venue, BTC, Symbol("BINANCE", "BTC", "USDC"))
    assert stored(db) == []


def test_a_venue_that_is_not_there_gives_a_sentence(db: Store, venue: ScriptedVenue) -> None:
    """Nobody listens: the sentence says where."""
    begin = Intakes(ImportRun(db, "run-1", "ccxt")).begin
    address = VenueAddress("binance", "http://127.0.0.1:9", QUICK)
    with pytest.raises(VenueError, match=r"binance at http://127\.0\.0\.1:9 did not give its spot markets in 3 tries"):
        asyncio.run(import_from_venue(address, [str(BTC)], MINUTE, begin, None, None))


@pytest.mark.parametrize(
    ("address", "part"),
    [
        (VenueAddress("binanse"), "no exchange 'binanse'. Near it: binance"),
        (VenueAddress("binance", "localhost:80"), "must be an address such as http://127.0.0.1:8080"),
    ],
)
def test_a_wrong_exchange_or_address_gives_a_sentence(db: Store, address: VenueAddress, part: str) -> None:
    """Misspelt names and addresses are told before any request."""
    begin = Intakes(ImportRun(db, "run-1", "ccxt")).begin
    with pytest.raises(InputError, match=part):
        asyncio.run(import_from_venue(address, [str(BTC)], MINUTE, begin, None, None))


@pytest.mark.parametrize("most_rows", [1000, 10, 3])
def test_bars_that_the_venue_lacks_are_absent(db: Store, venue: ScriptedVenue, most_rows: int) -> None:
    """Holes inside a page and at its edges are recorded as absent, once each."""
    venue.most_rows = most_rows
    venue.missing = set(minutes(5, 6, 9, 10, 11, 50).tolist())
    (counts,) = fetch(db, venue)
    assert gap_list(db) == [(5, 6, "absent"), (9, 11, "absent"), (50, 50, "absent")]
    assert counts.gaps == 3


def test_a_wrong_bar_is_refused_and_its_gap_open(db: Store, venue: ScriptedVenue) -> None:
    """The venue's own mistake is kept with its reason; when it has been mended, filling the gap completes the bars."""
    venue.wrong = set(minutes(7).tolist())
    (counts,) = fetch(db, venue)
    assert (counts.inserted, counts.rejected) == (99, 1)
    assert gap_list(db) == [(7, 7, "open")]
    assert [reject["reason"] for reject in db["import_rejects"].find({})] == ["prices_out_of_order"]
    venue.wrong = set()
    assert refill(db, venue)[0].inserted == 1
    assert gap_list(db) == [(7, 7, "filled")]


def refill(db: Store, venue: ScriptedVenue) -> list[SymbolCounts]:
    intakes = Intakes(ImportRun(db, "run-2", "ccxt"))
    gaps = read_gaps(db, None, None, ["open"])
    assert asyncio.run(fill_gaps(VenueAddress("binance", venue.url, QUICK), gaps, intakes.begin)) == []
    return [intake.finish() for intake in intakes.begun]


def test_filling_stores_what_the_venue_has_and_marks_the_rest(
    db: Store, venue: ScriptedVenue, intake: SymbolIntake
) -> None:
    """Open gaps are asked for and become filled or absent; bars outside them are not asked for."""
    bars = rising_bars(60)
    intake.take(Batch(bars.take(bars.open_ms % 1_200_000 < 600_000)), NOW_MS)  # ten minutes there, ten missing
    assert gap_list(db) == [(10, 19, "open"), (30, 39, "open")]
    venue.missing = set(minutes(*range(15, 20), *range(30, 40)).tolist())
    (counts,) = refill(db, venue)
    assert (counts.fetched, counts.inserted) == (5, 5)
    assert gap_list(db) == [(10, 14, "filled"), (15, 19, "absent"), (30, 39, "absent")]


def test_a_dry_run_fetches_and_writes_nothing(db: Store, venue: ScriptedVenue) -> None:
    """The counts are those of a real run; no bar, gap or reject is stored."""
    venue.missing = set(minutes(5).tolist())
    venue.wrong = set(minutes(7).tolist())
    (counts,) = fetch(db, venue, dry_run=True)
    assert (counts.inserted, counts.rejected, counts.gaps) == (98, 1, 2)
    assert [stored(db, name) for name in ("crypto_market_1m", "bar_gaps", "import_rejects")] == [[], [], []]


def test_all_addresses_of_the_exchange_are_replaced() -> None:
    """With an address given no part of ccxt's interface still names the real venue."""
    import ccxt

    urls = ccxt.binance().urls["api"]
    moved = moved_addresses(urls, "http://127.0.0.1:1")
    assert moved.keys() == urls.keys()
    assert all(url.startswith("http://127.0.0.1:1/") for url in moved.values())
    assert moved["public"] == "http://127.0.0.1:1/api/v3"
