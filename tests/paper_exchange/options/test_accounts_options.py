"""Accounts, deposits and fees are read from the command line and a file, and mistakes are told without the secrets."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.api.accounts import Account
from paper_exchange.errors import StartError
from paper_exchange.options.accounts import is_open_to_others, read_accounts, read_fees

COIN = 10**8
ANN = {"name": "ann", "api_key": "ann-key", "secret": "very-secret", "balances": {"USDT": "10000", "BTC": 0.1}}


def written(folder: Path, document: Any) -> Path:
    path = folder / "accounts.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_without_a_file_there_is_one_account_that_everybody_knows() -> None:
    """paper, with 10,000 USDT unless deposits say otherwise."""
    assert read_accounts(None, None) == [Account("paper", "paper-key", b"paper-secret", {"USDT": 10_000 * COIN})]
    (paper,) = read_accounts(None, ["USDT=0.5", "BTC=1"])
    assert paper.deposits == {"USDT": COIN // 2, "BTC": COIN}


def test_a_file_holds_accounts(tmp_path: Path) -> None:
    """With amounts as text or numbers, kept to the last digit."""
    bob = {"name": "bob", "api_key": "bob-key", "secret": "s", "can_trade": False}
    assert read_accounts(written(tmp_path, [ANN, bob]), None) == [
        Account("ann", "ann-key", b"very-secret", {"USDT": 10_000 * COIN, "BTC": COIN // 10}),
        Account("bob", "bob-key", b"s", {}, can_trade=False),
    ]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "is no JSON"),
        ({}, "needs a list of accounts"),
        ([], "needs a list of accounts"),
        (["ann"], "needs to be an object"),
        ([ANN | {"password": "x"}], "has the field 'password'"),
        ([ANN | {"name": "@house"}], "needs a name of letters"),
        ([ANN | {"name": ""}], "needs 'name', a text"),
        ([ANN | {"api_key": "a key"}], "needs an api_key of letters"),
        ([ANN | {"secret": 7}], "needs 'secret', a text"),
        ([ANN | {"can_trade": "no"}], "needs can_trade to be true or false"),
        ([ANN | {"balances": []}], "needs balances such as"),
        ([ANN | {"balances": {"usdt": 1}}], "needs an asset such as USDT, found 'usdt'"),
        ([ANN | {"balances": {"USDT": "much"}}], "needs an amount from 0 to 1e11"),
        ([ANN | {"balances": {"USDT": -1}}], "needs an amount from 0 to 1e11"),
        ([ANN | {"balances": {"USDT": "0.000000001"}}], "at most eight decimals"),
        ([ANN | {"balances": {"USDT": "1e12"}}], "needs an amount from 0 to 1e11"),
        ([ANN, ANN | {"api_key": "other"}], "have the same name, 'ann'"),
        ([ANN, ANN | {"name": "other"}], "have the same api_key, 'ann-key'"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence_without_secrets(tmp_path: Path, document: Any, sentence: str) -> None:
    """What was needed, what was found, in which account."""
    path = written(tmp_path, document)
    with pytest.raises(StartError) as caught:
        read_accounts(path, None)
    assert sentence in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(StartError, match=r"nowhere\.json can not be read: No such file"):
        read_accounts(tmp_path / "nowhere.json", None)


def test_deposits_belong_to_the_known_account(tmp_path: Path) -> None:
    """With a file they would be nobody's."""
    with pytest.raises(StartError, match="write balances into the file"):
        read_accounts(written(tmp_path, [ANN]), ["USDT=1"])
    for deposit, sentence in (("USDT", "needs an amount"), ("=5", "needs an asset")):
        with pytest.raises(StartError, match=sentence):
            read_accounts(None, [deposit])


@pytest.mark.skipif(os.name == "nt", reason="file modes are of POSIX")
@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_noticed(tmp_path: Path, mode: int, is_open: bool) -> None:
    """By its group or by all."""
    path = written(tmp_path, [ANN])
    path.chmod(mode)
    assert is_open_to_others(path) is is_open


def test_fees_are_exact() -> None:
    """7.5 basis points are 75,000 in 1e-8 of the amount; a coin may have a fixed price."""
    fees = read_fees("0", "7.5", "BNB", ["USDT=600.5"])
    assert (fees.maker, fees.taker, fees.coin) == (0, 75_000, "BNB")
    assert fees.coin_prices == {"USDT": 60_050_000_000}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-1", "10", "received"), "--maker-bps needs 0 to 10000 basis points"),
        (("10", "1.00001", "received"), "--taker-bps needs 0 to 10000 basis points"),
        (("10", "10001", "received"), "--taker-bps needs"),
        (("10", "nan", "received"), "--taker-bps needs"),
        (("10", "10", "paid"), "--fee-in needs received, quote or an asset such as BNB, found 'paid'"),
        (("10", "10", "quote", ["USDT=1"]), "--fee-coin-price needs a coin in --fee-in, found quote"),
        (("10", "10", "BNB", ["USDT"]), "needs an amount"),
    ],
)
def test_a_mistake_in_the_fees_is_a_sentence(arguments: Any, sentence: str) -> None:
    """What was needed and what was found."""
    with pytest.raises(StartError) as caught:
        read_fees(*arguments)
    assert sentence in str(caught.value)
