"""quantflow audit: what was in force at a time, and who wrote it from which graph, version and data."""

from datetime import datetime
from typing import Annotated

import typer

from quantflow_nodes.audit_records import Record, find_series, read_record
from quantflow_nodes.audit_text import graph_yaml, overview_table, record_object, record_table
from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json
from schemas.collections import Store
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.mongo import connect, server_time
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_rule import SignalWindow
from schemas.timeframes import Timeframe, parse_time

app = typer.Typer(add_completion=False)
_TOLERANCE = ExternalSignalSettings.model_fields["tolerance_bars"].default
_MAX_DELAY = ExternalSignalSettings.model_fields["max_delay_bars"].default


@app.command()
def audit(
    strategy_id: Annotated[str, typer.Option("--strategy-id", "--strategy", help="Whose signals.")],
    at: Annotated[str | None, typer.Option("--at", help="The time, ISO, UTC. Unset: now.", show_default=False)] = None,
    pair: Annotated[str | None, typer.Option(help="Only this pair, such as BTC/USDT.")] = None,
    tf: Annotated[str | None, typer.Option("--tf", help="Only signals of bars of this length.")] = None,
    tolerance_bars: Annotated[
        int, typer.Option(min=0, max=100, help="The bots' EXT_SIG_TOLERANCE_BARS then.")
    ] = _TOLERANCE,
    max_delay_bars: Annotated[float, typer.Option(min=0, help="The bots' EXT_SIG_MAX_DELAY_BARS then.")] = _MAX_DELAY,
    graph: Annotated[
        bool, typer.Option("--graph", help="Print the graph that wrote the signal as YAML, to run it again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a strategy's signals said at a time, who wrote them from which graph, version and data, what followed.

    For each pair it is the signal that the bots' rule chose then, in the content that it had then; where none was in
    force, the newest that had been written, and why it was not.

    Examples:

      quantflow audit --strategy-id btc_momentum --at 2022-01-15T12:03:10Z

      quantflow audit --strategy-id btc_momentum --at 2022-01-15T12:03 --pair BTC/USDT --graph > again.yaml
    """
    settings = Settings.load()
    configure_logging(settings)
    with connect(settings) as db:
        time = _time(db, at)
        series = find_series(db, strategy_id, pair, None if tf is None else Timeframe.parse(tf).name)
        if not series:
            of = "".join(f" of {part}" for part in (pair, tf) if part)
            raise InputError(f"There never was a signal{of} under the strategy_id {strategy_id}.")
        records = [
            read_record(db, strategy_id, name, timeframe, time, _window(timeframe, tolerance_bars, max_delay_bars))
            for name, timeframe in ((name, Timeframe.parse(length)) for name, length in series)
        ]
    if graph:
        typer.echo(_only_graph(records), nl=False)
    elif as_json:
        print_json({"strategy_id": strategy_id, "at": time, "pairs": [record_object(one) for one in records]})
    else:
        _print(strategy_id, time, records)


def _time(db: Store, at: str | None) -> datetime:
    now = server_time(db)
    if at is None:
        return now
    time = parse_time(at, "--at")
    if time > now:
        raise InputError(f"--at must not lie in the future: it is {now.isoformat()}, found {time.isoformat()}.")
    return time


def _window(timeframe: Timeframe, tolerance_bars: int, max_delay_bars: float) -> SignalWindow:
    bar_ms = timeframe.seconds * 1000
    return SignalWindow(bar_ms, tolerance_bars, round(max_delay_bars * bar_ms))


def _only_graph(records: list[Record]) -> str:
    written = [one.standing.version.content["run_id"] for one in records if one.standing.version is not None]
    graphs = {run["graph_digest"]: run for one in records for name, run in one.runs.items() if name in written}
    if len(graphs) != 1:
        found = ", ".join(sorted(run["name"] for run in graphs.values())) or "none"
        raise InputError(f"One graph was needed, found {found}. Name one signal with --pair, --tf and --at.")
    return graph_yaml(next(iter(graphs.values())))


def _print(strategy_id: str, time: datetime, records: list[Record]) -> None:
    out.print(f"Signals of {strategy_id} at {time:%Y-%m-%d %H:%M:%S.%f} UTC\n", soft_wrap=True)
    if len(records) > 1:
        out.print(overview_table(records))
        out.print()
    for record in records:
        out.print(record_table(record))
        out.print()
