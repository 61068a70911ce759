"""The one YAML file of the monitor: what is watched, by which rules, and how alerts go out. It is checked at start."""

import re
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from monitoring.problem import Severity
from monitoring.watch_yaml import first_mistake, read_mapping
from schemas.documents import Name, PairText, SymbolText, TimeframeText
from schemas.errors import InputError
from schemas.timeframes import Timeframe

EXPLAINED_ORDER = r"^\S+/\S+ \S+$"
"""How a person names an order that is accounted for: the pair, a space and the order's id."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _duration(value: object) -> object:
    """Read '90s', '5m', '1h' or '2d'; a bare number would leave the unit to be guessed."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"a duration such as 90s, 5m, 1h or 2d was needed, found {value!r}")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _above_zero(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("a duration above zero was needed, found '0s'")
    return value


def _clock_time(value: object) -> object:
    # YAML reads 22:00 without quotes as the number 1320, as it did in the days of sexagesimals.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    try:
        if isinstance(value, str) and (read := time.fromisoformat(value)).tzinfo is None:
            return read
    except ValueError:  # the sentence below says more
        pass
    raise ValueError(f"a time of day such as 22:00 was needed, found {value!r}")


def _severity(value: object) -> object:
    names = {"warning": Severity.WARNING, "critical": Severity.CRITICAL}
    if value not in names:
        raise ValueError(f"warning or critical was needed, found {value!r}")
    return names[str(value)]


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"a time zone such as UTC or Asia/Shanghai was needed, found {value!r}") from None
    return value


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an address such as http://127.0.0.1:8080 was needed, found {value!r}")
    if parts.username is not None or parts.password is not None:
        # Not repeated: it may hold a password, and the sentence is printed.
        raise ValueError("the address found has a user in it; user and password belong in the environment")
    return value.rstrip("/")


def _holding(value: str) -> str:
    asset, _, number = value.partition("=")
    try:
        is_amount = Decimal(number).is_finite()
    except InvalidOperation:
        is_amount = False
    if not asset or not is_amount:
        raise ValueError(f"an asset and an amount such as BTC=0.5 was needed, found {value!r}")
    return f"{asset.upper()}={number}"


Delay = Annotated[timedelta, BeforeValidator(_duration)]
Duration = Annotated[Delay, AfterValidator(_above_zero)]
DayTime = Annotated[time, BeforeValidator(_clock_time)]
RuleSeverity = Annotated[Severity, BeforeValidator(_severity)]
Bars = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Address = Annotated[str, AfterValidator(_address)]
Holding = Annotated[str, AfterValidator(_holding)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _an_empty_section_is_none(cls, given: Any) -> Any:
        """A name whose lines are all comments stands for its defaults."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value is not None}
        return given


class WatchedStrategy(_Part):
    """One strategy on one timeframe, and who trades it.

    What is left out is found in the store: the pairs are those of its exports, the bot is the one that wrote
    receipts; several are watched each by itself, and then addresses are not used.
    `freqtrade` is the address of the bot's REST API, `exchange` ccxt's name of the venue whose orders and
    balances are compared, `exchange_url` where it is found instead. `besides` is what that account holds for other
    purposes; `balances: false` leaves balances out, for an account that others trade with too. `explained` names orders
    that a person has accounted for, such as 'BTC/USDT 17': what is found of them is not told any more.
    """

    strategy_id: Name
    timeframe: TimeframeText = "1m"
    consumer: Name | None = None
    pairs: tuple[PairText, ...] = ()
    symbols: tuple[SymbolText, ...] = ()
    every_bar: bool = False
    freqtrade: Address | None = None
    exchange: Name | None = None
    exchange_url: Address | None = None
    balances: bool = True
    besides: tuple[Holding, ...] = ()
    explained: tuple[Annotated[str, Field(pattern=EXPLAINED_ORDER)], ...] = ()

    @model_validator(mode="after")
    def _an_address_has_a_name(self) -> Self:
        if self.exchange_url is not None and self.exchange is None:
            raise ValueError(
                "exchange_url says where an exchange is found, and exchange must say which, such as binance"
            )
        return self

    @property
    def bar(self) -> timedelta:
        """The length of its bars."""
        return Timeframe.parse(self.timeframe).delta

    @property
    def held_besides(self) -> dict[str, Decimal]:
        """What `besides` says, by asset."""
        return {asset: Decimal(number) for asset, _, number in (one.partition("=") for one in self.besides)}


class Rule(_Part):
    """What all rules share."""

    enabled: bool = True
    severity: RuleSeverity = Severity.WARNING


class SignalMissing(Rule):
    """A strategy that signals at every bar (`every_bar`) has not for so many bars."""

    severity: RuleSeverity = Severity.CRITICAL
    bars: Bars = 3


class RunFailed(Rule):
    """The newest run of a graph that exports the strategy failed."""

    severity: RuleSeverity = Severity.CRITICAL


class SignalLate(Rule):
    """Within the last `within_bars` an export ended later after its bar's close than `bars`, a part of one."""

    bars: Bars = 0.5
    within_bars: Bars = 3


class SignalExpired(Rule):
    """A signal was not used within its time; it is over when a later signal was, or after `within_bars`."""

    after_bars: Bars = 3
    within_bars: Bars = 10


class Rejects(Rule):
    """So many orders in a row were rejected."""

    severity: RuleSeverity = Severity.CRITICAL
    count: Annotated[int, Field(ge=1)] = 3


class Slippage(Rule):
    """The newest fill of a pair was worse than the market at its order by more than this."""

    bps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20
    within_bars: Bars = 10


class BalanceLow(Rule):
    """What is free does not pay so many further entries."""

    severity: RuleSeverity = Severity.CRITICAL
    stakes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1


class RateLimited(Rule):
    """The venue limited the bot or the monitor, within this time."""

    within: Duration = timedelta(minutes=5)


class GapOpen(Rule):
    """Bars of a watched symbol are missing, of this last time; older gaps are history."""

    within: Duration = timedelta(days=1)


class Differs(Rule):
    """Signals, receipts, fills, Freqtrade's trades, the venue's orders or balances of this last time do not agree."""

    severity: RuleSeverity = Severity.CRITICAL
    every: Duration = timedelta(minutes=1)
    within: Duration = timedelta(days=1)


class Silent(Rule):
    """A side has not been heard of.

    MongoDB, the venue and Freqtrade do not answer for `after`; Freqtrade's last loop ended longer than `loop` ago; a
    symbol's last bar closed, or research exported, more than `bars` ago.
    """

    severity: RuleSeverity = Severity.CRITICAL
    after: Duration = timedelta(seconds=30)
    loop: Duration = timedelta(minutes=3)
    bars: Bars = 3


class Rules(_Part):
    """All rules; each one is on unless it says otherwise."""

    signal_missing: SignalMissing = SignalMissing()
    run_failed: RunFailed = RunFailed()
    signal_late: SignalLate = SignalLate()
    signal_expired: SignalExpired = SignalExpired()
    rejects: Rejects = Rejects()
    slippage: Slippage = Slippage()
    balance_low: BalanceLow = BalanceLow()
    rate_limited: RateLimited = RateLimited()
    gap_open: GapOpen = GapOpen()
    reconciliation: Differs = Differs()
    silent: Silent = Silent()


class QuietHours(_Part):
    """When only what can not wait is sent; what is still wrong at their end is sent then."""

    start: DayTime
    end: DayTime
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    let_through: Literal["nothing", "critical"] = "critical"

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"start and end must differ, found {self.start:%H:%M} twice")
        return self

    def holds(self, severity: Severity, at: datetime) -> bool:
        """Tell whether a message of that severity has to wait at that time; the end itself is not quiet any more."""
        if severity is Severity.CRITICAL and self.let_through == "critical":
            return False
        local = at.astimezone(ZoneInfo(self.timezone)).time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


class Alerts(_Part):
    """How alerts go out; their addresses are a secret and come from QUANTFLOW_ALERT_URLS.

    A problem that is found again within `over_after` was never over, so that one which comes and goes is told once.
    """

    repeat_after: Duration = timedelta(hours=1)
    over_after: Delay = timedelta(minutes=1)
    quiet_hours: QuietHours | None = None


class WatchFile(_Part):
    """The whole file. Without strategies, those with an export in the last day are watched."""

    strategies: tuple[WatchedStrategy, ...] = ()
    rules: Rules = Rules()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _each_strategy_once(self) -> Self:
        keys = [(one.strategy_id, one.timeframe, one.consumer) for one in self.strategies]
        doubles = [key for key in keys if keys.count(key) > 1]
        if doubles:
            raise ValueError(
                f"the strategy {doubles[0][0]} {doubles[0][1]} stands twice; of two bots, name each one's consumer"
            )
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the file's content.

        Raises
        ------
        InputError
            Where it can not be read or used; the sentence names the place in the file.
        """
        content = read_mapping(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"The watch file {path} can not be used. {first_mistake(error, cls)}") from None
