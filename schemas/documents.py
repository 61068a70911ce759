"""What one document of each collection holds: strict models, one for each kind of fact."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from bson.decimal128 import Decimal128
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.errors import QuantFlowError
from schemas.symbols import Symbol, symbol_text
from schemas.timeframes import Timeframe, aware_utc

Action = Literal["enter_long", "exit_long", "enter_short", "exit_short"]
GapState = Literal["open", "filled", "absent"]
RunState = Literal["running", "succeeded", "failed", "interrupted"]
NodeState = Literal["waiting", "running", "succeeded", "failed", "skipped"]


def _checked(check: Callable[[str], object], value: str) -> str:
    """Return `value` if one of our own checks passes; pydantic collects ValueErrors."""
    try:
        check(value)
    except QuantFlowError as error:
        raise ValueError(str(error)) from None
    return value


def _aware(value: datetime) -> datetime:
    try:
        return aware_utc(value, "The time")
    except QuantFlowError as error:
        raise ValueError(str(error)) from None


def _symbol(value: str) -> str:
    return _checked(Symbol.parse, value)


def _symbol_form(value: str) -> str:
    return _checked(symbol_text, value)


def _pair(value: str) -> str:
    return _checked(lambda text: Symbol.from_pair("ANY", text), value)


def _timeframe(value: str) -> str:
    return _checked(Timeframe.parse, value)


def _day(value: str) -> str:
    date.fromisoformat(value)  # a ValueError says which part of the day is none
    return value


DayText = Annotated[str, Field(pattern=r"^[0-9]{8}$"), AfterValidator(_day)]
UtcTime = Annotated[datetime, AfterValidator(_aware)]
SymbolText = Annotated[str, AfterValidator(_symbol)]
# Bars lie under a symbol's text: that of a quote which only the venue knows can not be split here, and need not be.
BarSymbolText = Annotated[str, AfterValidator(_symbol_form)]
PairText = Annotated[str, AfterValidator(_pair)]
TimeframeText = Annotated[str, AfterValidator(_timeframe)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _whole_ms(time: datetime) -> datetime:
    """Cut a time to MongoDB's resolution, so that what is read back equals what was written."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return _whole_ms(value)
    return Decimal128(value) if isinstance(value, Decimal) else value


class Document(BaseModel):
    """A stored fact: exactly the fields declared, of exactly their types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def to_mongo(self) -> dict[str, Any]:
        """Return the document as it is stored: fields that are not set are left out, times are whole milliseconds.

        Money is Decimal here and Decimal128 there: exact, and compared as a number by the server.
        """
        return {name: _stored(value) for name, value in self.model_dump(exclude_none=True).items()}


class _Bar(Document):
    symbol: BarSymbolText
    open: Finite
    high: Finite
    low: Finite
    close: Finite
    volume: Finite = Field(ge=0)

    @model_validator(mode="after")
    def _prices_in_order(self) -> Self:
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError(
                f"low ≤ open, close ≤ high was needed, found open {self.open}, high {self.high}, "
                f"low {self.low}, close {self.close}."
            )
        return self


class DayBar(_Bar):
    """A bar of 1d in `crypto_market`; `date` is the UTC day, which opens at 00:00."""

    date: DayText


class MinuteBar(_Bar):
    """A bar of 1m in `crypto_market_1m`; `datetime` is its open."""

    datetime: UtcTime

    @model_validator(mode="after")
    def _on_the_minute(self) -> Self:
        if self.datetime.second or self.datetime.microsecond:
            raise ValueError(f"A 1m bar opens on a whole minute, found {self.datetime.isoformat()}.")
        return self


class Signal(Document):
    """A research decision in `crypto_signals`, with the fields that a writer gives.

    `ts` is the open of the bar whose close gave the decision, on the timeframe's grid; the signal is available from
    `ts + timeframe` on. Exactly one of `action`, `score` and `weight` is set.
    """

    strategy_id: Name
    symbol: SymbolText
    pair: PairText
    timeframe: TimeframeText
    ts: UtcTime
    action: Action | None = None
    score: Finite | None = None
    weight: Finite | None = Field(default=None, ge=-1, le=1)
    valid_until: UtcTime | None = None
    note: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _one_opinion_on_the_grid(self) -> Self:
        given = [name for name in ("action", "score", "weight") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of action, score and weight was needed, found {given or 'none'}.")
        timeframe = Timeframe.parse(self.timeframe)
        if not timeframe.is_on_grid(self.ts):
            raise ValueError(
                f"ts {self.ts.isoformat()} is not on the grid of {timeframe}; "
                f"the bar that contains it opened at {timeframe.floor(self.ts).isoformat()}."
            )
        if self.valid_until is not None and self.valid_until <= self.ts + timeframe.delta:
            raise ValueError(
                f"valid_until {self.valid_until.isoformat()} is not after "
                f"{(self.ts + timeframe.delta).isoformat()}, when the signal becomes available."
            )
        # Compared as text, which names a perpetual too: BTC/USDT:USDT is BTCUSDT.P. A symbol alone may split otherwise.
        if self.symbol != str(Symbol.from_pair(Symbol.parse(self.symbol).venue, self.pair)):
            raise ValueError(f"symbol {self.symbol} and pair {self.pair} are not the same instrument.")
        return self


class StoredSignal(Signal):
    """A signal as it lies in `crypto_signals`, with what its writer adds; times are the server's."""

    version: int = Field(ge=1)
    run_id: Name
    created_at: UtcTime
    updated_at: UtcTime


class SignalRevision(StoredSignal):
    """A signal's earlier content in `crypto_signal_revisions`, with the run that replaced or retracted it."""

    replaced_at: UtcTime
    replaced_by: Name
    retracted: bool = False


class SignalExport(Document):
    """One export of one strategy in `signal_exports`: what it wrote, and how long after the newest bar's close."""

    run_id: Name
    strategy_id: Name
    timeframe: TimeframeText
    pairs: list[PairText]
    first_ts: UtcTime | None
    last_ts: UtcTime | None
    inserted: int = Field(ge=0)
    changed: int = Field(ge=0)
    unchanged: int = Field(ge=0)
    retracted: int = Field(ge=0)
    refused: int = Field(ge=0)
    missing_bars: int | None = Field(default=None, ge=0)
    bars_seen_at: UtcTime | None = None
    delay_s: Finite | None
    exported_at: UtcTime


class ImportReject(Document):
    """A row that an import refused, in `import_rejects`, with its reason and its values as they came.

    `row_digest` stands for `row` in the key: several rows of one time may be refused for the same reason.
    """

    symbol: BarSymbolText
    timeframe: TimeframeText
    source: Name
    time: str
    reason: Name
    row: dict[str, str]
    row_digest: Name
    run_id: Name
    rejected_at: UtcTime


class BarGap(Document):
    """A stretch without bars, in `bar_gaps`: from the first missing open to the last, both included."""

    symbol: BarSymbolText
    timeframe: TimeframeText
    start: UtcTime
    end: UtcTime
    state: GapState
    updated_at: UtcTime

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"a gap's end {self.end.isoformat()} lies before its start {self.start.isoformat()}.")
        return self


class NodeRun(Document):
    """What happened to one node of a run."""

    type: Name
    state: NodeState
    seconds: Finite | None = None
    error: str | None = None
    rows: dict[str, int] = Field(default_factory=dict)


class LiveProgress(Document):
    """How far a live session has come: every bar that closed up to `through` is exported.

    `position` is where the change stream on the bars stands; what was stored or changed after it is told from there.
    """

    strategies: list[Name]
    through: UtcTime
    exports: int = Field(ge=0)
    position: dict[str, Any] | None = None


class WorkflowRun(Document):
    """One run of a graph in `workflow_runs`: the graph as it was, the versions, the data it saw, each node's fate.

    `user` is whose process it was on its host, `mongo_user` as whom it wrote, with the database that knows that user.
    """

    run_id: Name
    name: Name
    graph: dict[str, Any]
    graph_digest: Name
    versions: dict[str, str]
    state: RunState
    started_at: UtcTime
    ended_at: UtcTime | None = None
    host: Name
    pid: int
    user: str | None = None
    mongo_user: str | None = None
    data_first: UtcTime | None = None
    data_last: UtcTime | None = None
    data_bars: int | None = None
    nodes: dict[str, NodeRun]
    live: LiveProgress | None = None
    error: str | None = None
