"""Makes pages that need no network: styles, scripts, charts and plotly are inside, and what is written is escaped."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.offline
from markupsafe import Markup

from research.pages.report_charts import figure_json


def render_page(package: str, template: str, charts: Mapping[str, go.Figure], **values: Any) -> str:
    """Return one HTML text.

    Parameters
    ----------
    package : str
        Whose folder `templates` holds the template; it extends `page.html.j2`, which lies here.
    template : str
        The file's name.
    charts : mapping of str to Figure
        By the name that the template gives the place of each: `<div class="chart" data-figure="name">`.
    **values
        What the template shows; all text is escaped.

    Notes
    -----
    The page carries plotly.js (4.8 MB) once, and a policy that forbids it to load anything.
    """
    drawn = {name: Markup(figure_json(figure)) for name, figure in charts.items()}  # noqa: S704
    plotly_js = Markup(plotly.offline.get_plotlyjs())  # noqa: S704
    return _environment(package).get_template(template).render(charts=drawn, plotly=plotly_js, **values)


@cache
def _environment(package: str) -> jinja2.Environment:
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("research.pages")])
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
