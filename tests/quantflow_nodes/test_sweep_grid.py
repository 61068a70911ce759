"""The grid of a sweep: values are exact, sets are the product, a draw can be repeated."""

import pytest

from quantflow_nodes.sweep.grid import parse_axis, parse_grid
from schemas.errors import InputError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("p.enter_above=0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("p.enter_above=-0.2:0.2:0.2", (-0.2, 0.0, 0.2)),
        ("m.lookback_bars=10:50:20", (10, 30, 50)),
        ("m.lookback_bars=10:45:20", (10, 30)),
        ("m.lookback_bars=30:10:-10", (30, 20, 10)),
        ("m.lookback_bars=5:5:1", (5,)),
        ("p.enter_above=0:1:0.5", (0.0, 0.5, 1.0)),
        ("p.enter_above=0:2e-3:1e-3", (0.0, 0.001, 0.002)),
        ("m.name=momentum,rsi", ("momentum", "rsi")),
        ("m.lookback_bars=[10, 20, 50]", (10, 20, 50)),
        ("m.lookback_bars=10,10,20", (10, 20)),
        ("b.start=2022-01-01,2022-02-01", ("2022-01-01", "2022-02-01")),
        ("b.symbols=[[BINANCE:BTCUSDT],[BINANCE:ETHUSDT]]", (["BINANCE:BTCUSDT"], ["BINANCE:ETHUSDT"])),
        ("b.symbol=BINANCE:BTCUSDT", ("BINANCE:BTCUSDT",)),
    ],
)
def test_values_are_exact_and_of_their_type(text: str, values: tuple[object, ...]) -> None:
    """A stop that a step hits is included; decimals are stepped as decimals; whole numbers stay whole."""
    found = parse_axis(text).values
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lookback_bars=1,2", "takes node.param="),
        ("m.lookback_bars=", "takes node.param="),
        ("m.lookback_bars=1:5:0", "a step from 1 towards 5 was needed, found 0"),
        ("m.lookback_bars=1:5:-1", "a step from 1 towards 5 was needed, found -1"),
        ("m.lookback_bars=0:1:1e-9", "at most 250,000 values"),
        ("m.lookback_bars=[1, 2", "no valid YAML"),
        ("m.lookback_bars=30:240", "a range is start:stop:step, three numbers such as 30:240:30; found 30:240"),
        ("p.enter_above=1:2", "a range is start:stop:step"),
        ("m.lookback_bars=1:2:3:4", "a range is start:stop:step"),
        ("p.enter_above=0,.nan", "found NaN"),
        ("p.enter_above=.inf", "found infinity"),
        ("b.symbols=[[-.inf]]", "found -infinity"),
    ],
)
def test_what_is_no_axis_is_a_sentence(text: str, said: str) -> None:
    """The sentence says what was expected."""
    with pytest.raises(InputError, match=said):
        parse_axis(text)


def test_sets_are_the_product_in_order() -> None:
    """The last axis turns fastest."""
    grid = parse_grid(["a.x=1,2", "b.y=3,4,5"])
    assert [grid.values(positions) for positions in grid.sets] == [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]


def test_a_draw_can_be_repeated() -> None:
    """The same seed draws the same sets, each once, of a product that is too large to go through."""
    texts = ["a.x=1:1000:1", "b.y=1:1000:1", "c.z=1:1000:1"]
    first, again, other = (parse_grid(texts, 50, seed).sets for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 50
    assert parse_grid(["a.x=1,2", "b.y=3,4"], 99).sets == parse_grid(["a.x=1,2", "b.y=3,4"]).sets


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "at least one --grid"),
        (["a.x=1,2", "a.x=3"], "names a.x more than once"),
        (["a.x=1:2000:1", "b.y=1:2000:1"], r"at most 250,000 sets, found 4,000,000 \(2000 × 2000\)"),
    ],
)
def test_what_is_no_grid_is_a_sentence(texts: list[str], said: str) -> None:
    """Nothing to sweep, the same parameter twice, and more than can be meant."""
    with pytest.raises(InputError, match=said):
        parse_grid(texts)
