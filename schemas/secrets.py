"""Knows the secrets of this process, and takes them out of what is logged, said or stored."""

import json
import logging
import re
import traceback
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

HIDDEN = "***"
# A shorter word may be part of any sentence; as part of an address it is hidden all the same.
_LEAST_LETTERS = 6
_SECRET_OPTIONS = ("tlsCertificateKeyFilePassword", "authMechanismProperties", "proxyPassword")
SAMPLE_ADDRESS = "mongodb://user:password@host:27017/"  # as our own sentences write it: nobody's, and not hidden
_WHOLE_OR_PART = re.compile(
    rf"(\Amongodb(?:\+srv)?://)(?s:.*)@|(?!{re.escape(SAMPLE_ADDRESS)})(mongodb(?:\+srv)?://)\S*@"
)
_OPTION = re.compile(rf"(?i)\b({'|'.join(_SECRET_OPTIONS)})=[^&\s]*")
_HOST = re.compile(r"localhost|[^:@]*\.[^:@]*|\[[0-9a-fA-F:]+\]")

_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def remember_secret(text: str) -> None:
    """Have a secret hidden from now on, in this process: a password, a key, or addresses that hold such.

    Of MongoDB's address the password is a secret, of other addresses user, password and what looks like a token; of
    anything else the whole. Each is known as it is and as addresses, JSON and `repr` write it.
    """
    addresses = [part for part in re.split(r"[\s,]+", text) if "://" in part]
    found = {secret for address in addresses for secret in _of_address(address)} if addresses else {text}
    spelt = {form for secret in found for form in _spellings(secret) if len(form) >= _LEAST_LETTERS}
    if not spelt <= _known:
        global _pattern
        _known.update(spelt)
        _pattern = re.compile("|".join(re.escape(one) for one in sorted(_known, key=len, reverse=True)))


def remember_sign_in(user: str, password: str) -> None:
    """Have a password hidden, also as part of HTTP's basic sign-in, whose header holds both in Base64."""
    remember_secret(password)
    remember_secret(b64encode(f"{user}:{password}".encode()).decode())


def without_secrets(text: str) -> str:
    """Return `text` with every secret that is known, and what is one in MongoDB's addresses, replaced by ***."""
    text = redact_uri(text)
    return text if _pattern is None else _pattern.sub(HIDDEN, text)


def redact_uri(text: str) -> str:
    """Return `text` with the user, the password and other secrets of every MongoDB URI in it replaced by ***.

    It takes too much rather than too little: all up to the last @ before a space, as a password that was not escaped
    may hold any sign; and where the text begins as a URI, all up to the last @ in it.
    """
    text = _WHOLE_OR_PART.sub(lambda match: f"{match[1] or match[2]}{HIDDEN}@", text)
    return _OPTION.sub(rf"\1={HIDDEN}", text)


class SecretFilter(logging.Filter):
    """Takes secrets out of log records, of whatever library, before a handler writes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record's message and trace; every record passes."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a handler's filter runs in the caller, who logs and goes on
            message = f"A log message does not fit its arguments ({type(error).__name__}): {record.msg!r}"
        record.msg, record.args = without_secrets(message), None
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if (clean := without_secrets(trace)) != trace:
                record.exc_info, record.exc_text = None, clean
        return True


def hide_in_logs() -> None:
    """Let every handler of the root logger pass on no secret; doing it again changes nothing."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(one, SecretFilter) for one in handler.filters):
            handler.addFilter(SecretFilter())


def _of_address(address: str) -> Iterator[str]:
    if address.startswith("mongodb"):
        sign_in = address.partition("://")[2].rpartition("@")[0]
        yield sign_in.partition(":")[2]
        yield from (match.partition("=")[2] for match in _options(address))
        return
    yield address
    try:
        parts = urlsplit(address)
    except ValueError:  # a broken address is hidden as a whole; who uses it says what is wrong with it
        return
    sign_in, _, host = parts.netloc.rpartition("@")
    yield from sign_in.split(":")
    if not _HOST.fullmatch(host.rpartition(":")[0] or host):
        yield from (host, *host.split(":"))  # services without a host have a token in its place
    words = re.split(r"[/?&=#:]", f"{parts.path}/{parts.query}/{parts.fragment}")
    # Tokens hold digits; words such as "notifications" stay words.
    yield from (word for word in words if any(letter.isdigit() for letter in word))


def _options(address: str) -> list[str]:
    return [match[0] for match in _OPTION.finditer(address)]


def _spellings(secret: str) -> set[str]:
    plain = {secret, unquote_plus(secret)}
    written = {form for one in plain for form in (quote(one, safe=""), quote_plus(one))}
    return plain | written | {form for one in plain for form in (json.dumps(one)[1:-1], repr(one)[1:-1])}
