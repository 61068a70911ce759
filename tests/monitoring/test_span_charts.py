"""The charts of a page can be read, whatever the spread of what they show."""

import pytest
from sample_look import export

from monitoring.report.span_charts import exports_figure
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
USUAL = [0.2 + 0.01 * number for number in range(100)]


@pytest.mark.parametrize(
    ("delays", "kind", "limit_is_drawn"),
    [
        (USUAL, None, False),
        ([*USUAL, 6.0], None, False),  # less than ten times the median
        ([*USUAL, 1_800.0], "log", True),
        ([40.0, 41.0, 45.0], None, True),
        ([0.5], None, False),
        ([0.0, *USUAL, 20.0], "log", True),
    ],
)
def test_one_late_export_does_not_flatten_all_others(
    delays: list[float], kind: str | None, limit_is_drawn: bool
) -> None:
    """Where the latest is far from the others the axis is logarithmic, and all of them have a place on it."""
    figure = exports_figure([export(number, delay_s=delay) for number, delay in enumerate(delays)], MINUTE)
    (points,) = figure.data
    assert figure.layout.yaxis.type == kind
    assert [shape.y0 for shape in figure.layout.shapes] == ([30.0] if limit_is_drawn else [])
    assert list(points.y) == [max(delay, 0.001) for delay in delays]
    assert [colour == "#d1495b" for colour in points.marker.color] == [delay > 30 for delay in delays]
