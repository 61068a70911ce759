"""What other programs write amiss is not shown, and ends nothing: the documents beside it are."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from chain_documents import BOT, NOON, STRATEGY, export, fill, opens, receipt, signal
from structlog.testing import capture_logs

from monitoring.chain.document_shape import OddDocuments
from monitoring.chain.signal_chain import signal_chains
from monitoring.sources.chain_window import ChainKey, ChainWindow
from monitoring.sources.research_health import research_health
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
WHOLE: dict[str, dict[str, Any]] = {
    SIGNALS: signal(1, 80),
    SIGNAL_EXPORTS: export(1, 95, 30),
    SIGNAL_RECEIPTS: receipt(1, 500),
    FILLS: fill(1, 600, 700, "7"),
}


def filled_window() -> ChainWindow:
    """A window that holds one whole document of each kind."""
    window = ChainWindow(ChainKey(STRATEGY, MINUTE, frozenset({BOT})), NOON)
    for collection, document in WHOLE.items():
        window.put(collection, document | {"_id": "whole"})
    assert len(window) == 4
    return window


def shown(window: ChainWindow) -> tuple[Any, ...]:
    """What a look makes of a window."""
    stored = window.stored(BOT)
    health = research_health(
        stored.exports, MINUTE, NOON, opens(5), last_export=None, first_export_at=NOON, failed_runs=(), last_signals={}
    )
    return signal_chains(stored, MINUTE), health


@pytest.mark.parametrize(
    ("collection", "odd"),
    [
        (SIGNALS, {"pair": None}),
        (SIGNALS, {"created_at": "noon"}),
        (SIGNALS, {"action": None, "weight": "a lot"}),
        (SIGNALS, {"ts": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)}),
        (SIGNAL_EXPORTS, {"inserted": None}),
        (SIGNAL_EXPORTS, {"pairs": 3}),
        (SIGNAL_EXPORTS, {"last_ts": None}),
        (SIGNAL_EXPORTS, {"first_ts": DatetimeMS(2**60)}),
        (SIGNAL_EXPORTS, {"delay_s": "soon"}),
        (SIGNAL_RECEIPTS, {"seen_at": "noon"}),
        (SIGNAL_RECEIPTS, {"decision": {}}),
        (FILLS, {"price": 43_000.0}),
        (FILLS, {"quoted": Decimal128("NaN")}),
        (FILLS, {"ordered_at": None}),
    ],
)
def test_an_odd_document_is_refused_and_told_of_once(collection: str, odd: dict[str, Any]) -> None:
    """Whatever is amiss with it, and whatever it is called; each time it comes it is left out."""
    window = filled_window()
    before = shown(window)
    with capture_logs() as logs:
        for _ in range(3):
            window.put(collection, WHOLE[collection] | odd | {"_id": {"named": "by a document"}})
    assert shown(window) == before
    window.remove(collection, {"named": "by a document"})
    assert [(one["event"], one["collection"], one["so_far"]) for one in logs] == [("document_refused", collection, 1)]
    assert repr(next(iter(set(odd) - {"action"}))) in logs[0]["why"]


def test_a_document_that_turns_odd_is_not_shown_as_it_was() -> None:
    """What lies in the store now can not be used, and what lay there before is gone."""
    window = filled_window()
    window.put(SIGNALS, WHOLE[SIGNALS] | {"_id": "whole", "pair": 7})
    assert window.stored(BOT).signals == []


def test_odd_documents_of_others_are_nothing_to_say() -> None:
    """Another strategy's are not read; a field that nobody here reads may hold anything; a stop's fill has no bar."""
    window = filled_window()
    with capture_logs() as logs:
        window.put(SIGNALS, {"_id": 1, "strategy_id": "another", "timeframe": "1m"})
        window.put(FILLS, {key: value for key, value in WHOLE[FILLS].items() if key != "ts"} | {"_id": 2})
        window.put(SIGNALS, WHOLE[SIGNALS] | {"_id": 3, "ts": opens(2), "note": DatetimeMS(2**60)})
    assert logs == []
    assert len(window) == 5


def test_an_export_of_bars_that_are_yet_to_open_is_counted_up_to_now() -> None:
    """Eight thousand years of minutes would hold a look up for good; the bar under way may be ahead of this clock."""
    window = filled_window()
    window.put(SIGNAL_EXPORTS, export(1, 95, 30, _id="far", last_ts=datetime(9997, 1, 1, tzinfo=UTC)))
    _, health = shown(window)
    assert (health.closes, health.closes_exported) == (6, 5)


def test_what_was_told_of_does_not_fill_memory() -> None:
    """A program that writes odd documents all day costs the monitor no more than so many names."""
    odd = OddDocuments()
    with capture_logs():
        for number in range(10_002):
            odd.refuse(SIGNALS, number, "It is odd.")
    assert (odd.count, len(odd)) == (10_002, 2)
