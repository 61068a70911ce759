"""Trades what research wrote to `crypto_signals`: Freqtrade's side of the store, in backtests, dry-run and live.

Which signal a candle may use, what it asks for and whether it acts is decided in `schemas`, by the same functions in
every mode; this file reads once where Freqtrade lets it, and lays the answer beside the candles.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.enums import TRADE_MODES, RunMode
from freqtrade.exceptions import FreqtradeException, OperationalException
from freqtrade.persistence import Order, Trade
from freqtrade.strategy import IStrategy

from schemas.bot.live_signals import CandleFlags
from schemas.bot.live_trading import LiveTrading
from schemas.bot.settings import consumer_name, strategy_settings
from schemas.bot.trade_facts import Consumer
from schemas.errors import QuantFlowError, StoreError
from schemas.run_id import new_run_id
from schemas.signal_actions import LONG, SHORT, ActionRules, Decisions, Signals, chosen_signals, decisions
from schemas.signal_feed import NO_SIGNALS, SignalFeed
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
            if self._is_trading:
                self._start_live()
            else:
                self._read_history(self._pairs())
        except (QuantFlowError, ValueError) as error:
            raise ExternalSignalError(str(error)) from None

    def bot_loop_start(self, **_: Any) -> None:
        """Record what orders did, and read the newest signals of the whole whitelist; nothing in a backtest.

        All that can fail is done here, and outlived here: after an error in `populate_*` Freqtrade would go on with
        the flags of the loop before.
        """
        if self._is_trading:
            self._live.loop(self.dp.current_whitelist(), _trades_since, self._book)

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Lay the decisions beside the candles: all of them in a backtest, the last one in live."""
        opens = dataframe["date"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
        tags = np.full(len(opens), None, object)
        columns: dict[str, np.ndarray[Any, Any]] = {
            "enter": np.zeros(len(opens), np.int8),
            "stake": np.ones(len(opens)),
        }
        columns |= {f"leave_{side}": np.zeros(len(opens), np.int8) for side in ("long", "short")}
        if not self._is_trading:
            signals, decided = self._decide_history(metadata["pair"], opens)
            for row in np.flatnonzero(decided.signal != NO_SIGNAL).tolist():
                tags[row] = self._tag(signals, int(decided.signal[row]))
            for name, column in columns.items():
                column[:] = getattr(decided, name)
        elif len(opens):
            flags = self._decide_live(metadata["pair"], int(opens[-1]))
            tags[-1] = flags.tag
            for name, column in columns.items():
                column[-1] = getattr(flags, name)
        # Freqtrade asks for the length of a tag unless it is None, so it must not become NaN: keep the type object.
        dataframe["signal_tag"] = pd.Series(tags, index=dataframe.index, dtype=object)
        for name, column in columns.items():
            dataframe[f"signal_{name}"] = column
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

    def custom_stake_amount(self, *, pair: str, proposed_stake: float, entry_tag: str | None, **_: Any) -> float:
        """Return the part of the stake that the weight of the entry's signal asks for; a person's entry has none."""
        candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if not len(candles) or candles["signal_tag"].iloc[-1] != entry_tag:
            return proposed_stake
        return proposed_stake * float(candles["signal_stake"].iloc[-1])

    def confirm_trade_entry(self, *, pair: str, entry_tag: str | None, **_: Any) -> bool:
        """Let an entry's order leave if its signal has not been used: by this bot, before, or by another."""
        if not self._is_trading:
            return True
        try:
            return self._live.may_enter(pair, entry_tag)
        except Exception:  # Freqtrade takes an error here for a yes, and this is the last gate before the order
            logger.exception(f"{pair} is not entered: whether {entry_tag} may still be used could not be found out.")
            return False

    def confirm_trade_exit(self, *, pair: str, exit_reason: str, **_: Any) -> bool:
        """Note that an exit's order leaves; an exit is never held back."""
        if self._is_trading:
            self._live.exiting(pair, exit_reason)
        return True

    def order_filled(self, *, trade: Trade, **_: Any) -> None:
        """Record what an order filled, at once; what is missed here is made up for in the next loop."""
        if self._is_trading:
            self._live.filled(trade)

    def ft_bot_cleanup(self) -> None:
        """Write what waits, as far as it goes in a moment: there is no callback of Freqtrade's for the end."""
        super().ft_bot_cleanup()
        if hasattr(self, "_live"):
            self._live.close()

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
        self._book = _FreqtradeBook(self)
        consumer = Consumer(
            consumer_name(self.config, self._settings),
            self._settings.strategy_id,
            self.timeframe,
            self._timeframe_ms,
            new_run_id(),
        )
        self._live = LiveTrading(
            self._settings,
            consumer,
            self._window,
            self._rules,
            folder=self.config["user_data_dir"],
            venue=str(self.config.get("exchange", {}).get("name", "")),
        )
        self._live.start(_trades_since)

    def _decide_live(self, pair: str, candle_ms: int) -> CandleFlags:
        try:
            return self._live.decide(pair, candle_ms)
        except Exception:  # an error that left here would leave the flags of the loop before in force
            logger.exception(f"{pair} is left alone in this loop.")
            return CandleFlags()


class _FreqtradeBook:
    """Answers from Freqtrade's own records what became of an entry."""

    def __init__(self, strategy: ExternalSignalStrategy) -> None:
        self._strategy = strategy

    def entered(self, pair: str, tag: str) -> Any:
        """Return the trade that was opened with a tag."""
        return Trade.get_trades([Trade.pair == pair, Trade.enter_tag == tag]).first()

    def lost_orders(self, pair: str, since: datetime) -> Sequence[Mapping[str, Any]] | None:
        """Return the venue's orders that are in no trade; in dry-run there are none."""
        try:
            orders = self._strategy.dp._exchange.fetch_orders(pair, since)  # there is no public way to ask
        except FreqtradeException as error:
            logger.warning(f"The venue does not say which orders of {pair} it has: {error}")
            return None
        return [order for order in orders if Order.order_by_id(str(order["id"]), pair) is None]

    def is_locked(self, pair: str, candle: datetime, side: str) -> bool:
        """Whether a lock covers the candle."""
        return bool(self._strategy.is_pair_locked(pair, candle_date=candle, side=side))


def _trades_since(since: datetime) -> list[Trade]:
    """Return all open trades, and those that were closed after a time."""
    return [*Trade.get_trades_proxy(is_open=True), *Trade.get_trades_proxy(is_open=False, close_date=since)]
