"""A program inside a replay takes the replay's time for the machine's, at its speed, and never sees it turn back."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.clock import Clock

SHOWN = datetime(2022, 1, 15, 12, tzinfo=UTC)
PROBE = """
import json, time
from datetime import UTC, datetime
import pandas as pd

patience, first = time.monotonic(), time.time()
time.sleep(10)
patience = time.monotonic() - patience
times = [time.time() for _ in range(100_000)]
print(json.dumps({
    "first": first, "patience": patience, "slept": times[0] - first, "rises": times == sorted(times),
    "datetime": datetime.now(UTC).timestamp() - times[-1], "pandas": pd.Timestamp.now("UTC").timestamp() - times[-1],
}))
"""


def test_a_program_lives_in_the_time_of_its_replay(tmp_path: Path) -> None:
    """Ten seconds of the replay are slept in half a second, and time.time, datetime and pandas tell the same time."""
    (tmp_path / "probe.py").write_text(PROBE)
    clock = Clock(SHOWN, datetime.now(UTC), 20.0)
    done = subprocess.run(
        [sys.executable, "-m", "quantflow_nodes.replay_time", "probe"],
        env=os.environ | {"QUANTFLOW_REPLAY_CLOCK": str(clock), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen = json.loads(done.stdout)
    assert timedelta(0) < datetime.fromtimestamp(seen["first"], UTC) - SHOWN < timedelta(seconds=20 * 60)
    assert 0.5 <= seen["patience"] < 10
    assert seen["slept"] > 9
    assert seen["rises"]
    assert abs(seen["datetime"]) < 20
    assert abs(seen["pandas"]) < 20
