"""Every setting, declared once: QUANTFLOW_* for research and commands, EXT_SIG_* for the Freqtrade strategy."""

import difflib
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.errors import SettingsError
from schemas.secrets import remember_secret, remember_sign_in

USUAL_SECRETS = Path("/run/secrets")  # where Docker and others lay them


def default_home() -> Path:
    """Return the folder of the embedded server: $XDG_DATA_HOME/quantflow, by default ~/.local/share/quantflow."""
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "quantflow"


class _SecretsFolder(BaseSettings):
    """Where secrets lie in files; it has to be known before any other setting is."""

    model_config = SettingsConfigDict(env_prefix="QUANTFLOW_", env_file=".env", env_ignore_empty=True, extra="ignore")
    secrets_dir: Path | None = None

    def folder(self) -> Path | None:
        """Return the folder; None where none is named and the usual one is not there for us.

        Raises
        ------
        SettingsError
            Where one is named that is none.
        """
        if self.secrets_dir is None:
            return USUAL_SECRETS if USUAL_SECRETS.is_dir() and os.access(USUAL_SECRETS, os.X_OK) else None
        if not self.secrets_dir.is_dir():
            raise SettingsError(f"QUANTFLOW_SECRETS_DIR must name a folder, and {self.secrets_dir} is none.")
        return self.secrets_dir


class _SecretFiles(PydanticBaseSettingsSource):
    """The settings that stand in files of their own, each named as its variable in small letters."""

    def __init__(self, settings_cls: type[BaseSettings], given: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        named = given().get("secrets_dir") if "secrets_dir" in settings_cls.model_fields else None
        self._folder = (_SecretsFolder() if named is None else _SecretsFolder(secrets_dir=named)).folder()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:  # noqa: ARG002
        """Return what stands in a setting's file, without blanks around it; None where there is no file."""
        path = (self._folder or Path()) / f"{self.config.get('env_prefix', '')}{field_name}".lower()
        try:
            text = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise SettingsError(f"The secret file {path} can not be read: {reason}.") from None
        return text or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all settings that have a file."""
        if self._folder is None:
            return {}
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: text for name, text in found.items() if text is not None}


class _Settings(BaseSettings):
    """Settings are read once, where a program starts."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the strongest first."""
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls, init_settings)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's interface
        """Have every secret among the settings hidden from now on, wherever this process writes."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                remember_secret(value.get_secret_value())

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Have them hidden too in a process to which settings are sent."""
        super().__setstate__(state)
        self.model_post_init(None)

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Return the settings from `given`, the environment, `.env` in the working folder, and files of secrets.

        Raises
        ------
        SettingsError
            Where `given` has a name that is no setting, or a value can not be used; the sentence names the variable,
            and never repeats a secret.
        """
        unknown = [name for name in given if name not in cls.model_fields]
        if unknown:
            near = difflib.get_close_matches(unknown[0], cls.model_fields, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise SettingsError(f"{unknown[0]} is no setting. {hint}There are {', '.join(cls.model_fields)}.")
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            name = f"{cls.model_config.get('env_prefix', '')}{field}".upper()
            is_secret = "Secret" in str(cls.model_fields[field].annotation)
            found = "" if is_secret else f", found {first['input']!r:.60}"
            raise SettingsError(f"The setting {name} can not be used: {first['msg']}{found}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"The file {Path('.env').absolute()} can not be read: {error}.") from None


class Settings(_Settings):
    """What research, importers and commands read: what is passed, then the environment, `.env`, files of secrets."""

    model_config = SettingsConfigDict(
        env_prefix="QUANTFLOW_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    mongo_uri: SecretStr | None = Field(
        None, description="MongoDB's address. Unset: the embedded server is started and shared."
    )
    db: str = Field("quantflow", pattern=r'^[^/\\. "$*<>:|?\x00]{1,63}$', description="Name of the database.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of files named as the variables in small letters, for secrets. Unset: /run/secrets.",
    )
    home: Path = Field(
        default_factory=default_home,
        json_schema_extra={"written": "$XDG_DATA_HOME/quantflow, or ~/.local/share/quantflow"},
        description="Folder of the embedded server's data and log, and of copies of bars.",
    )
    bars_cache_mb: int = Field(
        4096,
        ge=0,
        description="Most disk space that copies of bars for faster reading take, in MB. 0: none are kept or used.",
    )
    mongo_timeout_s: float = Field(
        10.0,
        gt=0,
        description="How long a command waits for a MongoDB server before it gives up, in seconds.",
    )
    signal_ttl_days: int | None = Field(
        None,
        ge=1,
        le=24_855,  # the most seconds that MongoDB takes, 2³¹ − 1
        description="`quantflow db init` lets MongoDB delete signals older than this many days. Unset: kept for ever.",
    )
    clock_skew_s: float = Field(
        2.0,
        ge=0,
        description="How far the clocks of two machines may differ when a bar counts as closed, in seconds.",
    )
    export_lease_s: float = Field(
        60.0,
        gt=0,
        description="How long a silent export keeps its strategy locked against other exports, in seconds.",
    )
    replay_clock: str | None = Field(
        None, description="The line over the machine's time by which a replay's processes run. Set by replays only."
    )
    workers: int = Field(
        0,
        ge=0,
        description="Threads or processes that run independent nodes of a graph, or sets of a sweep. 0: one a core.",
    )
    importer_password: SecretStr | None = Field(
        None, description="Password that `quantflow db roles` gives the user importer. Unset: a new one."
    )
    research_password: SecretStr | None = Field(None, description="The same for the user research.")
    executor_password: SecretStr | None = Field(None, description="The same for the user executor.")
    monitor_password: SecretStr | None = Field(None, description="The same for the user monitor.")
    exchange_key: SecretStr | None = Field(None, description="API key by which `signal-monitor` reads orders.")
    exchange_secret: SecretStr | None = Field(None, description="The secret of that key.")
    monitor_mongo_timeout_s: float = Field(
        2.5,
        gt=0,
        description="How long `signal-monitor run` and `check` wait for each answer of MongoDB, in seconds.",
    )
    freqtrade_user: str = Field("freqtrader", description="User of Freqtrade's REST API, for `signal-monitor`.")
    freqtrade_password: SecretStr | None = Field(None, description="Password of that user.")
    alert_urls: SecretStr | None = Field(
        None, description="Where `signal-monitor` sends alerts: addresses as apprise writes them, one after another."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("WARNING", description="Least level logged.")
    log_json: bool = Field(False, description="Log one JSON object a line instead of text.")

    def model_post_init(self, context: Any, /) -> None:
        """Have Freqtrade's password hidden too as part of a sign-in."""
        super().model_post_init(context)
        if self.freqtrade_password is not None:
            remember_sign_in(self.freqtrade_user, self.freqtrade_password.get_secret_value())

    def for_workers(self) -> "Settings":
        """Return what processes that run nodes need: of all secrets MongoDB's address only, as they read and write."""
        secrets = [name for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)]
        return self.model_copy(update={name: None for name in secrets if name != "mongo_uri"})


class ExternalSignalSettings(_Settings):
    """What ExternalSignalStrategy reads: the environment, `.env`, files of secrets, then Freqtrade's config."""

    model_config = SettingsConfigDict(
        env_prefix="EXT_SIG_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What is passed is the config file of Freqtrade, which the environment overrides there too.
        return env_settings, dotenv_settings, _SecretFiles(settings_cls, init_settings), init_settings

    mongo_uri: SecretStr = Field(
        SecretStr("mongodb://127.0.0.1:27017/"), description="MongoDB's address. `quantflow exec` sets it."
    )
    db: str = Field("quantflow", description="Name of the database.")
    collection: str = Field("crypto_signals", description="Collection that holds the signals.")
    strategy_id: str = Field("", description="Whose signals are traded; must be set.")
    consumer: str = Field(
        "",
        max_length=200,
        description="The bot's name in receipts, fills and positions. Unset: its bot_name, in dry-run with -dry.",
    )
    tolerance_bars: int = Field(1, ge=0, le=100, description="A signal serves candles at most this many bars away.")
    max_delay_bars: float = Field(3.0, gt=0, description="A signal is void this many bars after it became available.")
    clock_skew_s: float = Field(2.0, ge=0, description="Clock difference allowed in live and dry-run, in seconds.")
    enter_above: float = Field(0.5, description="A score above this enters.")
    exit_below: float = Field(0.5, description="A score below this exits; between the two nothing changes.")
    min_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="A weight above this enters with that part of the stake; at or below it exits.",
    )
    cooldown_bars: int = Field(
        0, ge=0, description="At least this many bars lie between an exit signal that acted and the next entry."
    )
    min_hold_bars: int = Field(
        0, ge=0, description="At least this many bars lie between an entry signal that acted and the next exit."
    )
    late_exits: bool = Field(
        True, description="After an absence of bot or MongoDB, leave a position by an exit that is too old by the rule."
    )
    on_silence: Literal["hold", "exit"] = Field(
        "hold", description="What becomes of open positions when research falls silent: they are held, or closed."
    )
    silence_bars: int = Field(
        10, ge=1, description="Research is silent when its newest exported bar closed more than this many bars ago."
    )
    as_known: bool = Field(False, description="In a backtest, use a signal only from the time it was really written.")
    mongo_timeout_ms: int = Field(
        400,
        gt=0,
        description="How long one read or claim waits for MongoDB in live and dry-run, in milliseconds.",
    )
    retry_after_s: float = Field(
        5.0,
        ge=0,
        description="How long no new read, claim or write is tried after a failed one in live and dry-run, in seconds.",
    )


def all_settings() -> dict[str, tuple[str, str]]:
    """Return each setting's variable with its default, as it would be written, and its description."""
    listed: dict[str, tuple[str, str]] = {}
    for model in (Settings, ExternalSignalSettings):
        for name, field in model.model_fields.items():
            variable = f"{model.model_config.get('env_prefix', '')}{name}".upper()
            listed[variable] = (_written(field), field.description or "")
    return listed


def _written(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return str(field.json_schema_extra["written"]) if isinstance(field.json_schema_extra, dict) else ""
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
