"""Live trades of the real chain beside research's backtest of the same signals, on the bars that the venue told."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from live_chain import CONSUMER, KEY, MINUTE, LiveChain, live_chain

from schemas.collections import SIGNALS, Store
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]


def run(program: str, env: dict[str, str], folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", f"from {program}.cli import main; main()", *arguments]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def export_late(chain: LiveChain, action: str, ts: datetime, bars: float) -> None:
    """Write a signal so many bars after its bar's close, as a research side that was away does."""
    chain.wait(lambda: chain.clock.now() > ts + (1 + bars) * MINUTE.delta)
    now = chain.clock.now()
    late = {"symbol": "BINANCE:BTCUSDT", "ts": ts, "action": action, "version": 1, "run_id": "test"}
    chain.db[SIGNALS].insert_one(KEY | late | {"created_at": now, "updated_at": now})


def test_a_round_trip_is_split_and_a_late_signal_is_a_skipped_trade(
    db: Store, settings: Settings, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Bought in time, sold most of a bar late; then an entry comes four bars late, which the bot lets pass."""
    with live_chain(db, settings, tmp_path) as chain:
        entry = chain.signal("enter_long")
        leave = entry + MINUTE.delta
        export_late(chain, "exit_long", leave, bars=0.7)
        assert [chain.settled(ts)[0] for ts in (entry, leave)] == ["entered", "exited"]
        late = leave + MINUTE.delta
        export_late(chain, "enter_long", late, bars=4)
        assert chain.settled(late) == ("skipped", "expired")
        end = MINUTE.floor(chain.clock.now())
        source = ["--symbol", "BINANCE:BTCUSDT", "--exchange-url", chain.venue.url, "--since", "2022-01-20T00:00"]
        run("importers", command_env, tmp_path, "--tf", "1m", *source, "--until", end.isoformat())
        fills = chain.fills(entry) + chain.fills(leave)
    span = ["--from", entry.isoformat(), "--to", end.isoformat()]
    own = ["--strategy", "chain", "--consumer", CONSUMER, "--fee", "0.001", "--json"]
    told: dict[str, Any] = json.loads(run("monitoring", command_env, tmp_path, "compare", *own, *span))

    both, skipped = told["trades"]
    assert (both["reason"], skipped["live"], skipped["reason"]) == (None, None, "expired")
    live, backtest, parts = both["live"], both["backtest"], both["parts"]
    assert (live["open_quoted"], live["close_quoted"]) == tuple(f"{fill['quoted']}" for fill in fills)
    assert live["fees"] == "paid"
    quoted = [float(live["open_quoted"]), float(live["close_quoted"])]
    rates = [backtest["open_rate"], backtest["close_rate"]]
    assert parts["delay"] == pytest.approx(quoted[1] / quoted[0] * 0.999 / 1.001 - rates[1] / rates[0] * 0.999 / 1.001)
    assert abs(quoted[1] / rates[1] - 1) > 1e-6  # the market went on in the meantime, and that is the delay
    assert parts["other_exit"] == 0.0
    assert abs(sum(parts.values()) - both["difference"]) < 1e-12
    assert abs(sum(told["totals"]["parts"].values()) - told["totals"]["difference"]) < 1e-12
    position = db["crypto_positions"].find_one({"ts": entry})
    assert position is not None
    assert live["profit_ratio"] == pytest.approx(position["profit_ratio"], abs=5e-6)  # Freqtrade rounds its fee rates

    run("monitoring", command_env, tmp_path, "report", "--strategy", "chain", *span, "-o", "page.html")
    assert "chain · 1m" in (tmp_path / "page.html").read_text()
