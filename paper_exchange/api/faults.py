"""Keeps the faults that were asked for: which are on, how often each struck, and what they do to a market's view."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from paper_exchange.api.abort import abort
from paper_exchange.api.fault_kinds import Drop, Fault, Freeze, LateCandle, Limited, OfRequests, Partial
from paper_exchange.clock import Clock

_F = TypeVar("_F", bound=Limited)
_NS_PER_S = 1e9


@dataclass(eq=False, slots=True)
class ActiveFault:
    """A fault since it was asked for.

    Parameters
    ----------
    id, fault
        Its number and what it is.
    began_ns
        When it was asked for, by a steady clock of the machine.
    struck
        How often it has struck; a freeze and a late candle strike once, from the begin on.
    sockets_cut
        How many websockets it has cut off.
    """

    id: int
    fault: Fault
    began_ns: int
    struck: int = 0
    sockets_cut: int = 0
    is_cleared: bool = False

    def is_on(self, now_ns: int) -> bool:
        """Return whether it can still strike."""
        if self.is_cleared or (self.fault.count is not None and self.struck >= self.fault.count):
            return False
        return self.fault.seconds is None or now_ns < self.began_ns + self.fault.seconds * _NS_PER_S

    def document(self, now_ns: int) -> dict[str, Any]:
        """Return the fault and its counters as JSON can hold them."""
        is_on, fault = self.is_on(now_ns), self.fault
        ends_in_s = None if fault.seconds is None else fault.seconds - (now_ns - self.began_ns) / _NS_PER_S
        return {
            "id": self.id,
            "kind": fault.kind,
            **fault.model_dump(mode="json"),
            "on": is_on,
            "struck": self.struck,
            "left": None if fault.count is None else max(0, fault.count - self.struck) if is_on else 0,
            "ends_in_s": None if ends_in_s is None else round(max(0.0, ends_in_s), 3) if is_on else 0.0,
            **({"sockets_cut": self.sockets_cut} if isinstance(fault, Drop) else {}),
        }


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A freeze in the venue's time, from `begin_ms` up to but not including `end_ms`."""

    source: ActiveFault
    begin_ms: int
    end_ms: int


@dataclass(eq=False, slots=True)
class Socket:
    """A websocket that is open, as a fault sees it."""

    path: str
    scope: dict[str, Any]


@dataclass(eq=False, slots=True)
class Faults:
    """All faults of a venue.

    Parameters
    ----------
    clock
        The venue's time, in which freezes lie.
    monotonic_ns
        A steady clock of the machine, by which faults end.
    on_change
        Called when a fault begins or ends by asking; with True where the book's quantities are others from now on.
    """

    clock: Clock
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    on_change: Callable[[bool], None] = lambda _: None
    _faults: list[ActiveFault] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))
    _frozen: list[_Frozen] = field(default_factory=list)
    _sockets: set[Socket] = field(default_factory=set)
    _timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    _refuse_until_ns: int = 0
    _shares: dict[str, tuple[int, int]] = field(default_factory=dict)

    # --- what the control endpoint asks for

    def add(self, fault: Fault) -> dict[str, Any]:
        """Switch a fault on and return it with its counters."""
        if isinstance(fault, Drop) and fault.every_s is None:
            fault = fault.model_copy(update={"count": 1})
        active = ActiveFault(next(self._ids), fault, self.monotonic_ns())
        self._faults.append(active)
        if isinstance(fault, Freeze):
            begin = self.clock.now_ms()
            length_ms = fault.seconds * 1000 * self.clock.mapping.speed
            self._frozen.append(_Frozen(active, begin, begin + max(1, round(length_ms))))
        if isinstance(fault, Freeze | LateCandle):
            active.struck = 1
        if isinstance(fault, Drop):
            self._drop(active, fault)
        if isinstance(fault, Partial) and fault.seconds is not None:
            loop = asyncio.get_running_loop()
            self._timers[active.id] = loop.call_later(fault.seconds, self.on_change, True)
        self.on_change(isinstance(fault, Partial))
        return active.document(self.monotonic_ns())

    def listed(self) -> list[dict[str, Any]]:
        """Return all faults since the last clearing, the oldest first."""
        now = self.monotonic_ns()
        return [active.document(now) for active in self._faults]

    def clear(self, fault_id: int | None = None) -> list[dict[str, Any]]:
        """End one fault, or all, and return what they were; a freeze thaws at once."""
        ended = [active for active in self._faults if fault_id is None or active.id == fault_id]
        now, now_ms = self.monotonic_ns(), self.clock.now_ms()
        documents = [active.document(now) for active in ended]
        for active in ended:
            active.is_cleared = True
            self._faults.remove(active)
            timer = self._timers.pop(active.id, None)
            if timer is not None:
                timer.cancel()
            if isinstance(active.fault, Drop):
                self._refuse_until_ns = 0
        self._frozen = [
            _Frozen(one.source, one.begin_ms, min(one.end_ms, now_ms)) if one.source in ended else one
            for one in self._frozen
        ]
        self.on_change(any(isinstance(active.fault, Partial) for active in ended))
        return documents

    # --- what strikes requests

    def of(self, kind: type[_F], path: str, method: str, symbol: str) -> list[tuple[ActiveFault, _F]]:
        """Return the faults of a kind that are on and mean such a request."""
        now = self.monotonic_ns()
        found: list[tuple[ActiveFault, _F]] = []
        for active in self._faults:
            fault: Limited = active.fault
            if isinstance(fault, kind) and active.is_on(now) and _means(fault, path, method, symbol):
                found.append((active, fault))
        return found

    def strike(self, kind: type[_F], path: str, method: str, symbol: str) -> _F | None:
        """Return the oldest fault of a kind that means such a request, and count that it struck."""
        for active, fault in self.of(kind, path, method, symbol):
            active.struck += 1
            return fault
        return None

    def count_order(self, symbol: str) -> None:
        """Count an order that met the liquidity a fault has left."""
        for active, _ in self.of(Partial, "", "", symbol):
            active.struck += 1
            self.on_change(True)

    # --- what strikes sockets

    def opened(self, socket: Socket) -> None:
        """Note a websocket that can be cut off."""
        self._sockets.add(socket)

    def closed(self, socket: Socket) -> None:
        """Forget a websocket."""
        self._sockets.discard(socket)

    @property
    def refuses_sockets(self) -> bool:
        """Whether new websockets are turned away."""
        return self.monotonic_ns() < self._refuse_until_ns

    def _drop(self, active: ActiveFault, fault: Drop) -> None:
        self._timers.pop(active.id, None)
        if not active.is_on(self.monotonic_ns()):
            return
        active.struck += 1
        for socket in [one for one in self._sockets if fault.means(one.path)]:
            active.sockets_cut += abort(socket.scope)
        self._refuse_until_ns = max(self._refuse_until_ns, self.monotonic_ns() + int(fault.refuse_s * _NS_PER_S))
        if fault.every_s is not None:
            loop = asyncio.get_running_loop()
            self._timers[active.id] = loop.call_later(fault.every_s, self._drop, active, fault)

    # --- what strikes the market: `market.disturbed.View` and `trading.disturbed.Disturbance`

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        """Return which time's market shows at `at_ms`: the begin of the freezes that lie there, or that very time."""
        seen = at_ms
        for one in reversed(self._frozen):
            if one.begin_ms <= seen < one.end_ms and _of_symbol(one.source.fault, symbol):
                seen = one.begin_ms
        return seen

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        """Return when the freeze ends that lies at `at_ms`; None where there is none."""
        ends = [
            one.end_ms
            for one in self._frozen
            if one.begin_ms <= at_ms < one.end_ms and _of_symbol(one.source.fault, symbol)
        ]
        return max(ends, default=None)

    def kline_lag_ms(self, symbol: str) -> int:
        """Return how late klines are told."""
        return max((fault.ms for _, fault in self.of(LateCandle, "", "", symbol)), default=0)

    def share(self, symbol: str) -> tuple[int, int]:
        """Return the percent of the house's liquidity that is there, and a number that rises when that changes."""
        percent = min((fault.percent for _, fault in self.of(Partial, "", "", symbol)), default=100)
        before, generation = self._shares.get(symbol, (100, 0))
        if percent != before:
            generation += 1
            self._shares[symbol] = (percent, generation)
        return percent, generation


def _means(fault: Limited, path: str, method: str, symbol: str) -> bool:
    if isinstance(fault, OfRequests) and not fault.fits(path, method):
        return False
    return _of_symbol(fault, symbol)


def _of_symbol(fault: Limited, symbol: str) -> bool:
    named: Iterable[str] = getattr(fault, "symbols", ())
    return not named or symbol in named


def is_order(path: str, method: str) -> bool:
    """Return whether a request places an order."""
    return (path, method) in (("/api/v3/order", "POST"), ("/ws-api/v3", "order.place"))
