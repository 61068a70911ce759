"""Options about who trades at what cost: accounts with their keys, first deposits, fees and the limit of orders."""

import re
import stat
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from paper_exchange.api.accounts import Account
from paper_exchange.errors import StartError
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.units import VENUE_DECIMALS

PAPER_NAME, PAPER_KEY, PAPER_SECRET = "paper", "paper-key", "paper-secret"
PAPER_DEPOSIT = ("USDT=10000",)
_MOST_UNITS = 10**11 * 10**VENUE_DECIMALS  # of one asset in one account; the house holds ten times as much
_FIELDS = {"name", "api_key", "secret", "balances", "can_trade"}
_NAME, _KEY = re.compile(r"[A-Za-z0-9_-]{1,32}"), re.compile(r"[A-Za-z0-9_-]{1,128}")
_ASSET = re.compile(r"[A-Z0-9]{1,20}")

AccountsFile = Annotated[Path | None, typer.Option("--accounts", help="JSON file of accounts, keys and balances.")]
Deposits = Annotated[list[str] | None, typer.Option("--deposit", help="ASSET=AMOUNT for the account 'paper'.")]
MakerBps = Annotated[str, typer.Option(help="Fee of a maker, in basis points.")]
TakerBps = Annotated[str, typer.Option(help="Fee of a taker, in basis points.")]
FeeIn = Annotated[str, typer.Option(help="What fees are paid in: received, quote, or a coin such as BNB.")]
FeeCoinPrices = Annotated[
    list[str] | None,
    typer.Option("--fee-coin-price", help="QUOTE=PRICE of the fee coin, for a quote in which it is not listed."),
]
OrderLimit = Annotated[int, typer.Option(min=0, help="Unfilled orders per account in 10 s; 0 for no limit.")]


def read_accounts(path: Path | None, deposits: list[str] | None) -> list[Account]:
    """Return the accounts of a file, or the one that everybody knows, with its deposits.

    Raises
    ------
    StartError
        Where the file or a deposit can not be used; the sentence shows no secret.
    """
    if path is None:
        amounts = dict(_read_pair(one, f"--deposit {one}") for one in deposits or PAPER_DEPOSIT)
        return [Account(PAPER_NAME, PAPER_KEY, PAPER_SECRET.encode(), amounts)]
    if deposits:
        raise StartError("--deposit is for the account 'paper'; with --accounts, write balances into the file.")
    entries = _read_file(path)
    accounts = [_read_account(entry, f"account {number} of {path}") for number, entry in enumerate(entries, 1)]
    for what, values in (("name", [one.name for one in accounts]), ("api_key", [one.api_key for one in accounts])):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise StartError(f"Two accounts of {path} have the same {what}, {twice[0]!r}; each needs its own.")
    return accounts


def is_open_to_others(path: Path) -> bool:
    """Return whether other users of this machine may read a file of secrets."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def read_fees(maker_bps: str, taker_bps: str, fee_in: str, coin_prices: list[str] | None = None) -> FeeSchedule:
    """Return what trades cost.

    Raises
    ------
    StartError
        Where a rate is no number, finer than 0.0001 bps or above 10,000, or the asset is none.
    """
    if fee_in not in ("received", "quote") and _ASSET.fullmatch(fee_in) is None:
        raise StartError(f"--fee-in needs received, quote or an asset such as BNB, found {fee_in!r}.")
    for option, value in (("--maker-bps", maker_bps), ("--taker-bps", taker_bps)):
        if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,4})?", value) is None or Decimal(value) > 10_000:
            raise StartError(f"{option} needs 0 to 10000 basis points with at most four decimals, found {value!r}.")
    prices = dict(_read_pair(one, f"--fee-coin-price {one}") for one in coin_prices or ())
    if prices and fee_in in ("received", "quote"):
        raise StartError(f"--fee-coin-price needs a coin in --fee-in, found {fee_in}.")
    return FeeSchedule.of_bps(maker_bps, taker_bps, fee_in, prices)


def _read_file(path: Path) -> list[Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise StartError(f"--accounts {path} can not be read: {error.strerror}.") from None
    except orjson.JSONDecodeError as error:
        raise StartError(f"--accounts {path} is no JSON: {error.msg} at line {error.lineno}.") from None
    if not isinstance(found, list) or not found:
        raise StartError(f"--accounts {path} needs a list of accounts, such as {_EXAMPLE}.")
    return found


def _read_account(entry: Any, where: str) -> Account:
    if not isinstance(entry, dict):
        raise StartError(f"{where} needs to be an object such as {_EXAMPLE[1:-1]}.")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise StartError(f"{where} has the field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}.")
    name, key, secret = (_text(entry, field, where) for field in ("name", "api_key", "secret"))
    if _NAME.fullmatch(name) is None:
        raise StartError(f"{where} needs a name of letters, digits, - and _ (at most 32), found {name!r}.")
    if _KEY.fullmatch(key) is None:
        raise StartError(f"{where} needs an api_key of letters, digits, - and _ (at most 128).")
    can_trade, balances = entry.get("can_trade", True), entry.get("balances", {})
    if not isinstance(can_trade, bool):
        raise StartError(f"{where} needs can_trade to be true or false, found {can_trade!r}.")
    if not isinstance(balances, dict):
        raise StartError(f'{where} needs balances such as {{"USDT": "10000"}}, found {balances!r}.')
    amounts = {_asset(asset, where): _amount(value, f"{where}, {asset}") for asset, value in balances.items()}
    return Account(name, key, secret.encode(), amounts, can_trade)


def _read_pair(value: str, where: str) -> tuple[str, int]:
    asset, _, amount = value.partition("=")
    return _asset(asset, where), _amount(amount, where)


def _text(entry: dict[str, Any], field: str, where: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise StartError(f"{where} needs {field!r}, a text that is not empty.")
    return value


def _asset(value: str, where: str) -> str:
    if _ASSET.fullmatch(value) is None:
        raise StartError(f"{where} needs an asset such as USDT, found {value!r}.")
    return value


def _amount(value: Any, where: str) -> int:
    try:
        # A number of JSON has been a float on its way; its shortest text is what was written.
        units = Decimal(str(value)).scaleb(VENUE_DECIMALS)
    except InvalidOperation:
        units = Decimal(-1)
    if not units.is_finite() or not 0 <= units <= _MOST_UNITS or units != units.to_integral_value():
        raise StartError(f"{where} needs an amount from 0 to 1e11 with at most eight decimals, found {value!r}.")
    return int(units)


_EXAMPLE = '[{"name": "ann", "api_key": "ann-key", "secret": "...", "balances": {"USDT": "10000"}}]'
