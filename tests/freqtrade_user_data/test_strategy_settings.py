"""What the strategy reads before it reads signals: its settings, and what it says where they can not be used."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from schemas.bot.settings import consumer_name
from schemas.errors import SettingsError
from schemas.settings import ExternalSignalSettings

pytestmark = pytest.mark.freqtrade


@pytest.fixture
def read(strategy_file: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read the settings of a config in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in ("STRATEGY_ID", "MONGO_URI", "DB", "COOLDOWN_BARS"):
        monkeypatch.delenv(f"EXT_SIG_{name}", raising=False)

    def settings(**block: Any) -> Any:
        return strategy_file.strategy_settings({"external_signals": block})

    return settings


def test_the_environment_wins_over_env_file_and_config(
    read: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Freqtrade's own settings do: environment, then `.env`, then the config's block, then the default."""
    (tmp_path / ".env").write_text("EXT_SIG_COOLDOWN_BARS=2\nEXT_SIG_DB=from_file\n")
    monkeypatch.setenv("EXT_SIG_DB", "from_environment")
    settings = read(strategy_id="mine", db="from_config", cooldown_bars=1, min_hold_bars=4)
    assert (settings.db, settings.cooldown_bars, settings.min_hold_bars) == ("from_environment", 2, 4)
    assert settings.tolerance_bars == 1


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({}, r"found no strategy_id\. Set EXT_SIG_STRATEGY_ID, or external_signals\.strategy_id"),
        ({"strategy_id": "mine", "cooldown_bar": 1}, r"unknown key cooldown_bar\. Known are: mongo_uri, "),
        ({"strategy_id": "mine", "cooldown_bars": -1}, r"EXT_SIG_COOLDOWN_BARS can not be used: "),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(
    read: Callable[..., Any], block: dict[str, Any], sentence: str
) -> None:
    """The sentence says which setting, what is wrong, and where to set it."""
    with pytest.raises(SettingsError, match=sentence):
        read(**block)


def test_a_block_that_is_none_is_refused(strategy_file: ModuleType) -> None:
    """A text in the place of the block is not taken for settings."""
    with pytest.raises(SettingsError, match="must be a block"):
        strategy_file.strategy_settings({"external_signals": "mine"})


def test_a_password_in_the_config_is_warned_about(read: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """Freqtrade stores its config in results; the warning says where the address belongs, without repeating it."""
    with caplog.at_level(logging.WARNING):
        read(strategy_id="mine", mongo_uri="mongodb://me:hunter2@127.0.0.1/")
        read(strategy_id="mine", mongo_uri="mongodb://127.0.0.1/")
    assert len(caplog.messages) == 1
    assert "Set EXT_SIG_MONGO_URI" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_ends_a_run_is_logged_as_a_line(strategy_file: ModuleType) -> None:
    """Freqtrade logs a ValueError of `bot_start` without a traceback, and ends on its own kind of error."""
    from freqtrade.exceptions import OperationalException

    assert issubclass(strategy_file.ExternalSignalError, ValueError)
    assert issubclass(strategy_file.ExternalSignalError, OperationalException)


@pytest.mark.parametrize(
    ("config", "given", "name"),
    [
        ({}, {}, "freqtrade-dry"),
        ({"bot_name": "mine", "dry_run": True}, {}, "mine-dry"),
        ({"bot_name": "mine", "dry_run": False}, {}, "mine"),
        ({"bot_name": "mine", "dry_run": True}, {"consumer": "other"}, "other"),
    ],
)
def test_a_dry_run_never_answers_under_the_name_of_a_bot_for_money(
    config: dict[str, Any], given: dict[str, str], name: str
) -> None:
    """Its receipts would keep that one from entering; unless somebody names them alike."""
    assert consumer_name(config, ExternalSignalSettings(strategy_id="mine", **given)) == name
