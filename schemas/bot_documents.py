"""What a bot writes back, one model each: its answer to a signal, what its orders filled, the positions these made."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.documents import BarSymbolText, Document, Finite, Name, PairText, TimeframeText, UtcTime

Decision = Literal["entered", "exited", "skipped"]
SkipReason = Literal[
    "expired", "outside_window", "superseded", "duplicate", "cooldown", "min_hold", "below_threshold",
    "short_not_allowed", "no_position", "in_position", "pair_locked", "risk", "mongo_down", "research_silent",
    "order_rejected", "order_unfilled", "order_lost",
]  # fmt: skip
Side = Literal["buy", "sell"]
PositionSide = Literal["long", "short"]
PositionState = Literal["open", "closed"]
Money = Annotated[Decimal, Field(allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(allow_inf_nan=False, ge=0)]


class SignalReceipt(Document):
    """What a consumer did with one signal, in `signal_receipts`; there is one for each signal.

    `decision` is what came of it. An order is claimed by 'entered' before it leaves; where it then filled nothing, the
    receipt becomes 'skipped' with the order's fate as the reason. `version` is that of the signal's content it speaks
    of, `run_id` the process that wrote it. `rejected_orders` counts the orders of an exit that the venue refused: it is
    tried again until its position is closed.
    """

    consumer: Name
    strategy_id: Name
    pair: PairText
    timeframe: TimeframeText
    ts: UtcTime
    version: int = Field(ge=1)
    decision: Decision
    reason: SkipReason | None = None
    rejected_orders: int | None = Field(default=None, ge=1)
    seen_at: UtcTime
    candle: UtcTime
    latency_ms: Finite
    run_id: Name
    updated_at: UtcTime

    @model_validator(mode="after")
    def _skipping_has_a_reason(self) -> Self:
        if (self.decision == "skipped") != (self.reason is not None):
            raise ValueError(f"a reason belongs to a skipped signal, found {self.decision} with {self.reason}.")
        return self


class Fill(Document):
    """What one order filled, in `crypto_fills`; it is written when the order has ended.

    `ts` and `version` name the signal that caused it, and are left out where none did: a stop, or a person. `trade_id`
    is Freqtrade's, left out where Freqtrade lost the order. The fee is left out where the venue's is not known.
    `quoted` is the price that the bot saw when it ordered, and is left out where it ordered without looking at one.
    """

    consumer: Name
    order_id: Name
    trade_id: int | None = None
    strategy_id: Name
    pair: PairText
    symbol: BarSymbolText
    timeframe: TimeframeText
    ts: UtcTime | None = None
    version: int | None = Field(default=None, ge=1)
    reason: Name | None = None
    side: Side
    amount: Amount
    price: Amount
    cost: Amount
    quoted: Amount | None = None
    fee: Money | None = None
    fee_asset: Name | None = None
    ordered_at: UtcTime
    filled_at: UtcTime


class Position(Document):
    """What one trade holds or held, in `crypto_positions`, from its first fill on.

    `ts` and `exit_ts` name the signals that opened and closed it. What is known at the end only (rate, profit, time)
    is left out while it is open.
    """

    consumer: Name
    entry_order_id: Name
    trade_id: int
    strategy_id: Name
    pair: PairText
    symbol: BarSymbolText
    timeframe: TimeframeText
    ts: UtcTime | None = None
    exit_ts: UtcTime | None = None
    side: PositionSide
    state: PositionState
    amount: Amount
    open_rate: Amount
    close_rate: Amount | None = None
    stake: Amount
    profit_quote: Money | None = None
    profit_ratio: Finite | None = None
    exit_reason: Name | None = None
    opened_at: UtcTime
    closed_at: UtcTime | None = None
    updated_at: UtcTime
