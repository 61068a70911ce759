"""Tables that go into a pipe are as wide as COLUMNS says, and figures are written as people read them."""

import os
import subprocess
import sys

import pytest

from quantflow_nodes.commands.console import figure

WIDTH = "from quantflow_nodes.commands.console import out; print(out.width)"


@pytest.mark.parametrize(("columns", "width"), [("100", "100"), ("", "160"), ("wide", "160")])
def test_a_piped_table_is_as_wide_as_columns_says(columns: str, width: str) -> None:
    """Without a number there it is 160 wide."""
    env = {**os.environ, "COLUMNS": columns}
    ended = subprocess.run([sys.executable, "-c", WIDTH], env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == width


def test_a_share_is_in_percent() -> None:
    """A ratio is not."""
    assert (figure("buy_and_hold_return", 0.125), figure("sharpe", 0.125)) == ("12.50 %", "0.125")
