"""Types of parameters that nodes share: what a person writes in YAML, turned into our own values."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from schemas.errors import QuantFlowError
from schemas.symbols import Symbol
from schemas.timeframes import aware_utc, parse_time


def _time(value: Any) -> datetime:
    try:
        return aware_utc(value, "It") if isinstance(value, datetime) else parse_time(value, "It")
    except QuantFlowError as error:
        raise ValueError(str(error)) from None


def _symbol(value: Any) -> str:
    try:
        return str(Symbol.parse(value))
    except QuantFlowError as error:
        raise ValueError(str(error)) from None


UtcTime = Annotated[datetime, BeforeValidator(_time)]
SymbolName = Annotated[str, BeforeValidator(_symbol)]
