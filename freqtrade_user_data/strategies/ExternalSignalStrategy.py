"""Trades what research wrote to `crypto_signals`: Freqtrade's side of the store, in backtests, dry-run and live.

Which signal a candle may use, what it asks for and whether it acts is decided in `schemas`, by the same functions in
every mode; this file reads once where Freqtrade lets it, and lays the answer beside the candles.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.enums import TRADE_MODES, RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.persistence import LocalTrade, Trade
from freqtrade.strategy import IStrategy

from schemas.errors import QuantFlowError, SettingsError, StoreError
from schemas.live_feed import LiveFeed
from schemas.mongo import redact_uri
from schemas.settings import ExternalSignalSettings
from schemas.signal_actions import (
    LONG,
    LONG_AGO,
    SHORT,
    ActionRules,
    Decisions,
    Memory,
    Signals,
    chosen_signals,
    decisions,
)
from schemas.signal_feed import NO_SIGNALS, SignalFeed
from schemas.signal_memory import memory_of
from schemas.signal_rule import NO_SIGNAL, Milliseconds, SignalWindow
from schemas.signal_tag import SignalTag
from schemas.timeframes import Timeframe

logger = logging.getLogger(__name__)


class ExternalSignalError(OperationalException, ValueError):  # type: ignore[misc]
    """A sentence for the user. Being a ValueError too, it is logged by Freqtrade as a line, not as a traceback."""


class ExternalSignalStrategy(IStrategy):  # type: ignore[misc]  # Freqtrade has no types to offer
    """Enters and exits as the signals of one `strategy_id` say; see docs/freqtrade.md.

    The class attributes are those under which a backtest here and `simulate_long_flat` give the same trades. All of
    them may be overridden in the config. For shorts, trade futures and set `can_short = True` in a subclass.
    """

    INTERFACE_VERSION = 3
    can_short = False
    minimal_roi: ClassVar[dict[str, float]] = {}
    stoploss = -0.99
    use_exit_signal = True
    exit_profit_only = False
    ignore_roi_if_entry_signal = False
    startup_candle_count = 0
    # A signal may arrive at any second of a candle; with True it would wait for the candle's end.
    process_only_new_candles = False
    order_types: ClassVar[dict[str, Any]] = {
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        if config.get("runmode") == RunMode.BACKTEST:
            # Freqtrade takes an earlier result where config and code are the same. Signals lie outside of both: this
            # key makes every run a new one.
            config["external_signals_read_at"] = datetime.now(UTC).isoformat()

    def bot_start(self, **_: Any) -> None:
        """Read the settings; in a backtest read all signals too, since here a failure can still end the run."""
        try:
            self._settings = strategy_settings(self.config)
            self._timeframe_ms = Timeframe.parse(self.timeframe).seconds * 1000
            self._window, self._rules = self._window_and_rules()
            self._history: dict[str, Signals] = {}
            self._newest: dict[str, Signals] = {}
            self._memories: dict[str, Memory] = {}
            if self._is_trading:
                self._start_live()
            else:
                self._read_history(self._pairs())
        except (QuantFlowError, ValueError) as error:
            raise ExternalSignalError(str(error)) from None

    def bot_loop_start(self, current_time: datetime, **_: Any) -> None:
        """Read the newest signals of the whole whitelist, once a loop; in a backtest they are here already.

        All that can fail is done here: Freqtrade logs an error of this function and goes on, with no signals then,
        while after an error in `populate_*` it would go on with the flags of the loop before.
        """
        if not self._is_trading:
            return
        self._newest = {}
        newest = self._live.read(self.dp.current_whitelist(), _epoch_ms(current_time))
        if newest:
            self._memories = self._remembered(current_time)
        self._newest = newest

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Lay the decisions beside the candles: all of them in a backtest, the last one in live."""
        opens = dataframe["date"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
        first = len(opens) - 1 if self._is_trading else 0
        decide = self._decide_live if self._is_trading else self._decide_history
        signals, decided = decide(metadata["pair"], opens[first:])
        tags = np.full(len(opens), None, object)
        for row in np.flatnonzero(decided.signal != NO_SIGNAL).tolist():
            tags[first + row] = self._tag(signals, int(decided.signal[row]))
        # Freqtrade asks for the length of a tag unless it is None, so it must not become NaN: keep the type object.
        dataframe["signal_tag"] = pd.Series(tags, index=dataframe.index, dtype=object)
        dataframe["signal_stake"] = 1.0
        dataframe.loc[dataframe.index[first:], "signal_stake"] = decided.stake
        for name in ("enter", "leave_long", "leave_short"):
            flags = np.zeros(len(opens), np.int8)
            flags[first:] = getattr(decided, name)
            dataframe[f"signal_{name}"] = flags
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """Mark the candles whose signals enter."""
        dataframe["enter_long"] = (dataframe["signal_enter"] == LONG).astype(np.int8)
        dataframe["enter_short"] = (dataframe["signal_enter"] == SHORT).astype(np.int8)
        dataframe["enter_tag"] = dataframe["signal_tag"]
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """Mark the candles whose signals exit."""
        dataframe["exit_long"] = dataframe["signal_leave_long"]
        dataframe["exit_short"] = dataframe["signal_leave_short"]
        dataframe["exit_tag"] = dataframe["signal_tag"]
        return dataframe

    def custom_stake_amount(self, *, pair: str, proposed_stake: float, **_: Any) -> float:
        """Return the part of the stake that the weight of the signal on the last closed candle asks for."""
        candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        return proposed_stake * float(candles["signal_stake"].iloc[-1]) if len(candles) else proposed_stake

    def _tag(self, signals: Signals, signal: int) -> str:
        """Return what a trade is marked with: the signal's key, which is how a bot knows later what acted already.

        A backtest reports on each tag by itself, at 20 ms and a line of every table a tag. It marks trades with the
        strategy_id alone, unless signals are exported (`--export signals`) to be looked at one by one.
        """
        strategy_id = self._settings.strategy_id
        if not self._is_trading and self.config.get("export") != "signals":
            return strategy_id
        return str(SignalTag(strategy_id, int(signals.ts[signal]), int(signals.version[signal])))

    @property
    def _is_trading(self) -> bool:
        return self.config.get("runmode") in TRADE_MODES

    def _pairs(self) -> list[str]:
        try:
            pairs: list[str] = self.dp.current_whitelist()
        except OperationalException:  # a plot has no list of pairs: it shows them one by one
            return []
        return pairs

    def _window_and_rules(self) -> tuple[SignalWindow, ActionRules]:
        own, bar_ms = self._settings, self._timeframe_ms
        window = SignalWindow(
            timeframe_ms=bar_ms,
            tolerance_bars=own.tolerance_bars,
            max_delay_ms=round(own.max_delay_bars * bar_ms),
            skew_ms=round(own.clock_skew_s * 1000) if self._is_trading else 0,
        )
        rules = ActionRules(
            timeframe_ms=bar_ms,
            enter_above=own.enter_above,
            exit_below=own.exit_below,
            min_weight=own.min_weight,
            cooldown_bars=own.cooldown_bars,
            min_hold_bars=own.min_hold_bars,
            can_short=self.can_short,
        )
        return window, rules

    # What a backtest does: everything is read before the first candle, and nothing after.

    def _read_history(self, pairs: Iterable[str]) -> None:
        """Read the signals of each pair that the backtest's time range can use, by one query a pair."""
        asked = TimeRange.parse_timerange(self.config.get("timerange"))
        reach_ms = (self._window.tolerance_bars + 1) * self._timeframe_ms
        first_ms = asked.startts * 1000 - reach_ms if asked.startts else None
        last_ms = asked.stopts * 1000 if asked.stopts else None
        with SignalFeed(self._settings, self.timeframe, live=False) as feed:
            read = {pair: feed.history(pair, first_ms, last_ms) for pair in pairs}
            silent = [pair for pair, signals in read.items() if signals.ts.size == 0]
            if silent:
                logger.warning(
                    f"{', '.join(silent)} will not be traded: there are no signals of {self._settings.strategy_id} "
                    f"{self.timeframe} in this time range. "
                    f"The store has signals of: {', '.join(feed.strategies()) or 'nobody'}."
                )
        self._history.update(read)

    def _decide_history(self, pair: str, opens: Milliseconds) -> tuple[Signals, Decisions]:
        """Decide every candle at its close."""
        if pair not in self._history:
            try:
                self._read_history([pair])
            except StoreError as error:  # nothing may be raised from here, and a plot without signals is a plot
                logger.error(f"{pair} is shown without signals. {error}")
                self._history[pair] = NO_SIGNALS
        signals = self._history[pair]
        chosen = chosen_signals(signals, opens, opens + self._timeframe_ms, self._window)
        decided = decisions(signals, chosen, opens, self._rules)
        reasons = list(decided.skipped.values())
        counts = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))
        unused = signals.ts.size - np.unique(chosen[chosen != NO_SIGNAL]).size
        logger.info(
            f"{pair}: {signals.ts.size} signals, {np.count_nonzero(decided.signal != NO_SIGNAL)} act, "
            f"{unused} fit no candle; changed nothing: {counts or 'none'}."
        )
        return signals, decided

    # What a bot does: the newest signals are read once a loop, and the last candle is decided at the clock's time.

    def _start_live(self) -> None:
        feed = SignalFeed(self._settings, self.timeframe, live=True)
        self._live = LiveFeed(feed, self._window, self._settings.retry_after_s)
        self._flagged: dict[str, tuple[int, int]] = {}

    def _decide_live(self, pair: str, opens: Milliseconds) -> tuple[Signals, Decisions]:
        """Decide the last closed candle now, with the position that Freqtrade really has."""
        signals = self._newest.get(pair, NO_SIGNALS)
        chosen = chosen_signals(signals, opens, np.full(opens.shape, _epoch_ms(datetime.now(UTC))), self._window)
        memory = self._memories.get(pair, Memory())
        ts_ms, candle_ms = self._flagged.get(pair, (LONG_AGO, LONG_AGO))
        if candle_ms not in opens:  # a signal stays set for the candle on which it was set first, and for no other
            memory = replace(memory, settled_ts=max(memory.settled_ts, ts_ms))
        decided = decisions(signals, chosen, opens, self._rules, memory)
        for row in np.flatnonzero(decided.signal != NO_SIGNAL).tolist():
            self._flagged[pair] = (int(signals.ts[decided.signal[row]]), int(opens[row]))
        return signals, decided

    def _remembered(self, now: datetime) -> dict[str, Memory]:
        """Return, by pair, what Freqtrade's own trades tell of earlier signals; it outlives a restart."""
        bars = self._rules.cooldown_bars + self._window.tolerance_bars + 2
        since = now - timedelta(milliseconds=bars * self._timeframe_ms + self._window.max_delay_ms)
        by_pair: dict[str, list[LocalTrade]] = {}
        for trade in Trade.get_trades_proxy(is_open=True) + Trade.get_trades_proxy(is_open=False, close_date=since):
            by_pair.setdefault(trade.pair, []).append(trade)
        return {
            pair: memory_of(trades, self._settings.strategy_id, self._timeframe_ms) for pair, trades in by_pair.items()
        }


def strategy_settings(config: dict[str, Any]) -> ExternalSignalSettings:
    """Return the settings from the environment, `.env` and the config's `external_signals`, in this order.

    Raises
    ------
    SettingsError
        Where a key is unknown, a value can not be used, or nobody says whose signals to trade.
    """
    given = config.get("external_signals", {})
    if not isinstance(given, dict):
        raise SettingsError(f"external_signals in the config must be a block {{...}}, found {given!r}.")
    unknown = sorted(set(given) - set(ExternalSignalSettings.model_fields))
    if unknown:
        raise SettingsError(
            f"external_signals in the config has the unknown key {unknown[0]}. "
            f"Known are: {', '.join(ExternalSignalSettings.model_fields)}."
        )
    uri = str(given.get("mongo_uri", ""))
    if redact_uri(uri) != uri:
        logger.warning(
            "external_signals.mongo_uri in the config holds a password, and Freqtrade copies its config into every "
            "backtest result. Set EXT_SIG_MONGO_URI in the environment instead."
        )
    settings = ExternalSignalSettings.load(**given)
    if not settings.strategy_id:
        raise SettingsError(
            "ExternalSignalStrategy needs to know whose signals it trades, found no strategy_id. Set "
            "EXT_SIG_STRATEGY_ID, or external_signals.strategy_id in the config."
        )
    return settings


def _epoch_ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
