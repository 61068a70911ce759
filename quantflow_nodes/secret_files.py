"""Writes secrets into files that only their owner can read, as settings are read from: QUANTFLOW_SECRETS_DIR."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import InputError


@contextmanager
def replaced_secret(path: Path, secret: str) -> Iterator[None]:
    """Have a secret on the disk before a `with` block begins, and in its place when the block has ended well.

    So nothing is told a new password that could not be written down, and none is forgotten that is still in use.

    Raises
    ------
    InputError
        Where the folder can not be made or written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"The folder {path.parent} can not hold a secret: {error.strerror}.") from None
    try:
        yield
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
