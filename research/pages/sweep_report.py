"""Writes a sweep as one HTML file that needs no network: the metric over the parameters, the best sets, the splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from research.pages.page import render_page
from research.pages.sweep_charts import stitched_figure, surface_figure

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as it is shown: titles, rows of text, and how many of the first columns are words, not numbers."""

    titles: Row
    rows: Sequence[Row]
    words: int = 1


@dataclass(frozen=True, slots=True)
class WalkForwardPart:
    """What the page shows of a walk-forward: its splits, the stitched curve, and what that says."""

    splits: TextTable
    equity: "pd.Series[float] | None"
    sentence: str


@dataclass(frozen=True, slots=True)
class SweepPage:
    """What a page about a sweep shows.

    Attributes
    ----------
    title : str
    facts : mapping of str to str
        Of the sweep: its graph, bars, sets.
    tiles : sequence of (name, value, tone)
        The figures on top; the tone is "gain", "loss" or "even".
    ranked : DataFrame
        One row a set, best first, with its parameters and figures.
    params : list of str
        Which of its columns are parameters.
    metric, beside : str
        The figure that ranks, and the one that is shown with it.
    best : TextTable
        The best sets.
    verdict : str
        What the number of trials makes of the best one.
    walk_forward : WalkForwardPart or None
    warnings : sequence of str
        What a reader must see first.
    """

    title: str
    facts: Mapping[str, str]
    tiles: Sequence[tuple[str, str, str]]
    ranked: pd.DataFrame
    params: list[str]
    metric: str
    beside: str
    best: TextTable
    verdict: str
    walk_forward: WalkForwardPart | None = None
    warnings: Sequence[str] = field(default=())


def render_sweep(page: SweepPage) -> str:
    """Return the page as one HTML text; it loads nothing from anywhere."""
    charts = {"surface": surface_figure(page.ranked, page.params, page.metric, page.beside)}
    walk = page.walk_forward
    if walk is not None and walk.equity is not None:
        charts["stitched"] = stitched_figure(walk.equity)
    return render_page(
        "research.pages",
        "sweep.html.j2",
        charts,
        title=page.title,
        facts=dict(page.facts),
        warnings=list(page.warnings),
        headline=[{"name": name, "value": value, "tone": tone} for name, value, tone in page.tiles],
        metric=page.metric.replace("_", " "),
        cells=len(page.params) > 1,
        several=len(page.params) > 2,
        best=page.best,
        verdict=page.verdict,
        walk=walk,
    )
