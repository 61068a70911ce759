"""How the figures of a sweep are written for people: the same at a terminal and on a page."""

import math
from typing import Any

from quantflow_nodes.sweep.outcome import DEFLATED
from research.metrics import PERCENTAGES

_TITLES = {
    DEFLATED: "deflated", "total_return": "return", "max_drawdown": "drawdown", "annual_volatility": "volatility",
    "avg_profit_ratio": "avg profit",
}  # fmt: skip


def title_of(name: str) -> str:
    """Return a figure's name as a column is headed."""
    return _TITLES.get(name, name.replace("_", " "))


def cell(name: str, value: Any) -> str:
    """Return a figure as it is read; what is not defined is a dash."""
    plain = plain_value(value)
    if plain is None:
        return "beyond" if isinstance(value, float) and math.isinf(value) else "–"
    if name in PERCENTAGES:
        return f"{plain:,.2%}" if abs(plain) < 1e4 else f"{plain * 100:.1e} %"
    return f"{plain:,}" if isinstance(plain, int) else f"{plain:,.2f}"


def plain_value(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN, NA and infinity as None, times as ISO text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
