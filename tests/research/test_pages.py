"""The pages about research list what the code has."""

from dataclasses import fields
from pathlib import Path

from research.factors import FACTORS
from research.factors.registry import FACTOR_NAMES
from research.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"


def test_every_factor_is_on_its_page():
    """Name, formula, source and each parameter of every factor stand in one line of docs/factors.md."""
    lines = (DOCS / "factors.md").read_text().splitlines()
    for name in FACTOR_NAMES:
        assert any(line.startswith(f"| `{name}` |") for line in lines), name
    for name, spec in FACTORS.items():
        line = next(line for line in lines if line.startswith(f"| `{name}` |"))
        for text in (spec.formula, spec.source, *(f"`{parameter.name}`" for parameter in spec.parameters)):
            assert text in line


def test_every_metric_is_on_its_page():
    """docs/backtest.md has each field of the metrics."""
    page = (DOCS / "backtest.md").read_text()
    assert [field.name for field in fields(Metrics) if f"`{field.name}`" not in page] == []
