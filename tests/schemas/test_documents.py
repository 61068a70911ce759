"""What may be stored, document by document: each rule has a value on either side of it."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from pydantic import ValidationError

from schemas.bot_documents import Fill, Position, SignalReceipt
from schemas.collections import Store
from schemas.documents import (
    BarGap,
    DayBar,
    Document,
    ImportReject,
    MinuteBar,
    NodeRun,
    Signal,
    SignalExport,
    SignalRevision,
    StoredSignal,
    WorkflowRun,
)
from schemas.sweep_documents import Sweep, SweepResult, SweptParam

T = datetime(2022, 1, 1, tzinfo=UTC)
NAIVE = datetime(2022, 1, 1)  # noqa: DTZ001 - the naive time is the subject
MINUTE = timedelta(minutes=1)
SYMBOL, PAIR = "BINANCE:BTCUSDT", "BTC/USDT"

PRICES = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 1.0}
DAY_BAR = {"date": "20220101", "symbol": SYMBOL} | PRICES
MINUTE_BAR = {"datetime": T, "symbol": SYMBOL} | PRICES
SIGNAL = {
    "strategy_id": "momentum", "symbol": SYMBOL, "pair": PAIR, "timeframe": "5m", "ts": T, "action": "enter_long",
}  # fmt: skip
STORED_SIGNAL = SIGNAL | {"version": 1, "run_id": "run", "created_at": T, "updated_at": T}
REVISION = STORED_SIGNAL | {"replaced_at": T, "replaced_by": "run2"}
EXPORT = {
    "run_id": "run", "strategy_id": "momentum", "timeframe": "5m", "pairs": [PAIR], "first_ts": T, "last_ts": T,
    "inserted": 1, "changed": 0, "unchanged": 0, "retracted": 0, "refused": 0, "delay_s": 0.5, "exported_at": T,
}  # fmt: skip
RECEIPT = {
    "consumer": "bot", "strategy_id": "momentum", "pair": PAIR, "timeframe": "5m", "ts": T, "decision": "entered",
    "seen_at": T, "candle": T, "latency_ms": 3.0, "version": 1, "run_id": "run", "updated_at": T,
}  # fmt: skip
FILL = {
    "consumer": "bot", "order_id": "7", "strategy_id": "momentum", "pair": PAIR, "symbol": SYMBOL, "timeframe": "5m",
    "side": "buy", "amount": Decimal("0.00123"), "price": Decimal("43210.5"), "cost": Decimal("53.148915"),
    "ordered_at": T, "filled_at": T,
}  # fmt: skip
POSITION = {
    "consumer": "bot", "entry_order_id": "7", "trade_id": 1, "strategy_id": "momentum", "pair": PAIR, "symbol": SYMBOL,
    "timeframe": "5m", "side": "long", "state": "open", "amount": Decimal("0.00123"), "open_rate": Decimal("43210.5"),
    "stake": Decimal("53.148915"), "opened_at": T, "updated_at": T,
}  # fmt: skip
REJECT = {
    "symbol": SYMBOL, "timeframe": "1m", "source": "csv", "time": "yesterday", "reason": "no time",
    "row": {"open": "x"}, "row_digest": "abc", "run_id": "run", "rejected_at": T,
}  # fmt: skip
GAP = {"symbol": SYMBOL, "timeframe": "1m", "start": T, "end": T, "state": "open", "updated_at": T}
RUN = {
    "run_id": "run", "name": "graph", "graph": {"nodes": {}}, "graph_digest": "abc", "versions": {}, "state": "running",
    "started_at": T, "host": "here", "pid": 1, "nodes": {},
}  # fmt: skip
SWEEP = {
    "sweep_id": "abc", "name": "graph", "target": "backtest", "graph": {"nodes": {}}, "graph_digest": "abc", "grid": [],
    "sets": 1, "metric": "sharpe", "versions": {}, "data_first": T, "data_last": T, "data_bars": 1,
    "data_digest": "abc", "state": "running", "started_at": T, "host": "here", "pid": 1,
}  # fmt: skip
SWEEP_RESULT = {
    "sweep_id": "abc", "split": "all", "set_id": "abc", "params": {"momentum": {"lookback_bars": 60}},
    "figures": {"sharpe": 1.5, "trades": 7}, "computed_at": T,
}  # fmt: skip
EXAMPLES: list[tuple[type[Document], dict[str, Any]]] = [
    (DayBar, DAY_BAR),
    (MinuteBar, MINUTE_BAR),
    (Signal, SIGNAL),
    (StoredSignal, STORED_SIGNAL),
    (SignalRevision, REVISION),
    (SignalExport, EXPORT),
    (SignalReceipt, RECEIPT),
    (Fill, FILL),
    (Position, POSITION),
    (ImportReject, REJECT),
    (BarGap, GAP),
    (NodeRun, {"type": "read_bars", "state": "waiting"}),
    (WorkflowRun, RUN),
    (SweptParam, {"node": "momentum", "param": "lookback_bars", "values": [30, 60]}),
    (Sweep, SWEEP),
    (SweepResult, SWEEP_RESULT),
]
each_model = pytest.mark.parametrize(("model", "example"), EXAMPLES, ids=[model.__name__ for model, _ in EXAMPLES])


def refusal(model: type[Document], fields: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        model(**fields)
    return str(refused.value)


@each_model
def test_exactly_the_declared_fields_are_taken(model: type[Document], example: dict[str, Any]) -> None:
    """Another field is a misspelling, and one that is missing and has no default is a fact that is missing."""
    model(**example)
    assert "misspelt" in refusal(model, example | {"misspelt": 1})
    for name, field in model.model_fields.items():
        if field.is_required():
            assert name in refusal(model, {key: value for key, value in example.items() if key != name})


@each_model
def test_no_naive_time_is_taken(model: type[Document], example: dict[str, Any]) -> None:
    """Each time of each document must carry a zone."""
    for name in [name for name, value in example.items() if isinstance(value, datetime)]:
        assert "must carry a zone" in refusal(model, example | {name: NAIVE})
        assert name in refusal(model, example | {name: "2022-01-01T00:00:00Z"})


@each_model
def test_no_number_is_taken_that_is_none(model: type[Document], example: dict[str, Any]) -> None:
    """NaN and the infinities are no values; a truth value or a text is no number."""
    for name in [name for name, value in example.items() if isinstance(value, float)]:
        for wrong in (math.nan, math.inf, -math.inf, True, "1.0"):
            assert name in refusal(model, example | {name: wrong})


@each_model
def test_a_document_does_not_change(model: type[Document], example: dict[str, Any]) -> None:
    """A fact is replaced by another, never altered in hand."""
    document = model(**example)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(document, next(iter(example)), "other")


@pytest.mark.mongo
@each_model
def test_what_is_stored_is_read_back_equal(db: Store, model: type[Document], example: dict[str, Any]) -> None:
    """Fields that are not set are not stored; times come back as they were written, to MongoDB's millisecond."""
    document = model(**example)
    db["any"].insert_one(dict(document.to_mongo()))
    stored = db["any"].find_one({}, {"_id": 0})
    assert stored is not None
    assert None not in stored.values()
    read = {key: value.to_decimal() if isinstance(value, Decimal128) else value for key, value in stored.items()}
    assert model(**read) == document


def test_money_is_stored_as_a_decimal() -> None:
    """Decimal128, digit by digit: no double comes in between; a float is refused."""
    assert Fill(**FILL).to_mongo()["cost"] == Decimal128("53.148915")
    assert "cost" in refusal(Fill, FILL | {"cost": 53.148915})
    assert "amount" in refusal(Fill, FILL | {"amount": Decimal("NaN")})


def test_times_are_stored_in_utc_and_whole_milliseconds() -> None:
    """What is compared with a stored time must be what was stored."""
    east = datetime(2022, 1, 1, 8, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=8)))
    assert BarGap(**GAP | {"updated_at": east}).to_mongo()["updated_at"] == T + timedelta(milliseconds=123)


@pytest.mark.parametrize(
    "prices",
    [
        {"low": 10.0},
        {"low": 10.0, "open": 10.0, "close": 10.0, "high": 10.0},
        {"high": 11.0},
        {"volume": 0.0},
        {"open": -1.0, "low": -2.0},  # spreads and some futures traded below zero
    ],
)
@pytest.mark.parametrize(("model", "example"), [(DayBar, DAY_BAR), (MinuteBar, MINUTE_BAR)])
def test_a_bar_at_the_edge_is_taken(model: type[Document], example: dict[str, Any], prices: dict[str, float]) -> None:
    """Equal prices and no volume are a quiet minute."""
    model(**example | prices)


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ({"low": 10.5}, "low ≤ open, close ≤ high was needed"),
        ({"high": 10.5}, "low ≤ open, close ≤ high was needed"),
        ({"low": 13.0}, "low ≤ open, close ≤ high was needed"),
        ({"open": 12.5}, "low ≤ open, close ≤ high was needed"),
        ({"close": 8.5}, "low ≤ open, close ≤ high was needed"),
        ({"volume": -0.1}, "volume"),
    ],
)
@pytest.mark.parametrize(("model", "example"), [(DayBar, DAY_BAR), (MinuteBar, MINUTE_BAR)])
def test_a_bar_that_can_not_have_been_is_refused(
    model: type[Document], example: dict[str, Any], prices: dict[str, float], reason: str
) -> None:
    """A price outside the bar's own range, or a negative volume."""
    assert reason in refusal(model, example | prices)


@pytest.mark.parametrize("date", ["2022-01-01", "220101", "20220101T", "2022010a", "", "20220230", "20221301"])
def test_a_day_that_is_none_is_refused(date: str) -> None:
    """A day bar's date is YYYYMMDD, and in the calendar."""
    assert "date" in refusal(DayBar, DAY_BAR | {"date": date})


@pytest.mark.parametrize("late", [timedelta(seconds=1), timedelta(microseconds=1), timedelta(seconds=59.999)])
def test_a_minute_bar_opens_on_a_minute(late: timedelta) -> None:
    """Anything else is not on the grid."""
    MinuteBar(**MINUTE_BAR | {"datetime": T + 7 * MINUTE})
    assert "opens on a whole minute" in refusal(MinuteBar, MINUTE_BAR | {"datetime": T + late})


@pytest.mark.parametrize(
    "change",
    [
        {"action": "exit_long"},
        {"action": "enter_short"},
        {"action": "exit_short"},
        {"action": None, "score": -3.5},
        {"action": None, "weight": 1.0},
        {"action": None, "weight": -1.0},
        {"action": None, "score": 0.0},
        {"ts": T + timedelta(hours=1)},
        {"ts": datetime(2022, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))},
        {"valid_until": T + 5 * MINUTE + timedelta(milliseconds=1)},
        {"timeframe": "1w", "ts": datetime(2022, 1, 3, tzinfo=UTC)},
        {"symbol": "BINANCE:BTCUSDT.P", "pair": "BTC/USDT:USDT"},
        {"symbol": "BINANCE:USDTUSD", "pair": "USDT/USD"},  # the symbol alone splits as USD in TUSD
        {"note": "", "source": "notebook"},
    ],
)
def test_a_signal_in_the_contract_is_taken(change: dict[str, Any]) -> None:
    """One opinion, on the grid, for one instrument."""
    Signal(**SIGNAL | change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action": None}, "exactly one of action, score and weight was needed, found none"),
        ({"score": 1.0}, r"exactly one of action, score and weight was needed, found ['action', 'score']"),
        ({"action": None, "score": 1.0, "weight": 1.0}, "found ['score', 'weight']"),
        ({"action": "buy"}, "action"),
        ({"action": None, "weight": 1.01}, "weight"),
        ({"action": None, "weight": -1.01}, "weight"),
        ({"action": None, "score": math.nan}, "score"),
        ({"ts": T + MINUTE}, "is not on the grid of 5m; the bar that contains it opened at 2022-01-01T00:00:00+00:00"),
        ({"ts": T + timedelta(microseconds=1)}, "is not on the grid of 5m"),
        ({"timeframe": "1w"}, "the bar that contains it opened at 2021-12-27"),
        ({"timeframe": "soon"}, "A timeframe such as 1m"),
        ({"valid_until": T + 5 * MINUTE}, "is not after 2022-01-01T00:05:00+00:00, when the signal becomes available"),
        ({"valid_until": T}, "when the signal becomes available"),
        ({"symbol": "BTCUSDT"}, "A symbol such as BINANCE:BTCUSDT was needed"),
        ({"pair": "BTCUSDT"}, "A pair such as BTC/USDT was needed"),
        ({"pair": "ETH/USDT"}, "symbol BINANCE:BTCUSDT and pair ETH/USDT are not the same instrument"),
        ({"pair": "BTC/USDT:USDT"}, "symbol BINANCE:BTCUSDT and pair BTC/USDT:USDT are not the same instrument"),
        ({"symbol": "BINANCE:BTCUSDT.P"}, "symbol BINANCE:BTCUSDT.P and pair BTC/USDT are not the same instrument"),
        ({"strategy_id": ""}, "strategy_id"),
        ({"strategy_id": "s" * 201}, "strategy_id"),
    ],
)
def test_a_signal_outside_the_contract_is_refused(change: dict[str, Any], reason: str) -> None:
    """The reason is a sentence that says what was found."""
    assert reason in refusal(Signal, SIGNAL | change)


def test_a_version_counts_from_one() -> None:
    """The first content of a signal is version 1."""
    assert "version" in refusal(StoredSignal, STORED_SIGNAL | {"version": 0})
    assert "version" in refusal(StoredSignal, STORED_SIGNAL | {"version": 1.0})


@pytest.mark.parametrize("count", ["inserted", "changed", "unchanged", "retracted", "refused"])
def test_an_export_counts_nothing_below_zero(count: str) -> None:
    """Counts are numbers of signals; an export of nothing has no times and no delay."""
    assert count in refusal(SignalExport, EXPORT | {count: -1})
    SignalExport(**EXPORT | {"first_ts": None, "last_ts": None, "delay_s": None})


@pytest.mark.parametrize(
    ("decision", "reason"), [("skipped", "cooldown"), ("skipped", "expired"), ("entered", None), ("exited", None)]
)
def test_a_receipt_has_a_reason_exactly_where_a_signal_was_skipped(decision: str, reason: str | None) -> None:
    """A reason of the closed list where nothing was done, none where something was."""
    SignalReceipt(**RECEIPT | {"decision": decision, "reason": reason})
    other = None if reason else "cooldown"
    assert "a reason belongs to a skipped signal" in refusal(
        SignalReceipt, RECEIPT | {"decision": decision, "reason": other}
    )
    assert "reason" in refusal(SignalReceipt, RECEIPT | {"decision": "skipped", "reason": "bad mood"})


def test_a_gap_ends_where_it_starts_or_later() -> None:
    """One missing bar is a gap of one."""
    BarGap(**GAP)
    assert "lies before its start" in refusal(BarGap, GAP | {"end": T - MINUTE})
    assert "state" in refusal(BarGap, GAP | {"state": "closed"})


def test_a_run_tells_the_fate_of_each_node() -> None:
    """Its nodes are documents themselves."""
    run = WorkflowRun(**RUN | {"nodes": {"bars": NodeRun(type="read_bars", state="failed", error="no bars")}})
    assert run.to_mongo()["nodes"]["bars"] == {"type": "read_bars", "state": "failed", "error": "no bars", "rows": {}}
    assert "state" in refusal(WorkflowRun, RUN | {"state": "done"})
