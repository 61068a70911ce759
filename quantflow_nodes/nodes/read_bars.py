"""read_bars: where stored bars enter a graph."""

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from quantflow_nodes.node import Node, Params, Ports, RunContext, TooFewBarsError
from quantflow_nodes.param_types import SymbolName, UtcTime
from quantflow_nodes.ports import Bars, Gap
from research.readers import get_market_data
from schemas.collections import BAR_GAPS, Store
from schemas.timeframes import Timeframe


class ReadBarsParams(Params):
    """Which bars: `start` belongs to the range, `end` does not; without zone both are UTC."""

    symbols: list[SymbolName] = Field(min_length=1, description="Symbols such as BINANCE:BTCUSDT.")
    timeframe: Literal["1m", "1d"] = Field("1m", description="Length of a bar.")
    start: UtcTime = Field(description="Open of the first bar, such as 2022-01-01.")
    end: UtcTime | None = Field(
        None, description="Bars that open before this time are read; without it all up to now. Live has no end."
    )

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> "ReadBarsParams":
        if self.end is not None and self.start >= self.end:
            raise ValueError(f"start {self.start.isoformat()} must lie before end {self.end.isoformat()}")
        return self


class NoInputs(Ports):
    """Nothing flows in."""


class ReadBarsOutputs(Ports):
    """The bars that are stored for the range."""

    bars: Bars


class ReadBars(Node[ReadBarsParams, NoInputs, ReadBarsOutputs]):
    """Stored bars of some symbols, from start (included) to end (excluded)."""

    type_name = "read_bars"
    lookback = "0"

    def lookback_bars(self, params: ReadBarsParams) -> int:  # noqa: ARG002
        """None but the bar itself."""
        return 0

    def run(self, params: ReadBarsParams, inputs: NoInputs, context: RunContext) -> ReadBarsOutputs:  # noqa: ARG002
        timeframe = Timeframe.parse(params.timeframe)
        symbols = sorted(set(params.symbols))
        end = params.end or max(context.now, params.start + timeframe.delta)
        data = get_market_data(params.start, end, symbols, timeframe=timeframe.name, db=context.db)
        missing = sorted(set(symbols) - set(data["symbol"].unique()))
        if missing:
            raise no_bars(missing, timeframe, params.start, end)
        gaps = open_gaps(context.db, symbols, timeframe, params.start, end)
        return ReadBarsOutputs(bars=Bars(data, timeframe, gaps=gaps))


def no_bars(symbols: list[str], timeframe: Timeframe, start: datetime, end: datetime) -> TooFewBarsError:
    """Return the error that says which symbols have no bars in [start, end), and how to get them."""
    return TooFewBarsError(
        f"No bars of {', '.join(symbols)} {timeframe} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC are "
        f"stored. Import them first: import-ohlcv --tf {timeframe} --symbol {','.join(symbols)} "
        f"--since {start:%Y-%m-%d}"
    )


def open_gaps(db: Store, symbols: list[str], timeframe: Timeframe, start: datetime, end: datetime) -> tuple[Gap, ...]:
    """Return the open gaps that touch [start, end), in order."""
    found = db[BAR_GAPS].find(
        {
            "symbol": {"$in": symbols},
            "timeframe": timeframe.name,
            "state": "open",
            "start": {"$lt": end},
            "end": {"$gte": start},
        },
    )
    return tuple(Gap(gap["symbol"], gap["start"], gap["end"]) for gap in found.sort([("symbol", 1), ("start", 1)]))
