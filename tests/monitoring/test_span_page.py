"""A page about a span shows what is stored of it, safely, and says what was not found."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.offline
import pytest
from trade_documents import NOON, at
from traded_day import write_day

from monitoring.chain.comparison import compare_with_backtest
from monitoring.chain.equity_curves import equity_curves
from monitoring.chain.signal_chain import Scope
from monitoring.chain.traded_span import read_span
from monitoring.report.span_charts import MOST_BARS, split_figure
from monitoring.report.span_object import span_object
from monitoring.report.span_page import duration, lead, render_span
from monitoring.sources.span_facts import SpanFacts, read_span_facts
from monitoring.watch_file import WatchedStrategy
from schemas.collections import MONITOR_ALERTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def facts_of(db: Store, since: float = 0, until: float = 240, **more: Any) -> SpanFacts:
    return read_span_facts(db, at(since), at(until), at(300), **more)


def without_plotly(page: str) -> str:
    return page.replace(plotly.offline.get_plotlyjs(), "")


def figures(page: str) -> dict[str, Any]:
    """Return the figures that the page's script will draw."""
    found = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page, re.S)
    return {name: json.loads(text) for name, text in found}


@pytest.fixture
def day(db: Store) -> Store:
    """Four hours of two pairs."""
    write_day(db)
    return db


def test_the_facts_of_a_span_are_those_that_are_stored(day: Store) -> None:
    """Of 238 closes since the first export two were not exported; each seventh entry was skipped."""
    facts = facts_of(day)
    (one,) = facts.strategies
    assert (one.watched.consumer, one.watched.pairs) == ("bot", ("BTC/USDT", "ETH/USDT"))
    assert (one.research.closes, one.research.closes_exported, one.research.exports) == (238, 236, 237)
    assert len(one.chains) == day[SIGNALS].count_documents({})
    assert one.comparison is not None
    skipped = day[SIGNAL_RECEIPTS].count_documents({"reason": "risk"})
    assert (len(one.comparison.skipped), one.comparison.skip_reasons) == (skipped, {"risk": skipped})
    assert [alert.alert_id for alert in facts.alerts] == ["missing", "slippage"]
    assert [(gap.symbol, gap.state) for gap in facts.gaps] == [("BINANCE:ETHUSDT", "filled")]
    assert [latency.pair for latency in one.latency] == [None, "BTC/USDT", "ETH/USDT"]


def test_a_part_of_the_span_has_that_part_only(day: Store) -> None:
    """The first hour: its signals, no gap, no alert."""
    facts = facts_of(day, 0, 40)
    (one,) = facts.strategies
    assert {chain.ts < at(40) for chain in one.chains} == {True}
    assert one.research.exports == 39  # that of the last bar ended after it
    assert (facts.alerts, facts.gaps) == ((), ())


def test_the_curves_end_at_the_totals(day: Store) -> None:
    """Bar by bar from 0 to the sums of the comparison, which is one and the same arithmetic done twice."""
    span = read_span(day, Scope("s", "bot", Timeframe.parse("1m"), NOON, at(240)))
    found = compare_with_backtest(span)
    curves = equity_curves(found, span.bars)
    assert curves.iloc[0].tolist() == [0.0, 0.0]
    assert curves["live"].iloc[-1] == pytest.approx(found.totals.live, abs=1e-12)
    assert curves["backtest"].iloc[-1] == pytest.approx(found.totals.backtest, abs=1e-12)
    assert curves.index.is_monotonic_increasing


def test_a_curve_is_worth_the_close_while_a_trade_is_open(day: Store) -> None:
    """The first trade's second close, by hand: close over what was paid, less 1."""
    span = read_span(day, Scope("s", "bot", Timeframe.parse("1m"), NOON, at(8)))
    found = compare_with_backtest(span, fee=0.001)
    curves = equity_curves(found, {"BTC/USDT": span.bars["BTC/USDT"]})
    btc = span.bars["BTC/USDT"]
    paid = btc["open"].iloc[1] * 1.001
    assert curves["backtest"].loc[at(3)] == pytest.approx(btc["close"].iloc[2] / paid - 1, abs=1e-15)


def test_the_page_draws_all_and_loads_nothing(day: Store) -> None:
    """Four charts of one strategy, plotly once, no address anywhere, and a policy that forbids to load any."""
    page = render_span(facts_of(day))
    assert set(figures(page)) == {"exports1", "latency1", "split1", "equity1"}
    assert page.count(plotly.offline.get_plotlyjs()[:500]) == 1
    rest = without_plotly(page)
    assert "http" not in rest.replace("http-equiv", "")
    assert "default-src 'none'" in rest
    for text in (
        "s · 1m · bot",
        "99.16 % of 238",
        "signal_missing",
        "BINANCE:ETHUSDT",
        "nothing missing, nothing double",
    ):
        assert text in rest


def test_the_stacked_bars_sum_to_the_difference(day: Store) -> None:
    """All parts of all bars together are live less backtest, in basis points."""
    (one,) = facts_of(day).strategies
    assert one.comparison is not None
    figure, note = split_figure(one.comparison)
    total = sum(sum(trace.y) for trace in figure.data)
    assert total == pytest.approx(one.comparison.totals.difference * 1e4, abs=1e-8)
    assert note == "Each bar is one trade."
    assert len(set(figure.data[0].x)) == len(one.comparison.trades) <= MOST_BARS


def test_hostile_text_stays_text(day: Store) -> None:
    """In a signal's decision, in an alert and in a finding."""
    day[MONITOR_ALERTS].update_one({"alert_id": "slippage"}, {"$set": {"text": HOSTILE, "rule": "</td><b>"}})
    day[SIGNAL_RECEIPTS].update_one({"reason": "risk"}, {"$set": {"reason": HOSTILE}})
    page = without_plotly(render_span(facts_of(day)))
    assert "<img" not in page
    assert "alert('x')" not in page
    assert "<td></td><b>" not in page


def test_nothing_found_is_said(db: Store) -> None:
    """An empty store gives a page that says so; a strategy that nobody knows is a sentence."""
    facts = facts_of(db)
    assert lead(facts) == "Nothing was found: no strategy has an export in this span."
    page = without_plotly(render_span(facts))
    assert "No alert lasted in this span." in page
    assert figures(page) == {}
    with pytest.raises(InputError, match="none of nobody are stored"):
        facts_of(db, strategy_id="nobody")


def test_without_bot_or_bars_the_page_says_why(day: Store) -> None:
    """Exports alone are shown; there is nothing to compare, and the reason is told."""
    day[SIGNAL_RECEIPTS].delete_many({})
    (one,) = facts_of(day).strategies
    assert (one.watched.consumer, one.comparison, one.reconciliation) == (None, None, None)
    page = without_plotly(render_span(facts_of(day)))
    assert "s · 1m · no bot" in page
    assert "No bot reads them." in page
    assert set(figures(page)) == {"exports1"}


def test_what_the_watch_file_names_is_shown(day: Store) -> None:
    """A strategy of the file is shown also where it exported nothing in the span."""
    named = (WatchedStrategy(strategy_id="other"), WatchedStrategy(strategy_id="s", consumer="bot"))
    assert [one.watched.strategy_id for one in facts_of(day, named=named).strategies] == ["other", "s"]
    (only,) = facts_of(day, named=named, strategy_id="s").strategies
    assert only.watched.strategy_id == "s"
    assert "No live export ended in this span." in without_plotly(render_span(facts_of(day, named=named)))


def test_a_misspelt_bot_of_the_watch_file_is_told(day: Store) -> None:
    """In place of a finding for each signal."""
    facts = facts_of(day, named=(WatchedStrategy(strategy_id="s", consumer="bott"),))
    page = without_plotly(render_span(facts))
    assert "The bot bott has never been seen with a signal of s. Did you mean bot?" in page
    assert "signal without receipt" not in page


def test_the_same_facts_are_plain_values(day: Store) -> None:
    """All of it is JSON, and secrets of the alert's bookkeeping stay out."""
    told = json.loads(json.dumps(span_object(facts_of(day))))
    (one,) = told["strategies"]
    assert one["exports"]["closes_exported"] == 236
    assert (
        one["comparison"]["counts"]["both"] == len(one["comparison"]["trades"]) - one["comparison"]["counts"]["skipped"]
    )
    assert one["latency"][0]["stages"]["filled"]["after_close"]["count"] > 0
    assert [alert["rule"] for alert in told["alerts"]] == ["signal_missing", "slippage"]
    assert "slot" not in told["alerts"][0]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (4.4, "4 ms"), (999.4, "999 ms"), (1_240.0, "1.24 s"), (99_990.0, "99.99 s"), (150_000.0, "2.5 min")],
)
def test_durations_are_read_by_people(ms: float | None, text: str) -> None:
    """Milliseconds, seconds, minutes."""
    assert duration(ms) == text


def monitor(env: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from monitoring.cli import main; main()", "report", *arguments]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.usefixtures("day")
def test_the_command_writes_the_page_and_says_where(command_env: dict[str, str], tmp_path: Path) -> None:
    """By default into the folder where it is run; with --json alone no page is written."""
    span = ("--from", "2022-01-15T12:00", "--to", "2022-01-15T16:00")
    told = monitor(command_env, tmp_path, *span, "--strategy", "s", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["page"] is None
    assert list(tmp_path.glob("*.html")) == []
    shown = monitor(command_env, tmp_path, *span)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "The page is signal-report.html." in shown.stdout
    assert "s · 1m · bot" in (tmp_path / "signal-report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strategy", "nobody"], "none of nobody are stored"),
        (["--from", "2022-01-02", "--to", "2022-01-01"], "must lie before"),
        (["-o", "no/such/folder/page.html"], "could not be written to no/such/folder/page.html: No such file"),
        (["--watch", "none.yaml"], "The watch file none.yaml can not be read"),
    ],
)
def test_a_mistake_is_a_sentence(
    arguments: list[str], sentence: str, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Exit code 2, the reason, and no traceback."""
    ended = monitor(command_env, tmp_path, *arguments)
    assert ended.returncode == 2
    assert sentence in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
