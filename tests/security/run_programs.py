"""Runs command lines of ours one after another, each in a process forked from this one, which has imported them all.

Imports, and taking them down again, are most of a command's time. Jobs come as JSON on standard input; exit codes leave
as JSON on standard output.
"""

import atexit
import gc
import importlib
import json
import logging
import os
import sys
from typing import Any

from importers import cli as importing
from monitoring import cli as monitoring
from paper_exchange import cli as venue
from quantflow_nodes import cli as quantflow

MAINS = {
    "import-ohlcv": importing.main,
    "quantflow": quantflow.main,
    "signal-monitor": monitoring.main,
    "paper-exchange": venue.main,
}
PREPARED = (("quantflow_nodes.commands", quantflow.COMMANDS), ("monitoring.commands", monitoring.COMMANDS))
HEAVY = ("ccxt", "apprise", "plotly.graph_objects", "quantflow_nodes.live.run_live", "uvicorn", "fastapi")


def become(job: dict[str, Any]) -> None:
    """In a new process, stand as the shell would have started the command."""
    for name, descriptor, flags in (("in", 0, os.O_RDONLY), ("out", 1, os.O_WRONLY), ("err", 2, os.O_WRONLY)):
        os.dup2(os.open(job[name], flags), descriptor)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.argv = [job["program"], *job["arguments"]]


def run(job: dict[str, Any]) -> int:
    """Run a command to its end as the interpreter does, and return its code."""
    become(job)
    try:
        MAINS[job["program"]]()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - what comes here a user would see as a traceback
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> None:
    """Import all, then run the jobs."""
    for package, modules in PREPARED:
        for module in modules.values():
            importlib.import_module(f"{package}.{module}")
    for module in HEAVY:
        importlib.import_module(module)
    codes = []
    gc.freeze()
    for job in json.load(sys.stdin):
        pid = os.fork()
        if pid == 0:
            os._exit(run(job))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.stdout.write(json.dumps(codes))


if __name__ == "__main__":
    main()
