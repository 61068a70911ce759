"""Settings are declared once, documented, read in one order, and keep their secrets."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.errors import SettingsError
from schemas.settings import ExternalSignalSettings, Settings, all_settings, default_home

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
SECRET = "mongodb://reader:hunter2@db.example:27017/"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env but those that a test makes."""
    for variable in all_settings():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("schemas.settings.USUAL_SECRETS", tmp_path / "no secrets")


def test_the_docs_list_every_setting_with_its_default_and_meaning() -> None:
    """The table's rows are exactly the declared settings, in their order and words."""
    rows = re.findall(r"^\| `((?:QUANTFLOW|EXT_SIG)_\w+)` \| (.*?) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    declared = [
        (variable, f"`{default}`" if default else "", meaning)
        for variable, (default, meaning) in all_settings().items()
    ]
    assert rows == declared


def test_every_setting_says_what_it_means() -> None:
    """A sentence, where the setting is declared."""
    for variable, (_, meaning) in all_settings().items():
        assert meaning.endswith("."), variable


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("QUANTFLOW_DB", "mine", "db", "mine"),
        ("QUANTFLOW_HOME", "/data/qf", "home", Path("/data/qf")),
        ("QUANTFLOW_MONGO_TIMEOUT_S", "2.5", "mongo_timeout_s", 2.5),
        ("QUANTFLOW_SIGNAL_TTL_DAYS", "30", "signal_ttl_days", 30),
        ("QUANTFLOW_CLOCK_SKEW_S", "0", "clock_skew_s", 0.0),
        ("QUANTFLOW_EXPORT_LEASE_S", "5", "export_lease_s", 5.0),
        ("QUANTFLOW_WORKERS", "3", "workers", 3),
        ("QUANTFLOW_LOG_LEVEL", "INFO", "log_level", "INFO"),
        ("QUANTFLOW_LOG_JSON", "true", "log_json", True),
        ("quantflow_db", "small", "db", "small"),
    ],
)
def test_a_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    """Text becomes the declared type."""
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.load(), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("EXT_SIG_DB", "mine", "db", "mine"),
        ("EXT_SIG_COLLECTION", "signals", "collection", "signals"),
        ("EXT_SIG_STRATEGY_ID", "momentum", "strategy_id", "momentum"),
        ("EXT_SIG_TOLERANCE_BARS", "0", "tolerance_bars", 0),
        ("EXT_SIG_MAX_DELAY_BARS", "1.5", "max_delay_bars", 1.5),
        ("EXT_SIG_CLOCK_SKEW_S", "0.5", "clock_skew_s", 0.5),
        ("EXT_SIG_ENTER_ABOVE", "0.7", "enter_above", 0.7),
        ("EXT_SIG_EXIT_BELOW", "-0.1", "exit_below", -0.1),
        ("EXT_SIG_MIN_WEIGHT", "0.2", "min_weight", 0.2),
        ("EXT_SIG_COOLDOWN_BARS", "4", "cooldown_bars", 4),
        ("EXT_SIG_MIN_HOLD_BARS", "2", "min_hold_bars", 2),
        ("EXT_SIG_CONSUMER", "bot7", "consumer", "bot7"),
        ("EXT_SIG_LATE_EXITS", "false", "late_exits", False),
        ("EXT_SIG_ON_SILENCE", "exit", "on_silence", "exit"),
        ("EXT_SIG_SILENCE_BARS", "3", "silence_bars", 3),
        ("EXT_SIG_AS_KNOWN", "1", "as_known", True),
        ("EXT_SIG_MONGO_TIMEOUT_MS", "250", "mongo_timeout_ms", 250),
        ("EXT_SIG_RETRY_AFTER_S", "0", "retry_after_s", 0.0),
    ],
)
def test_a_variable_sets_the_strategys_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    """Text becomes the declared type."""
    monkeypatch.setenv(variable, text)
    assert getattr(ExternalSignalSettings.load(), name) == value


def test_what_is_passed_wins_over_the_environment_and_that_over_env_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The nearer to the command, the stronger."""
    assert Settings.load().db == "quantflow"
    (tmp_path / ".env").write_text("QUANTFLOW_DB=from_file\nOTHER=1\n")
    assert Settings.load().db == "from_file"
    monkeypatch.setenv("QUANTFLOW_DB", "from_environment")
    assert Settings.load().db == "from_environment"
    assert Settings.load(db="given").db == "given"


def test_the_strategys_environment_wins_over_freqtrades_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As everywhere in Freqtrade: what is passed is its config's block, and a variable overrides it."""
    assert ExternalSignalSettings.load(strategy_id="from_config").strategy_id == "from_config"
    (tmp_path / ".env").write_text("EXT_SIG_STRATEGY_ID=from_file\n")
    assert ExternalSignalSettings.load(strategy_id="from_config").strategy_id == "from_file"
    monkeypatch.setenv("EXT_SIG_STRATEGY_ID", "from_environment")
    assert ExternalSignalSettings.load(strategy_id="from_config").strategy_id == "from_environment"


@pytest.fixture
def secrets_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of secret files, and a variable that names it."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("QUANTFLOW_SECRETS_DIR", str(folder))
    return folder


def test_a_setting_may_stand_in_a_file_of_its_own(secrets_folder: Path) -> None:
    """Named as its variable in small letters, for both sides; blanks around it do not count, an empty one is none."""
    (secrets_folder / "quantflow_mongo_uri").write_text(f"  {SECRET}\n")
    (secrets_folder / "quantflow_exchange_key").write_text("\n")
    (secrets_folder / "ext_sig_strategy_id").write_text("from_secret")
    (secrets_folder / "other").write_text("nobody's")
    settings = Settings.load()
    assert settings.mongo_uri is not None
    assert settings.mongo_uri.get_secret_value() == SECRET
    assert settings.exchange_key is None
    assert ExternalSignalSettings.load().strategy_id == "from_secret"


def test_the_environment_wins_over_a_secret_file_and_that_over_freqtrades_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets_folder: Path
) -> None:
    """The nearer to the command, the stronger."""
    (secrets_folder / "quantflow_db").write_text("from_secret")
    (secrets_folder / "ext_sig_db").write_text("from_secret")
    assert ExternalSignalSettings.load(db="from_config").db == "from_secret"
    assert Settings.load().db == "from_secret"
    (tmp_path / ".env").write_text("QUANTFLOW_DB=from_file\nEXT_SIG_DB=from_file\n")
    assert (Settings.load().db, ExternalSignalSettings.load(db="x").db) == ("from_file", "from_file")
    monkeypatch.setenv("QUANTFLOW_DB", "from_environment")
    assert Settings.load().db == "from_environment"
    assert Settings.load(db="given").db == "given"


def test_the_folder_of_secrets_may_be_named_in_env_files_and_by_a_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets_folder: Path
) -> None:
    """As any other setting."""
    (secrets_folder / "quantflow_db").write_text("from_secret")
    monkeypatch.delenv("QUANTFLOW_SECRETS_DIR")
    assert Settings.load().db == "quantflow"
    assert Settings.load(secrets_dir=secrets_folder).db == "from_secret"
    (tmp_path / ".env").write_text(f"QUANTFLOW_SECRETS_DIR={secrets_folder}\n")
    assert Settings.load().db == "from_secret"


def test_the_usual_folder_of_secrets_is_read_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """/run/secrets, where Docker lays them; nothing where it is not there."""
    monkeypatch.setattr("schemas.settings.USUAL_SECRETS", tmp_path / "run")
    assert Settings.load().db == "quantflow"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "quantflow_db").write_text("from_secret")
    assert Settings.load().db == "from_secret"


def test_a_folder_of_secrets_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is not passed over: the secrets that it should hold would be missing."""
    monkeypatch.setenv("QUANTFLOW_SECRETS_DIR", str(tmp_path / "gone"))
    for model in (Settings, ExternalSignalSettings):
        with pytest.raises(SettingsError, match=r"QUANTFLOW_SECRETS_DIR must name a folder, and .*gone is none\."):
            model.load()


def test_a_secret_file_that_can_not_be_read_is_named_without_its_content(secrets_folder: Path) -> None:
    """A folder in its place, or bytes that are no text."""
    (secrets_folder / "quantflow_mongo_uri").mkdir()
    with pytest.raises(SettingsError, match=r"The secret file .*quantflow_mongo_uri can not be read: Is a directory\."):
        Settings.load()
    (secrets_folder / "quantflow_mongo_uri").rmdir()
    (secrets_folder / "quantflow_mongo_uri").write_bytes(b"\xffhunter2")
    with pytest.raises(SettingsError, match="it is no UTF-8 text") as refused:
        Settings.load()
    assert "hunter2" not in str(refused.value)


def test_a_wrong_value_in_a_secret_file_is_named_by_its_variable(secrets_folder: Path) -> None:
    """As if it stood in the environment."""
    (secrets_folder / "quantflow_workers").write_text("many")
    with pytest.raises(SettingsError, match="The setting QUANTFLOW_WORKERS can not be used"):
        Settings.load()


def test_an_empty_variable_is_as_if_it_were_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`QUANTFLOW_MONGO_URI=` in an .env means the embedded server."""
    monkeypatch.setenv("QUANTFLOW_MONGO_URI", "")
    monkeypatch.setenv("QUANTFLOW_SIGNAL_TTL_DAYS", "")
    assert Settings.load().mongo_uri is None
    assert Settings.load().signal_ttl_days is None


def test_the_home_follows_the_desktops_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """$XDG_DATA_HOME, by default ~/.local/share."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_home() == Settings.load().home == Path("/data/quantflow")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", "/home/quant")
    assert Settings.load().home == Path("/home/quant/.local/share/quantflow")


@pytest.mark.parametrize("model", [Settings, ExternalSignalSettings])
def test_a_secret_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, model: type[Settings] | type[ExternalSignalSettings]
) -> None:
    """Not in repr, text, dictionary or JSON; asked for by name it is there."""
    settings = model.load(mongo_uri=SECRET)
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json(), f"{settings}"]
    assert not [text for text in shown if "hunter2" in text or "db.example" in text]
    assert settings.mongo_uri is not None
    assert settings.mongo_uri.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("QUANTFLOW_DB", "a b"), ("QUANTFLOW_DB", "a.b"), ("QUANTFLOW_DB", "x" * 64), ("QUANTFLOW_DB", "$x"),
        ("QUANTFLOW_MONGO_TIMEOUT_S", "0"), ("QUANTFLOW_MONGO_TIMEOUT_S", "inf"), ("QUANTFLOW_MONGO_TIMEOUT_S", "nan"),
        ("QUANTFLOW_MONGO_TIMEOUT_S", "soon"), ("QUANTFLOW_SIGNAL_TTL_DAYS", "0"), ("QUANTFLOW_SIGNAL_TTL_DAYS", "1.5"),
        ("QUANTFLOW_SIGNAL_TTL_DAYS", "24856"), ("QUANTFLOW_CLOCK_SKEW_S", "-1"), ("QUANTFLOW_EXPORT_LEASE_S", "0"),
        ("QUANTFLOW_WORKERS", "-1"), ("QUANTFLOW_LOG_LEVEL", "LOUD"), ("QUANTFLOW_LOG_JSON", "perhaps"),
    ],
)  # fmt: skip
def test_a_value_that_can_not_be_used_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    """The sentence names the variable, what was needed and what was found."""
    monkeypatch.setenv(variable, text)
    with pytest.raises(
        SettingsError, match=f"^The setting {variable} can not be used: .*, found {re.escape(repr(text))[:50]}"
    ):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("EXT_SIG_TOLERANCE_BARS", "-1"), ("EXT_SIG_TOLERANCE_BARS", "101"), ("EXT_SIG_MAX_DELAY_BARS", "0"),
        ("EXT_SIG_MAX_DELAY_BARS", "inf"), ("EXT_SIG_CLOCK_SKEW_S", "-0.1"), ("EXT_SIG_ENTER_ABOVE", "nan"),
        ("EXT_SIG_MIN_WEIGHT", "1.1"), ("EXT_SIG_COOLDOWN_BARS", "-1"), ("EXT_SIG_MIN_HOLD_BARS", "0.5"),
        ("EXT_SIG_MONGO_TIMEOUT_MS", "0"), ("EXT_SIG_RETRY_AFTER_S", "-1"),
    ],
)  # fmt: skip
def test_a_value_that_the_strategy_can_not_use_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    """The same sentence for the other half."""
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError, match=f"^The setting {variable} can not be used: .*, found '{text}'"):
        ExternalSignalSettings.load()


def test_a_secret_that_can_not_be_used_is_not_repeated() -> None:
    """Whatever it was."""
    with pytest.raises(SettingsError, match=r"^The setting QUANTFLOW_MONGO_URI can not be used") as refused:
        Settings.load(mongo_uri={"password": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_name_that_is_no_setting_is_refused() -> None:
    """A misspelt key in Freqtrade's config must not be passed over silently."""
    with pytest.raises(SettingsError, match=r"^tolerance_bar is no setting\. Did you mean tolerance_bars\? There are "):
        ExternalSignalSettings.load(strategy_id="s", tolerance_bar=2)


def test_an_env_file_that_can_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    """It names the file."""
    (tmp_path / ".env").write_bytes(b"QUANTFLOW_DB=\xff\xfe\x00")
    with pytest.raises(SettingsError, match=rf"^The file {re.escape(str(tmp_path))}/\.env can not be read: "):
        Settings.load()


@pytest.mark.parametrize("model", [Settings, ExternalSignalSettings])
def test_settings_do_not_change(model: type[Settings] | type[ExternalSignalSettings]) -> None:
    """They are read once, where a program starts."""
    with pytest.raises(ValidationError, match="frozen"):
        model.load().db = "other"
