"""A user folder of Freqtrade at a local venue: the strategy and the exchange block in it, and what its log says."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantflow_nodes.programs import shared_file
from schemas.errors import QuantFlowError

STRATEGY = "ExternalSignalStrategy"


class FreqtradeError(QuantFlowError):
    """Freqtrade ended with an error; the message holds what it said."""

    exit_code = 8


def copy_strategy(folder: Path) -> Path:
    """Copy the strategy alone, and return its folder: a parameter file that hyperopt left beside the original would
    change its stops."""
    strategies = folder / "strategies"
    strategies.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared_file(f"freqtrade_user_data/strategies/{STRATEGY}.py"), strategies / f"{STRATEGY}.py")
    return strategies


def local_exchange(url: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Return Freqtrade's `exchange` block for a paper-exchange: every address replaced, so that nothing gets out.

    Keys are not in it: they belong into the environment, as `FREQTRADE__EXCHANGE__KEY` and `..._SECRET`.
    """
    rest = dict.fromkeys(("public", "private"), f"{url}/api/v3")
    socket = f"{url.replace('http', 'ws', 1)}/ws"
    return {
        "name": "binance",
        "key": "",
        "secret": "",
        "enable_ws": False,
        "only_from_ccxt": True,
        "pair_whitelist": list(pairs),
        "ccxt_config": {
            "enableRateLimit": False,
            "urls": {"api": {**rest, "v1": f"{url}/api/v1", "sapi": f"{url}/sapi/v1", "ws": {"spot": socket}}},
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
        },
    }


def rest_api(port: int) -> dict[str, Any]:
    """Return Freqtrade's `api_server` block for a REST API on the loopback, of the user `freqtrader`.

    Its secrets belong into the environment, as `FREQTRADE__API_SERVER__PASSWORD` and `..._JWT_SECRET_KEY`.
    """
    return {
        "enabled": True,
        "listen_ip_address": "127.0.0.1",
        "listen_port": port,
        "verbosity": "error",
        "enable_openapi": False,
        "CORS_origins": [],
        "username": "freqtrader",
    }


def last_words(log: Path) -> str:
    """Return the errors of a log, or its last lines where it has none: at most 600 characters."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line.split(" - ERROR - ", 1)[-1] for line in lines if " - ERROR - " in line] or lines[-3:]
    return " ".join(errors)[-600:]
