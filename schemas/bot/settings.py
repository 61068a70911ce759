"""What Freqtrade's config says to the strategy: its settings, and the name under which it answers."""

import logging
from typing import Any

from schemas.errors import SettingsError
from schemas.secrets import hide_in_logs, redact_uri
from schemas.settings import ExternalSignalSettings

logger = logging.getLogger(__name__)


def consumer_name(config: dict[str, Any], settings: ExternalSignalSettings) -> str:
    """Return the name that a bot's receipts carry; those of a dry-run must never block an order for money."""
    if settings.consumer:
        return settings.consumer
    name = str(config.get("bot_name") or "freqtrade")
    return f"{name}-dry" if config.get("dry_run", True) else name


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
    hide_in_logs()  # Freqtrade has set up its handlers by now, and at -vvv the driver tells them much
    if not settings.strategy_id:
        raise SettingsError(
            "ExternalSignalStrategy needs to know whose signals it trades, found no strategy_id. Set "
            "EXT_SIG_STRATEGY_ID, or external_signals.strategy_id in the config."
        )
    return settings
