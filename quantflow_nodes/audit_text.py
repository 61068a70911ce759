"""Shows an audit: a table for people that fits 80 columns, plain values for machines, a graph that can be run again."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml
from bson.decimal128 import Decimal128
from rich.markup import escape
from rich.table import Table

from quantflow_nodes.audit import MEANINGS, Standing
from quantflow_nodes.audit_records import Record
from quantflow_nodes.known_signals import SignalVersion
from schemas.timeframes import Timeframe

_SHOWN_LETTERS = 12
Lines = Iterator[tuple[str, str]]


def overview_table(records: Sequence[Record]) -> Table:
    """Return one row for each pair: what stood, since when, by which run."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("pair", "state", "signal", "of bar (UTC)", "v", "run"):
        table.add_column(title, overflow="fold")
    for record in records:
        standing = record.standing
        content = {} if standing.version is None else standing.version.content
        table.add_row(
            f"{standing.pair} {standing.timeframe}",
            standing.state,
            "–" if standing.version is None else escape(opinion(standing.version)),
            f"{content['ts']:%Y-%m-%d %H:%M}" if content else "–",
            str(content.get("version", "–")),
            escape(str(content.get("run_id", "–"))[:_SHOWN_LETTERS]),
        )
    return table


def record_table(record: Record) -> Table:
    """Return all that is known of one pair: two columns, what and the facts."""
    title = f"{record.standing.pair} {record.standing.timeframe}: {record.standing.state}"
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2, 0, 0)
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(record):
        table.add_row(name, escape(text))
    return table


def opinion(version: SignalVersion) -> str:
    """Return what a signal says: its action, score or weight."""
    content = version.content
    if "action" in content:
        return str(content["action"])
    name = "score" if "score" in content else "weight"
    return f"{name} {content.get(name)}"


def record_object(record: Record) -> dict[str, Any]:
    """Return an audit as plain JSON values."""
    standing = record.standing
    return {
        "pair": standing.pair,
        "timeframe": standing.timeframe,
        "state": standing.state,
        "version": None if standing.version is None else _version_object(standing.version),
        "earlier": [_version_object(one) for one in standing.earlier],
        "later": [_version_object(one) for one in standing.later],
        "export": _plain(record.export),
        "runs": _plain(record.runs),
        "receipts": _plain(record.receipts),
        "fills": _plain(record.fills),
        "positions": _plain(record.positions),
    }


def graph_yaml(run: Mapping[str, Any]) -> str:
    """Return a run's graph as YAML that `quantflow run` takes."""
    graph = {name: value for name, value in run["graph"].items() if value not in ("", None)}
    nodes = {name: {key: part for key, part in node.items() if part} for name, node in graph["nodes"].items()}
    return yaml.safe_dump({**graph, "nodes": nodes}, sort_keys=False, allow_unicode=True, width=120)


def _lines(record: Record) -> Lines:
    standing, version = record.standing, record.standing.version
    if version is None:
        yield "signal", MEANINGS["none"]
        return
    yield from _signal_lines(standing, version)
    yield from _run_lines(record, version)
    for one in standing.earlier:
        yield "before", _earlier_text(one)
    yield "after", _ending(version, standing)
    yield from _bot_lines(record, version)


def _signal_lines(standing: Standing, version: SignalVersion) -> Lines:
    content = version.content
    available = content["ts"] + Timeframe.parse(standing.timeframe).delta
    yield "signal", f"{opinion(version)}, version {content['version']}; {MEANINGS[standing.state]}"
    yield "bar", f"opened {_minute(content['ts'])}, closed {_minute(available)}"
    if "valid_until" in content:
        yield "valid until", _time(content["valid_until"])
    for name in ("note", "source"):
        if name in content:
            yield name, str(content[name])
    late = (version.known_from - available).total_seconds()
    yield "written", f"{_time(version.known_from)}, {late:,.3f} s after the bar's close"


def _run_lines(record: Record, version: SignalVersion) -> Lines:
    run_id = version.content["run_id"]
    yield "by run", run_id
    run = record.runs.get(run_id)
    if run is None:
        yield "", "workflow_runs does not hold it: no graph of ours wrote this, or it was deleted"
    else:
        mongo = run.get("mongo_user", "nobody: the server asked for no password")
        kind = "live session" if "live" in run else "run"
        yield "process", f"pid {run['pid']} on {run['host']}, user {run.get('user', 'unknown')}"
        yield "MongoDB user", mongo if "user" in run else "unknown"
        yield "graph", f"{run['name']}, {kind} of {_time(run['started_at'])}, {run['state']}"
        yield "graph digest", run["graph_digest"]
        yield "versions", ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        if "data_first" in run:
            bars = f", {run['data_bars']:,} bars" if "data_bars" in run else ""
            yield "data", f"bars of {_minute(run['data_first'])} to {_minute(run['data_last'])}{bars}"
    if record.export is not None:
        yield "export", _export_text(record.export)


def _export_text(export: Mapping[str, Any]) -> str:
    done = [f"{export[name]} {name}" for name in ("inserted", "changed", "retracted", "unchanged", "refused")]
    stretch = f", bars {_minute(export['first_ts'])} to {_minute(export['last_ts'])}" if "first_ts" in export else ""
    return f"{_time(export['exported_at'])}{stretch}: {', '.join(done)}"


def _earlier_text(version: SignalVersion) -> str:
    content = version.content
    until = "" if version.known_until is None else f" to {_time(version.known_until)}"
    return f"version {content['version']}: {opinion(version)}, {_time(version.known_from)}{until}, {_ended(version)}"


def _ended(version: SignalVersion) -> str:
    how = "retracted" if version.retracted else "replaced"
    return f"{how} by run {version.ended_by}"


def _ending(version: SignalVersion, standing: Standing) -> str:
    if version.known_until is None:
        return "it still stands"
    ended = f"{_time(version.known_until)} {_ended(version)}"
    if not standing.later:
        return ended
    following = standing.later[0]
    since = f"from {_time(following.known_from)} on"
    return f"{ended}; then version {following.content['version']}: {opinion(following)}, {since}"


def _bot_lines(record: Record, version: SignalVersion) -> Lines:
    if not record.receipts and not record.fills:
        yield "bots", "no bot has a receipt of this signal"
    for receipt in record.receipts:
        of = "" if receipt["version"] == version.content["version"] else f" (of version {receipt['version']})"
        reason = f", {receipt['reason']}" if "reason" in receipt else ""
        yield receipt["consumer"], f"{receipt['decision']}{reason}{of}, seen {_time(receipt['seen_at'])}"
    for fill in record.fills:
        order = f"order {fill['order_id']}: {fill['side']} {fill['amount']} at {fill['price']}"
        yield fill["consumer"], f"{order}, filled {_time(fill['filled_at'])}"
    for position in record.positions:
        profit = f", profit {position['profit_quote']}" if "profit_quote" in position else ""
        yield position["consumer"], f"position {position['state']}: {position['side']} {position['amount']}{profit}"


def _version_object(version: SignalVersion) -> dict[str, Any]:
    return {
        "content": _plain(version.content),
        "known_from": version.known_from,
        "known_until": version.known_until,
        "ended_by": version.ended_by,
        "retracted": version.retracted,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Decimal128) else value


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
