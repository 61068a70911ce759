"""Reads files whole, packed or not, and says in a sentence where one is missing, torn or empty."""

import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path

from schemas.errors import InputError

_GZIP_MARK = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """Return a file's content, unpacked where it is a gzip file.

    Raises
    ------
    InputError
        Where it can not be read, is empty, or is a gzip file that was cut off or damaged.
    """
    data = _read(path)
    if data.startswith(_GZIP_MARK):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path} is torn: its packed content is not whole ({error}). Nothing of it was imported; "
                "fetch it again."
            ) from None
    if not data.strip():
        raise InputError(f"{path} is empty: a header and rows of bars were needed.")
    return data


def read_zipped_csv(path: Path) -> bytes:
    """Return the one CSV inside a zip file, checked against the vendor's checksum where that file lies beside it.

    Raises
    ------
    InputError
        Where the zip can not be read, is torn, differs from its checksum, or holds no CSV or several.
    """
    data = _read(path)
    _check_sum(path, data)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if len(names) != 1:
                raise InputError(f"{path} must hold one CSV file, found {len(names)}.")
            return archive.read(names[0])  # the zip's own checksum of the content is verified here
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path} is torn: {error}. Nothing of it was imported; fetch it again.") from None


def _check_sum(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".CHECKSUM")
    if not beside.is_file():
        return
    wanted = beside.read_text(errors="replace").split()[:1]
    found = hashlib.sha256(data).hexdigest()
    if wanted != [found]:
        raise InputError(
            f"{path} differs from {beside.name}: SHA-256 {found} was found, {' '.join(wanted) or 'none'} was needed. "
            "Nothing of it was imported; fetch it again."
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no file {path}. Check --path.") from None
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}.") from None
