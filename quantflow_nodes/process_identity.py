"""Names a process so that another one can tell, later, whether it still runs."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil


def own_identity() -> dict[str, Any]:
    """Return host and pid of this process; containers of one host name have hosts of their own here."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:  # not Linux: no containers that share a host name and not its processes
        return {"host": socket.gethostname(), "pid": os.getpid()}
    return {"host": f"{socket.gethostname()}/{boot}/{space}", "pid": os.getpid()}


def own_user() -> str:
    """Return whose process this is; the number where it has no name, as in many containers."""
    return psutil.Process().username()


def has_died(identity: Mapping[str, Any]) -> bool:
    """Tell whether a process of this host has ended; of another host nothing is known, so it counts as running."""
    return bool(identity["host"] == own_identity()["host"]) and not psutil.pid_exists(identity["pid"])
