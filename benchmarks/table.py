"""Runs every benchmark that has a peer, one after the other, and prints one table: ours, theirs, the ratio, the limit.

    python benchmarks/table.py [--only read,backtest] [--markdown] [--json]

Each benchmark runs in a process of its own, so that none finds the memory or the caches of another. A row is marked
where its ratio is below what is promised. Nothing fails when a machine is slow.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rows import Row, markdown, print_table, show

HERE = Path(__file__).parent
BENCHES = ("read", "import", "export", "signals", "backtest", "sweep", "factors", "graph")


def run_bench(name: str, console: Console) -> list[Row]:
    """Return the rows of one benchmark; one that fails is said, and gives none."""
    began = time.monotonic()
    console.print(f"bench_{name} …", end=" ")
    done = subprocess.run(
        [sys.executable, str(HERE / f"bench_{name}.py"), "--json"], capture_output=True, text=True, check=False
    )
    console.print(f"{time.monotonic() - began:.0f} s")
    if done.returncode != 0:
        console.print(done.stderr[-2_000:] or done.stdout[-2_000:], markup=False)
        return []
    return rows_of(name, done.stdout)


def rows_of(name: str, printed: str) -> list[Row]:
    """Return the rows that a benchmark printed; beside those of others, each job says whose it is."""
    rows = json.loads(printed.strip().splitlines()[-1])["rows"]
    return [Row(**row | {"job": f"{name}: {row['job']}"}) for row in rows]


def main() -> None:
    """Run the benchmarks and print what they found; exit code 1 where one of them did not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(BENCHES), help=f"some of {', '.join(BENCHES)}")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"--only takes some of {', '.join(BENCHES)}, found {', '.join(unknown)}.")
    progress = Console(stderr=True)
    found = {name: run_bench(name, progress) for name in names}
    rows = [row for name in names for row in found[name]]
    if options.json:
        show(rows, {}, as_json=True)
    elif options.markdown:
        print(markdown(rows))
    else:
        print_table(rows)
    if not all(found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
