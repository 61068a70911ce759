"""What is known as a secret is hidden wherever it stands, however it is written; what is none stays readable."""

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest

from schemas import secrets
from schemas.secrets import SecretFilter, hide_in_logs, remember_secret, remember_sign_in, without_secrets
from schemas.settings import ExternalSignalSettings, Settings


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without secrets, and leaves none behind."""
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_pattern", None)


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, list[str]]]:
    """A library's logger, and the lines that a handler with the filter wrote."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger, handler = logging.getLogger("somebodys.library"), Kept()
    handler.addFilter(SecretFilter())
    logger.addHandler(handler)
    yield logger, lines
    logger.removeHandler(handler)


def test_a_message_that_does_not_fit_its_arguments_does_not_reach_the_caller(
    log: tuple[logging.Logger, list[str]],
) -> None:
    """The caller goes on, and what is written names the message; its arguments stay out."""
    remember_secret("hunter2long")
    logger, lines = log
    logger.warning("hunter2long took %d bars", "hunter2long")
    assert lines == ["A log message does not fit its arguments (TypeError): '*** took %d bars'"]


def test_a_secret_is_hidden_in_every_spelling() -> None:
    """As it is, as an address writes it, as JSON and Python do."""
    secret = 'p@ss/w"ord\\ é'
    remember_secret(secret)
    for spelt in (secret, quote_plus(secret), json.dumps(secret), repr(secret), f"x{secret}y"):
        shown = without_secrets(f"it is {spelt} here")
        assert secret not in shown
        assert "***" in shown
        assert "ord" not in shown


@pytest.mark.parametrize(
    ("address", "hidden", "shown"),
    [
        ("mongodb://reader:hunter2long@db.example:27017/", ["hunter2long"], ["reader", "db.example"]),
        ("mongodb://r:p%40ssword1@db.example/", ["p@ssword1", "p%40ssword1"], ["db.example"]),
        ("mongodb://db.example/?tlsCertificateKeyFilePassword=keyfile77", ["keyfile77"], ["db.example"]),
        ("tgram://123456789:AAabcdefgh_ij/987654321", ["AAabcdefgh_ij", "987654321"], []),
        ("slack://T1234567/B1234567/Zx81kkLq", ["T1234567", "Zx81kkLq"], []),
        ("mailto://me:mailpass9@mail.example.org", ["mailpass9"], ["mail.example.org"]),
        ("json://127.0.0.1:8080/notifications/tok3n-abc", ["tok3n-abc"], ["127.0.0.1:8080", "notifications"]),
        ("json://[::1/broken9", ["json://[::1/broken9"], []),
    ],
)
def test_of_an_address_what_opens_the_door_is_hidden(address: str, hidden: list[str], shown: list[str]) -> None:
    """Passwords and tokens; hosts and words stay, or nobody could read a log."""
    remember_secret(address)
    for secret in hidden:
        assert secret not in without_secrets(f"sent to {secret} at last")
    for word in shown:
        assert without_secrets(f"sent to {word} at last") == f"sent to {word} at last"
    assert address not in without_secrets(f"sent to {address} at last")


def test_several_addresses_are_each_taken_apart() -> None:
    """As apprise takes them: one after another, with blanks or commas between."""
    remember_secret("tgram://111111111:aaaaaaaa/1 slack://T7654321/B/C, json://h.example/tok3n9")
    assert without_secrets("aaaaaaaa T7654321 tok3n9") == "*** *** ***"


def test_a_short_word_stays_where_it_is_no_part_of_an_address() -> None:
    """A password such as "a" would take the letters out of every sentence."""
    remember_secret("mongodb://u:a@db.example/")
    assert without_secrets("a sentence") == "a sentence"
    assert without_secrets("mongodb://u:a@db.example/") == "mongodb://***@db.example/"


def test_a_sign_in_is_hidden_in_its_header() -> None:
    """HTTP's basic sign-in is the user and the password in Base64."""
    remember_sign_in("freqtrader", "long enough")
    header = "Basic " + b64encode(b"freqtrader:long enough").decode()
    assert without_secrets(f"Authorization: {header}") == "Authorization: Basic ***"


def test_settings_have_their_secrets_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every secret among them, whoever reads the settings; other values are not touched."""
    declared = {
        f"QUANTFLOW_{name}".upper()
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation)
    }
    planted = {variable: f"planted-{number}-secret" for number, variable in enumerate(sorted(declared))}
    planted["QUANTFLOW_MONGO_URI"] = "mongodb://u:planted-uri-secret@db.example/"
    for variable, value in planted.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("EXT_SIG_MONGO_URI", "mongodb://u:planted-bot-secret@db.example/")
    Settings.load()
    ExternalSignalSettings.load()
    said = without_secrets(" ".join([*planted.values(), "planted-uri-secret planted-bot-secret quantflow"]))
    assert "planted" not in said
    assert said.endswith("quantflow")


def test_a_librarys_log_line_is_cleaned(log: tuple[logging.Logger, list[str]]) -> None:
    """In its text, its arguments and its trace."""
    logger, lines = log
    remember_secret("hunter2long")
    logger.error("GET %s with %s", "http://x/?key=hunter2long", {"password": "hunter2long"})
    try:
        raise ValueError("hunter2long is wrong")
    except ValueError:
        logger.exception("failed")
    assert lines[0] == "GET http://x/?key=*** with {'password': '***'}"
    assert lines[1].startswith("failed\nTraceback")
    assert lines[1].endswith("ValueError: *** is wrong")


def test_a_trace_without_secrets_stays_as_it_is(log: tuple[logging.Logger, list[str]]) -> None:
    """Handlers that draw traces in their own way still get them."""
    logger, lines = log
    remember_secret("hunter2long")
    try:
        raise ValueError("plain")
    except ValueError:
        logger.exception("failed %d times", 2)
    assert lines[0].startswith("failed 2 times\nTraceback")


def test_the_root_loggers_handlers_are_filtered_once() -> None:
    """However often settings are read."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        hide_in_logs()
        hide_in_logs()
        assert [type(one) for one in handler.filters] == [SecretFilter]
    finally:
        for one in logging.getLogger().handlers:
            one.filters = [kept for kept in one.filters if not isinstance(kept, SecretFilter)]
        logging.getLogger().removeHandler(handler)
