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
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BENCHES = ("read", "import", "export", "signals", "backtest", "sweep", "factors", "graph")
COLUMNS = ("job", "ours", "peer", "theirs", "ratio", "promised", "limit")

Row = dict[str, Any]


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
    rows: list[Row] = json.loads(done.stdout.strip().splitlines()[-1])["rows"]
    return rows


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as it is shown."""
    target = row["target"]
    mark = "" if target is None or row["ratio"] >= target else " !"
    promised = "–" if target is None else f"≥ {target:g}"
    ours, theirs = (f"{figure(row[side])} {row['unit']}" for side in ("ours", "theirs"))
    return row["job"], ours, row["peer"], theirs, f"{row['ratio']:,.3g}{mark}", promised, row["limit"]


def figure(value: float) -> str:
    """Return a number as a person reads it: three digits, and thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: list[Row]) -> str:
    """Return the table as a page holds it."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join(lines + [f"| {' | '.join(cells(row))} |" for row in rows])


def shown(rows: list[Row]) -> Table:
    """Return the table as a terminal holds it."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("ours", "theirs", "ratio", "promised") else "left")
    for row in rows:
        table.add_row(*cells(row))
    return table


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
        print(json.dumps({"rows": rows}))
    elif options.markdown:
        print(markdown(rows))
    else:
        Console(width=None if sys.stdout.isatty() else 200).print(shown(rows))
        if any(row["target"] is not None and row["ratio"] < row["target"] for row in rows):
            print("! below what is promised in this run.")
    if not all(found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
