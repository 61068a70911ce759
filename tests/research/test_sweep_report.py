"""The page about a sweep shows every cell at its best, and is as safe and self-contained as a backtest's."""

import json
import re

import numpy as np
import pandas as pd
import plotly.offline
import pytest

from research.pages.sweep_charts import surface_figure
from research.pages.sweep_report import SweepPage, TextTable, WalkForwardPart, render_sweep

HOSTILE = "</script><script>alert('x')</script>"


@pytest.fixture
def ranked():
    """Eight sets of three parameters, best first; the metric is 1 to 8."""
    rows = [(a, b, c) for a in (1, 2) for b in ("x", "y") for c in (0.1, 0.2)]
    frame = pd.DataFrame(rows, columns=["n.a", "n.b", "n.c"])
    frame["sharpe"] = [3.0, 8.0, 1.0, 2.0, 5.0, 4.0, 7.0, 6.0]
    frame["deflated_sharpe"] = frame["sharpe"] / 10
    return frame.sort_values("sharpe", ascending=False)


def page(ranked, params, **changed):
    best = TextTable(["#", "sharpe"], [["1", HOSTILE]])
    fields = {
        "title": HOSTILE, "facts": {"Sets": "8"}, "tiles": [("sharpe", "8.00", "even")], "ranked": ranked,
        "params": params, "metric": "sharpe", "beside": "deflated_sharpe", "best": best, "verdict": "By luck alone.",
    }  # fmt: skip
    return render_sweep(SweepPage(**(fields | changed)))


def cells(trace):
    """Return the cells of a heat map by their two values."""
    z = np.asarray(trace.z, dtype=float)
    return {(x, y): z[row, column] for row, y in enumerate(trace.y) for column, x in enumerate(trace.x)}


def test_each_cell_is_its_best_set(ranked):
    """Of a and b the better c, by hand; what is beside it and the other value are told at the cell."""
    first = surface_figure(ranked, ["n.a", "n.b", "n.c"], "sharpe", "deflated_sharpe").data[0]
    assert cells(first) == {("1", "x"): 8.0, ("1", "y"): 2.0, ("2", "x"): 5.0, ("2", "y"): 7.0}
    assert first.customdata[0][0] == "deflated sharpe 0.8<br>n.c 0.2"


def test_every_pair_of_parameters_can_be_chosen(ranked):
    """Three pairs, the first one shown; a button shows its own pair only."""
    figure = surface_figure(ranked, ["n.a", "n.b", "n.c"], "sharpe", "deflated_sharpe")
    assert [trace.visible for trace in figure.data] == [True, False, False]
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["n.a × n.b", "n.a × n.c", "n.b × n.c"]
    assert buttons[1].args[0]["visible"] == [False, True, False]


def test_a_set_that_is_not_there_is_an_empty_cell(ranked):
    """Missing is not zero."""
    some = ranked[(ranked["n.a"] != 1) | (ranked["n.b"] != "x")]
    trace = surface_figure(some, ["n.a", "n.b"], "sharpe", "deflated_sharpe").data[0]
    assert np.isnan(cells(trace)["1", "x"])
    assert len(surface_figure(ranked.iloc[:0], ["n.a", "n.b"], "sharpe", "deflated_sharpe").data) == 1


def test_a_far_off_cell_does_not_make_the_others_alike():
    """Of a hundred cells one is ruined a thousandfold: the colours end at the percentiles of all, around zero."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    ranked = pd.DataFrame(pairs, columns=["a", "b"]).assign(sharpe=np.arange(100.0) / 100, deflated_sharpe=0.5)
    ranked.loc[0, "sharpe"] = -1_000.0
    trace = surface_figure(ranked, ["a", "b"], "sharpe", "deflated_sharpe").data[0]
    assert (trace.zmin, trace.zmax) == pytest.approx((-0.9405, 0.9405), abs=1e-12)
    assert cells(trace)["0", "0"] == -1_000.0


def test_one_parameter_is_a_line(ranked):
    """In the order of its values."""
    line = surface_figure(ranked.drop_duplicates("n.a"), ["n.a"], "sharpe", "deflated_sharpe").data[0]
    assert (list(line.x), list(line.y)) == (["1", "2"], [8.0, 7.0])


def test_percentages_are_shown_in_percent(ranked):
    """At the colour bar, the axis and the cell; a ratio is a plain number."""
    share = ranked.rename(columns={"sharpe": "max_drawdown"})
    heat = surface_figure(share, ["n.a", "n.b"], "max_drawdown", "deflated_sharpe").data[0]
    assert heat.colorbar.tickformat == ",.2~%"
    assert "max drawdown %{z:,.2%}<br>" in heat.hovertemplate
    line = surface_figure(share.drop_duplicates("n.a"), ["n.a"], "max_drawdown", "deflated_sharpe")
    assert line.layout.yaxis.tickformat == ",.2~%"
    assert "%{y:,.2%}" in line.data[0].hovertemplate
    plain = surface_figure(ranked, ["n.a", "n.b"], "sharpe", "deflated_sharpe").data[0]
    assert plain.colorbar.tickformat is None


def test_the_chart_fits_a_phone(ranked):
    """The colours lie below the cells, and the menu begins at the edge of the chart: nothing is cut off."""
    figure = surface_figure(ranked, ["n.a", "n.b", "n.c"], "sharpe", "deflated_sharpe")
    assert figure.data[0].colorbar.orientation == "h"
    assert 0 <= figure.layout.margin.l + figure.layout.updatemenus[0].pad.l < 20


def test_the_page_loads_nothing_and_escapes_all(ranked):
    """Plotly is inside, the policy forbids to load, text stays text."""
    text = page(ranked, ["n.a", "n.b"]).replace(plotly.offline.get_plotlyjs(), "")
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
    assert HOSTILE not in text
    assert "By luck alone." in text


def test_a_walk_forward_is_shown(ranked):
    """Its curve, sentence and splits; without one no section."""
    equity = pd.Series([100.0, 110.0], index=pd.date_range("2022-01-01", periods=2, freq="D", tz="UTC"))
    walk = WalkForwardPart(TextTable(["Test from"], [["2022-01-01"]]), equity, "Out of sample +10 %.")
    text = page(ranked, ["n.a", "n.b"], walk_forward=walk)
    assert "Out of sample +10 %." in text
    drawn = dict(re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', text, re.DOTALL))
    assert json.loads(drawn["stitched"])["layout"]["height"] == 300
    assert "Walk-forward" not in page(ranked, ["n.a", "n.b"])
