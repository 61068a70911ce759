"""The shipped configs pass Freqtrade's own checks and hold no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from bot_folder import SHIPPED
from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode

from schemas.settings import ExternalSignalSettings, all_settings

pytestmark = pytest.mark.freqtrade

CONFIGS = ("config.example.json", "config.backtest.json", "config.venue.json")


def loaded(folder: Path, mode: RunMode, *names: str) -> dict[str, Any]:
    """Load configs as the command line does, which checks them against Freqtrade's schema."""
    arguments: dict[str, Any] = {
        "config": [str(SHIPPED / name) for name in names],
        "user_data_dir": str(folder),
        "strategy": "ExternalSignalStrategy",
    }
    return dict(Configuration(arguments, mode).get_config())


def test_the_example_starts_in_dry_run_at_the_real_venue(tmp_path: Path) -> None:
    """Nothing in it trades money: dry_run is on and there are no keys."""
    config = loaded(tmp_path, RunMode.DRY_RUN, "config.example.json")
    assert config["dry_run"] is True
    assert config["exchange"]["name"] == "binance"
    assert "ccxt_config" not in config["exchange"]


def test_the_backtest_config_is_the_one_of_exact_parity(tmp_path: Path) -> None:
    """All of the wallet in one trade, the fee fixed, nothing that closes a trade but a signal."""
    config = loaded(tmp_path, RunMode.BACKTEST, "config.backtest.json", "config.venue.json")
    assert (config["stake_amount"], config["tradable_balance_ratio"], config["max_open_trades"]) == (
        "unlimited",
        1.0,
        1,
    )
    assert config["fee"] == 0.001
    assert not {"stoploss", "minimal_roi", "trailing_stop", "protections"} & set(config)


def test_the_venue_config_leaves_no_way_to_the_real_venue(tmp_path: Path) -> None:
    """Every address that ccxt would ask is on loopback, and Freqtrade's own data server is switched off."""
    exchange = loaded(tmp_path, RunMode.BACKTEST, "config.backtest.json", "config.venue.json")["exchange"]
    urls = exchange["ccxt_config"]["urls"]["api"]
    sockets = urls.pop("ws")
    addresses = [*urls.values(), sockets["spot"], sockets["ws-api"]["spot"]]
    assert {url.split("/")[2] for url in addresses} == {"127.0.0.1:8101"}
    assert {"public", "private", "v1", "sapi"} <= set(urls)
    assert exchange["ccxt_config"]["options"]["fetchMarkets"] == {"types": ["spot"]}
    assert exchange["only_from_ccxt"] is True


@pytest.mark.parametrize("name", CONFIGS)
def test_holds_no_key_and_only_known_settings(name: str) -> None:
    """The files are plain JSON, with keys for paper only; what they set for the strategy exists."""
    config = json.loads((SHIPPED / name).read_text())
    # The keys of the venue on this machine are known to everybody and open nothing anywhere else.
    paper = ("paper-key", "paper-secret") if name == "config.venue.json" else ("", "")
    assert (config["exchange"]["key"], config["exchange"]["secret"]) == paper
    assert set(config.get("external_signals", {})) <= set(ExternalSignalSettings.model_fields)


def test_the_env_example_names_settings_that_exist() -> None:
    """Every EXT_SIG_ line is a setting, every other one an exchange key for Freqtrade, left empty."""
    lines = (SHIPPED / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    strategy = {name for name in given if name.startswith("EXT_SIG_")}
    assert strategy <= set(all_settings())
    assert {name: given[name] for name in set(given) - strategy} == {
        "FREQTRADE__EXCHANGE__KEY": "",
        "FREQTRADE__EXCHANGE__SECRET": "",
    }
