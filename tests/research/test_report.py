"""The report is one safe, self-contained page that shows the figures of the result."""

import json
import re

import numpy as np
import pandas as pd
import plotly.offline
import pytest

from research.backtest import simulate_buy_and_hold, simulate_long_flat
from research.pages.report import render_report
from research.pages.report_charts import MOST_TRADES, figure_json, price_figure

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def without_plotly(page):
    """Return the page without the library that it carries."""
    return page.replace(plotly.offline.get_plotlyjs(), "")


def figures(page):
    """Return the figures that the page's script will draw."""
    found = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page, re.S)
    return {name: json.loads(text) for name, text in found}


@pytest.fixture
def result(make_bars):
    """Two trades, one won and one lost, over two months."""
    bars = make_bars([100, 100, 110, 120, 120, 90, 80], start="2022-01-29", freq="D")
    return simulate_long_flat(bars, [1, 0, 0, 1, 0, 0, 0], fee=0.0)


def test_shows_the_figures(result):
    """Return 0.1 then 0.75 of it: −17.5 %; half the trades won; the run's facts and warnings."""
    page = render_report(result, "momentum", {"Run": "r-1"}, ["One open gap."])
    for text in (
        "-17.50 %",
        "50.00 %",
        "2 trades",
        "r-1",
        "One open gap.",
        "BINANCE:BTCUSDT",
        "7 of 1 d",
        "0 bps a fill",
    ):
        assert text in page


def test_carries_plotly_once_and_loads_nothing(result):
    """The library is inside, no tag names an address, and the page's policy forbids to load any."""
    page = render_report(result, "momentum")
    assert page.count(plotly.offline.get_plotlyjs()[:500]) == 1
    rest = without_plotly(page)
    assert not re.search(r"""(src|href|action)\s*=\s*["']?\s*(https?:)?//""", rest)
    assert "http" not in rest.replace("http-equiv", "")
    assert "default-src 'none'" in rest
    assert len(page) < 6_000_000


def test_escapes_what_it_is_given(result):
    """A hostile title, fact, warning or symbol stays text."""
    bars = result.bars.frame.assign(symbol=HOSTILE)
    hostile = simulate_long_flat(bars, [1, 0, 0, 1, 0, 0, 0])
    page = without_plotly(render_report(hostile, HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE]))
    assert "<img" not in page
    assert "alert('x')" not in page
    assert page.count("<script") == 5  # three figures, the library, and the one that draws them


def test_draws_equity_beside_buy_and_hold(result):
    """Both curves, the drawdown, and each fill on the price."""
    drawn = figures(render_report(result, "momentum"))
    assert [trace["name"] for trace in drawn["equity"]["data"]] == ["Buy & hold", "Strategy"]
    assert [trace["name"] for trace in drawn["price1"]["data"]] == ["Price", "Buy", "Sell"]
    assert set(drawn) == {"equity", "drawdown", "price1"}


def test_figure_json_can_not_end_its_script():
    """Angle brackets are written as escapes that JSON reads back."""
    import plotly.graph_objects as go

    text = figure_json(go.Figure(go.Scatter(name="</script>")))
    assert "<" not in text
    assert json.loads(text)["data"][0]["name"] == "</script>"


def test_says_when_nothing_was_traded(make_bars):
    """Undefined figures are a dash, not 0 and not nan."""
    page = without_plotly(render_report(simulate_long_flat(make_bars([1, 2, 3, 4]), [0] * 4), "flat"))
    assert "Nothing was traded." in page
    assert not re.search(r">[^<]*\bnan\b", re.sub(r"<script.*?</script>", "", page, flags=re.S))
    assert "<dt>Profit factor</dt><dd>–</dd>" in page


def test_one_bar_is_a_report_too(make_bars):
    """The smallest input does not fail."""
    assert "<dt>Bars</dt><dd>1</dd>" in render_report(simulate_long_flat(make_bars([1.0])), "one bar")


def test_needs_neither_high_nor_low(make_bars):
    """A candle without them spans open and close."""
    bars = make_bars([1, 2, 3, 4]).drop(columns=["high", "low", "volume"])
    figure, note = price_figure(simulate_long_flat(bars), "BINANCE:BTCUSDT")
    assert list(figure.data[0].high) == [2, 3, 4, 4]
    assert note == "Each candle is one bar; 1 trades."


def test_long_lists_say_what_they_leave_out(make_bars):
    """The table lists the first and last 50 trades, the chart the latest of too many; both say so."""
    count = 2 * MOST_TRADES + 203
    bars = make_bars((100 + np.arange(count) % 7).tolist())
    result = simulate_long_flat(bars, np.arange(count) % 2, fee=0.0)
    total = len(result.trades)
    assert total > MOST_TRADES
    page = render_report(result, "many")
    assert f"{total - 100:,} of {total:,} trades are not listed" in page
    assert f"the latest {MOST_TRADES:,} of {total:,} trades." in page
    assert page.count('<td class="n">') > 100


def test_many_symbols_name_those_not_drawn(make_bars):
    """Six price charts, the others named; trades carry their symbol."""
    bars = pd.concat([make_bars([1, 2, 3, 4], symbol=f"X:S{i}USDT") for i in range(8)], ignore_index=True)
    page = render_report(simulate_long_flat(bars), "many")
    assert "Not drawn: X:S6USDT, X:S7USDT." in page
    assert "<th>Symbol</th>" in page


def test_buy_and_hold_of_a_result_keeps_its_shares(make_bars):
    """The comparison has the same cash for each symbol, and the same costs."""
    bars = pd.concat([make_bars([1, 1, 2, 4], symbol=name) for name in "AB"], ignore_index=True)
    result = simulate_long_flat(bars, [0] * 8, fee=0.01, initial_cash=1000, allocation={"A": 0.9, "B": 0.1})
    hold = simulate_buy_and_hold(result)
    assert [sleeve.initial_cash for sleeve in hold.sleeves] == pytest.approx([900, 100])
    assert hold.metrics.total_return == pytest.approx(result.metrics.buy_and_hold_return, rel=1e-12)


def test_real_bars_make_a_report_of_a_few_megabytes(real_bars):
    """45,031 bars and 1,287 trades are thinned for drawing."""
    momentum = real_bars["close"] / real_bars["close"].shift(60) - 1
    result = simulate_long_flat(real_bars, np.where(momentum.isna(), np.nan, momentum > 0))
    page = render_report(result, "real")
    assert "45,031 of 1 min" in page
    assert "1,287" in page
    assert len(without_plotly(page)) < 1_000_000
