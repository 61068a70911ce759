"""Rows go under other symbols, and no two symbols become one."""

import pytest
from frames import BTC, ETH, context, position

from quantflow_nodes.nodes.map_symbols import MapSymbols, MapSymbolsInputs, MapSymbolsParams
from quantflow_nodes.ports import Position
from schemas.errors import InputError


def mapped(mapping: dict[str, str], frame: Position) -> Position:
    outputs = MapSymbols().run(MapSymbolsParams(mapping=mapping), MapSymbolsInputs(frame=frame), context())
    assert isinstance(outputs.frame, Position)
    return outputs.frame


def test_spot_research_is_traded_as_a_perpetual() -> None:
    """The rows and the kind of frame stay, the symbol is another."""
    frame = mapped({BTC: "BINANCE:BTCUSDT.P"}, position(btc=[1.0, 0.0]))
    assert frame.symbols == ["BINANCE:BTCUSDT.P"]
    assert frame.data["position"].tolist() == [1.0, 0.0]


def test_rows_are_sorted_by_the_new_symbols() -> None:
    """BTC becomes SOL and goes behind ETH."""
    frame = mapped({BTC: "BINANCE:SOLUSDT"}, position(btc=[0.1], eth=[0.2]))
    assert frame.symbols == [ETH, "BINANCE:SOLUSDT"]
    assert frame.data["position"].tolist() == [0.2, 0.1]


def test_a_symbol_that_is_not_there_is_refused() -> None:
    """A mapping without effect is a mistake."""
    with pytest.raises(InputError, match=f"{ETH} can not be mapped: the frame has {BTC}"):
        mapped({ETH: "BINANCE:SOLUSDT"}, position(btc=[1.0]))


def test_two_symbols_never_become_one() -> None:
    """Their rows would stand twice."""
    with pytest.raises(InputError, match="Two symbols would become one"):
        mapped({BTC: ETH}, position(btc=[1.0], eth=[1.0]))
