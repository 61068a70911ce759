"""Holds our trades beside Freqtrade's, trade by trade."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from quantflow_nodes.freqtrade_backtest import BacktestRequest, freqtrade_trades
from quantflow_nodes.nodes.backtest import BPS, Backtest, BacktestOutputs, BacktestParams
from quantflow_nodes.nodes.export_signals import ExportSignals, ExportSignalsParams
from quantflow_nodes.plan import Plan
from quantflow_nodes.ports import Bars
from quantflow_nodes.runner import Observer
from quantflow_nodes.workflow import run_graph
from schemas.errors import GraphError
from schemas.mongo import serve
from schemas.settings import Settings
from schemas.symbols import Symbol

PROFIT_RATIO_TOLERANCE = 1e-12
"""Exit code of commands that found a trade on which the two sides do not agree."""
_EXACT = ("close_time", "open_rate", "close_rate")


@dataclass(frozen=True, slots=True)
class Difference:
    """One trade that the two sides do not agree on, in words."""

    symbol: str
    open_time: str
    what: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the two sides agree.

    Attributes
    ----------
    ours, freqtrade : int
        Trades on each side.
    equal : int
        Trades with the same symbol, times and rates on both sides, and profit ratios within 1e-12.
    max_profit_ratio_diff : float
        The largest difference of profit ratios among trades that both sides have.
    differences : tuple of Difference
        The trades that are not equal.
    missing_bars : int
        Bars that the grid has between a symbol's first and last and that are not stored. Freqtrade puts flat candles in
        their place, so that a trade decided just before a gap fills at another time and rate there.
    table : DataFrame
        Both sides, joined on symbol and open time.
    """

    ours: int
    freqtrade: int
    equal: int
    max_profit_ratio_diff: float
    differences: tuple[Difference, ...]
    missing_bars: int
    table: pd.DataFrame

    @property
    def agrees(self) -> bool:
        """Whether every trade of each side is equal to one of the other's."""
        return not self.differences and self.ours == self.freqtrade == self.equal

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and the differences as plain JSON values."""
        return {
            "ours": self.ours,
            "freqtrade": self.freqtrade,
            "equal": self.equal,
            "max_profit_ratio_diff": self.max_profit_ratio_diff,
            "differences": [asdict(difference) for difference in self.differences],
            "missing_bars": self.missing_bars,
        }


def graph_parity(plan: Plan, settings: Settings, folder: Path, observe: Observer) -> Parity:
    """Run a graph, let Freqtrade trade the signals that it exported, and compare the trades.

    Parameters
    ----------
    plan : Plan
        A graph with one backtest node (without slippage: Freqtrade's backtest has none) and one export_signals node.
    settings : Settings
        Where bars and signals lie.
    folder : Path
        Freqtrade's user folder for this run.
    observe : callable
        Called with each step's name, state and seconds.

    Raises
    ------
    GraphError
        Where the graph has not exactly one of each.
    """
    backtest, export = _only(plan, Backtest), _only(plan, ExportSignals)
    costs, exported = plan.nodes[backtest].params, plan.nodes[export].params
    if not isinstance(costs, BacktestParams) or not isinstance(exported, ExportSignalsParams):
        raise GraphError("The backtest and export_signals nodes of the graph have parameters of another kind.")
    _check_comparable(exported, export)
    if costs.slippage_bps:
        raise GraphError(
            f"{backtest}: slippage_bps is {costs.slippage_bps:g}, and Freqtrade's backtest fills without slippage. "
            f"Compare with --set {backtest}.slippage_bps=0."
        )
    with serve(settings) as served:
        outputs = run_graph(plan, served, observe).result.outputs[backtest]
        if not isinstance(outputs, BacktestOutputs):
            raise GraphError(f"{backtest}: a backtest node's outputs were needed.")
        _check_spot(outputs.bars)
        request = BacktestRequest(outputs.bars, exported.strategy_id, costs.fee_bps / BPS, folder)
        observe("freqtrade backtesting", "running", None)
        started = time.perf_counter()
        theirs = freqtrade_trades(request, served)
        observe("freqtrade backtesting", "succeeded", time.perf_counter() - started)
    return compare(outputs.result.trades, theirs, count_missing(outputs.bars))


def count_missing(bars: Bars) -> int:
    """Return how many bars of the grid are missing between each symbol's first and last."""
    times = pd.Series(bars.times_ms).groupby(bars.data["symbol"].to_numpy(), sort=False)
    expected = (times.max() - times.min()) // (bars.timeframe.seconds * 1000) + 1
    return int((expected - times.size()).sum())


def _check_comparable(exported: ExportSignalsParams, node: str) -> None:
    if exported.value != "action":
        raise GraphError(
            f"{node}: trades of a {exported.value} can not be compared: Freqtrade turns it into entries and stakes "
            f"by its own settings. Compare with --set {node}.value=action --set {node}.emit=changes."
        )


def _check_spot(bars: Bars) -> None:
    perpetual = [name for name in bars.symbols if Symbol.parse(name).settle]
    if perpetual:
        raise GraphError(
            f"Parity compares spot trades; {', '.join(perpetual)} is a perpetual, where Freqtrade adds funding."
        )


def _only(plan: Plan, kind: type[Any]) -> str:
    found = [name for name, node in plan.nodes.items() if isinstance(node.node, kind)]
    if len(found) != 1:
        raise GraphError(
            f"Parity needs a graph with exactly one {kind.type_name} node, found "
            f"{', '.join(found) if found else 'none'} in {plan.graph.name}."
        )
    return found[0]


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, missing_bars: int = 0) -> Parity:
    """Return how far two tables of trades agree.

    Both have the columns symbol, open_time, close_time, open_rate, close_rate and profit_ratio; a trade is known by
    its symbol and open time.
    """
    key = ["symbol", "open_time"]
    columns = [*key, *_EXACT, "profit_ratio"]
    table = ours[columns].merge(theirs[columns], on=key, how="outer", suffixes=("_ours", "_freqtrade"), indicator=True)
    both = table["_merge"] == "both"
    ratio_diff = (table["profit_ratio_ours"] - table["profit_ratio_freqtrade"]).abs()
    same = both & (ratio_diff <= PROFIT_RATIO_TOLERANCE)
    for name in _EXACT:
        same &= table[f"{name}_ours"] == table[f"{name}_freqtrade"]
    table = table.assign(equal=same, profit_ratio_diff=ratio_diff)
    return Parity(
        ours=len(ours),
        freqtrade=len(theirs),
        equal=int(same.sum()),
        max_profit_ratio_diff=float(ratio_diff.max()) if both.any() else 0.0,
        differences=tuple(_difference(row) for row in table.loc[~same].to_dict("records")),
        missing_bars=missing_bars,
        table=table,
    )


def _difference(row: dict[Any, Any]) -> Difference:
    when = row["open_time"].isoformat()
    if row["_merge"] == "left_only":
        return Difference(row["symbol"], when, "Freqtrade did not make this trade")
    if row["_merge"] == "right_only":
        return Difference(row["symbol"], when, "our backtest did not make this trade")
    unequal = [
        f"{name} {row[f'{name}_ours']} against {row[f'{name}_freqtrade']}"
        for name in (*_EXACT, "profit_ratio")
        if row[f"{name}_ours"] != row[f"{name}_freqtrade"]
    ]
    return Difference(row["symbol"], when, "; ".join(unequal))
