"""map_symbols: the same rows under other symbols."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from quantflow_nodes.node import Node, Params, Ports, RunContext, SameAs
from quantflow_nodes.param_types import SymbolName
from quantflow_nodes.ports import Bars, SymbolFrame
from schemas.errors import InputError


class MapSymbolsParams(Params):
    """Which symbol becomes which; symbols that are not named stay as they are."""

    mapping: dict[SymbolName, SymbolName] = Field(
        min_length=1, description="Old symbol to new one, such as BINANCE:BTCUSDT: BINANCE:BTCUSDT.P."
    )


class MapSymbolsInputs(Ports):
    """Any frame with symbols."""

    frame: SymbolFrame


class MapSymbolsOutputs(Ports):
    """The same kind of frame, under the new symbols."""

    frame: Annotated[SymbolFrame, SameAs("frame")]


class MapSymbols(Node[MapSymbolsParams, MapSymbolsInputs, MapSymbolsOutputs]):
    """Renames symbols: research on one instrument, trade another, such as spot bars for a perpetual."""

    type_name = "map_symbols"
    lookback = "1"

    def lookback_bars(self, params: MapSymbolsParams) -> int:  # noqa: ARG002
        """One: a row depends on itself only, but every symbol of the mapping must be among the rows."""
        return 1

    def run(self, params: MapSymbolsParams, inputs: MapSymbolsInputs, context: RunContext) -> MapSymbolsOutputs:  # noqa: ARG002
        frame = inputs.frame
        unknown = sorted(set(params.mapping) - set(frame.symbols))
        if unknown:
            raise InputError(f"{', '.join(unknown)} can not be mapped: the frame has {', '.join(frame.symbols)}.")
        renamed = [params.mapping.get(symbol, symbol) for symbol in frame.symbols]
        if len(set(renamed)) < len(renamed):
            raise InputError(f"Two symbols would become one: {', '.join(frame.symbols)} to {', '.join(renamed)}.")
        symbols: Any = frame.data["symbol"].replace(params.mapping)
        data = frame.data.assign(symbol=symbols).sort_values(["symbol", "datetime"], ignore_index=True)
        if isinstance(frame, Bars):
            gaps = tuple(replace(gap, symbol=params.mapping.get(gap.symbol, gap.symbol)) for gap in frame.gaps)
            return MapSymbolsOutputs(frame=Bars(data, frame.timeframe, gaps=gaps))
        return MapSymbolsOutputs(frame=frame.with_data(data))
