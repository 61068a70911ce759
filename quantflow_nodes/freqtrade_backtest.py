"""Runs the real `freqtrade backtesting` on given bars and stored signals, and reads the trades that it made."""

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import structlog

from quantflow_nodes.freqtrade_folder import STRATEGY, FreqtradeError, copy_strategy, last_words, local_exchange
from quantflow_nodes.ports import Bars
from quantflow_nodes.programs import clean_environment, find_program, run_program, running_venue, shared_file
from schemas.errors import StoreError
from schemas.settings import Settings
from schemas.symbols import Symbol

# Freqtrade rounds the profit of a trade to 1e-8 of the quote asset before it divides by the stake. A profit ratio does
# not depend on the stake, so a large fixed one, from a wallet that no loss empties, takes that rounding out of sight.
STAKE_QUOTE = 1_000_000
WALLET_QUOTE = 1_000_000_000_000
_TRADE_TYPES = {
    "symbol": "object",
    "open_time": "datetime64[ms, UTC]",
    "close_time": "datetime64[ms, UTC]",
    "open_rate": "float64",
    "close_rate": "float64",
    "profit_ratio": "float64",
    "exit_reason": "object",
    "enter_tag": "object",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What Freqtrade is asked to trade: bars, whose signals, at which fee, in which folder of its own."""

    bars: Bars
    strategy_id: str
    fee: float
    folder: Path


def freqtrade_trades(request: BacktestRequest, settings: Settings) -> pd.DataFrame:
    """Return the trades of `freqtrade backtesting --strategy ExternalSignalStrategy`.

    Parameters
    ----------
    request : BacktestRequest
        `folder` becomes Freqtrade's user folder for this run; nothing else of Freqtrade's is touched.
    settings : Settings
        With `mongo_uri` set: where the signals lie.

    Returns
    -------
    DataFrame
        One row a trade: symbol, open_time, close_time (aware UTC), open_rate, close_rate, profit_ratio, exit_reason,
        enter_tag; sorted by symbol and open_time.

    Raises
    ------
    FreqtradeError
        Where Freqtrade does not end well; its log stays in the folder.
    """
    symbols = [Symbol.parse(name) for name in request.bars.symbols]
    data = request.folder / "data" / "binance"
    data.mkdir(parents=True, exist_ok=True)
    copy_strategy(request.folder)
    for symbol in symbols:
        _write_feather(request.bars, symbol, data)
    with running_venue(_venue_arguments(request, symbols)) as venue:
        config = request.folder / "config.json"
        config.write_bytes(orjson.dumps(_config(request, symbols, venue.url), option=orjson.OPT_INDENT_2))
        _run(request, config, settings)
    return _read_trades(request.folder / "backtest_results", {symbol.pair: str(symbol) for symbol in symbols})


def _write_feather(bars: Bars, symbol: Symbol, folder: Path) -> None:
    """Store bars as Freqtrade's own download-data does."""
    own = bars.data.loc[bars.data["symbol"] == str(symbol), ["datetime", "open", "high", "low", "close", "volume"]]
    frame = own.rename(columns={"datetime": "date"}).reset_index(drop=True)
    name = f"{symbol.pair.replace('/', '_')}-{bars.timeframe}.feather"
    frame.to_feather(folder / name, compression_level=9, compression="lz4")


def _venue_arguments(request: BacktestRequest, symbols: list[Symbol]) -> list[str]:
    """The venue only has to know the pairs and their ticks: Freqtrade asks it for its markets and nothing else.

    It takes bars of 1m without a gap, so that is what the prices are given as, whatever their timeframe.
    """
    arguments = []
    for symbol in symbols:
        path = request.folder / f"{symbol.venue_name}.csv"
        own = request.bars.data.loc[request.bars.data["symbol"] == str(symbol)]
        minutes = pd.date_range("2020-01-01", periods=len(own), freq="1min", tz="UTC")
        own[["open", "high", "low", "close", "volume"]].assign(date=minutes).to_csv(path, index=False)
        arguments += ["--bars", f"{symbol.base}/{symbol.quote}={path}"]
    return arguments


def _config(request: BacktestRequest, symbols: list[Symbol], url: str) -> dict[str, Any]:
    base: dict[str, Any] = orjson.loads(shared_file("freqtrade_user_data/config.backtest.json").read_bytes())
    return base | {
        "timeframe": request.bars.timeframe.name,
        "fee": request.fee,
        "dry_run_wallet": WALLET_QUOTE,
        "stake_amount": STAKE_QUOTE,
        "stake_currency": symbols[0].quote,
        "max_open_trades": len(symbols),
        "exchange": local_exchange(url, [symbol.pair for symbol in symbols]),
        "external_signals": {"strategy_id": request.strategy_id},
    }


def _run(request: BacktestRequest, config: Path, settings: Settings) -> None:
    if settings.mongo_uri is None:
        raise StoreError("Freqtrade needs the address of a MongoDB server to read signals from.")
    arguments = [
        find_program("freqtrade", "freqtrade"), "backtesting", "--strategy", STRATEGY,
        "--strategy-path", str(request.folder / "strategies"),
        "--userdir", str(request.folder), "--datadir", str(request.folder / "data" / "binance"),
        "--config", str(config), "--cache", "none", "--export", "trades",
    ]  # fmt: skip
    environment = clean_environment(
        {
            "EXT_SIG_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "EXT_SIG_DB": settings.db,
            "EXT_SIG_STRATEGY_ID": request.strategy_id,
            "NO_COLOR": "1",
        }
    )
    output = request.folder / "freqtrade.log"
    with output.open("wb") as sink:
        ended = run_program(
            arguments,
            cwd=request.folder,  # a .env of the user's must not reach this run
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    log.info("freqtrade_ended", code=ended.returncode, log=str(output))
    if ended.returncode != 0:
        raise FreqtradeError(
            f"freqtrade backtesting failed: {last_words(output)} With --keep FOLDER its log stays, as {output.name}."
        )


def _read_trades(folder: Path, symbols: dict[str, str]) -> pd.DataFrame:
    newest = folder / orjson.loads((folder / ".last_result.json").read_bytes())["latest_backtest"]
    with zipfile.ZipFile(newest) as archive:
        result = orjson.loads(archive.read(newest.with_suffix(".json").name))
    return trades_of(result["strategy"][STRATEGY]["trades"], symbols)


def trades_of(trades: list[dict[str, Any]], symbols: dict[str, str]) -> pd.DataFrame:
    """Return Freqtrade's trades, as its result file lists them, as the frame that `freqtrade_trades` describes."""
    rows = [
        {
            "symbol": symbols[trade["pair"]],
            "open_time": pd.Timestamp(trade["open_timestamp"], unit="ms", tz="UTC"),
            "close_time": pd.Timestamp(trade["close_timestamp"], unit="ms", tz="UTC"),
            **{name: trade[name] for name in ("open_rate", "close_rate", "profit_ratio", "exit_reason", "enter_tag")},
        }
        for trade in trades
    ]
    frame = pd.DataFrame(rows, columns=list(_TRADE_TYPES)).astype(_TRADE_TYPES)
    return frame.sort_values(["symbol", "open_time"], ignore_index=True)
