"""A stretch that was traded is traded again: the same signals lead to the same fills, near the same prices."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from live_chain import MINUTE, LiveChain, live_chain

from schemas.collections import Store
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]


def quantflow(program: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from {program}.cli import main; main()", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


def import_bars(chain: LiveChain, env: dict[str, str]) -> None:
    """Import what the venue has told until now."""
    source = ["--symbol", "BINANCE:BTCUSDT", "--exchange-url", chain.venue.url, "--since", "2022-01-20T00:00"]
    done = quantflow("importers", env, "--tf", "1m", *source, "--until", chain.clock.now().isoformat())
    assert done.returncode == 0, done.stderr


def test_a_replay_fills_what_was_filled_then(
    db: Store, settings: Settings, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Bought and sold twice at replay speed; then once more from the store, through another venue and another bot."""
    with live_chain(db, settings, tmp_path) as chain:
        signals = [chain.signal(action) for action in ("enter_long", "exit_long", "enter_long", "exit_long")]
        assert [chain.settled(ts)[0] for ts in signals] == ["entered", "exited"] * 2
        after = signals[-1] + 4 * MINUTE.delta
        chain.wait(lambda: chain.clock.now() > after + MINUTE.delta)
        import_bars(chain, command_env)
    span = ["--from", signals[0].isoformat(), "--to", (signals[-1] + timedelta(minutes=1)).isoformat()]
    own = ["--strategy", "chain", "--consumer", "chain-bot", "--keep", str(tmp_path / "replay"), "--json"]
    replayed = quantflow("quantflow_nodes", command_env, "replay", *own, *span)
    assert replayed.returncode == 0, replayed.stderr + replayed.stdout
    told = json.loads(replayed.stdout)
    assert told["agrees"]
    assert [fill["side"] for fill in told["fills"]] == ["buy", "sell", "buy", "sell"]
    assert all(abs(fill["difference_bps"]) < 20 for fill in told["fills"])
