"""A monitor that only watches never loads the backtest: decision 0008."""

import subprocess
import sys

_IMPORT_ALL = """
import importlib, pkgutil, sys
import monitoring.cli, monitoring.commands, monitoring.look
for module in pkgutil.iter_modules(monitoring.commands.__path__):
    importlib.import_module(f"monitoring.commands.{module.name}")
print(sorted({name.partition(".")[0] for name in sys.modules} & {"pandas", "plotly", "research", "scipy"}))
"""


def test_no_command_loads_research_before_it_is_asked_to() -> None:
    """All commands together, imported: no pandas, no plotly, none of research."""
    ended = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "[]\n", ended.stderr
