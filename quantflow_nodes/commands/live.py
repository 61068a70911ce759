"""quantflow live: keeps a graph's signals up to date, bar by bar."""

from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from quantflow_nodes.commands.arguments import Changes, GraphPath
from quantflow_nodes.commands.console import out
from quantflow_nodes.graph import load_graph
from quantflow_nodes.live.live_events import LiveEvent
from quantflow_nodes.live.live_export import Exported
from quantflow_nodes.live.live_plan import LivePlan, plan_live, without_ends
from quantflow_nodes.live.run_live import OpenSession, open_session
from quantflow_nodes.plan import plan_graph
from schemas.console import configure_logging, ended_by_signals
from schemas.documents import Signal
from schemas.settings import Settings
from schemas.timeframes import parse_time

app = typer.Typer(add_completion=False)
_LOUD = {"trouble", "silent", "missing"}
_SHOWN_SIGNALS = 3
_HISTORY_S = 86_400  # how late an export of old bars was says nothing


@app.command()
def live(
    graph: GraphPath,
    change: Changes = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Export the bars that open from here on, whatever was exported."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End when the bars that closed until then are exported.")
    ] = None,
    bars: Annotated[
        int | None, typer.Option("--for", metavar="BARS", min=1, help="End this many bars after having caught up.")
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, help="How long after a close missing bars are waited for; a quarter of a bar."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of text.")] = False,
) -> None:
    """Run a graph at each bar's close and export its signals, until Ctrl-C; the same signals as one run over history.

    It first makes up for the time since the last session; the end of read_bars is left out of account.

    Examples:

      quantflow live examples/btc_momentum_1m.yaml

      quantflow live G.yaml --from 2022-01-15 --until 2022-01-16T12:00 --json
    """
    settings = Settings.load()
    configure_logging(settings)
    plan = plan_live(plan_graph(without_ends(load_graph(graph, change))))
    printer = _print_json if as_json else _print_text
    options: dict[str, Any] = {
        "since": None if since is None else parse_time(since, "--from"),
        "until": None if until is None else parse_time(until, "--until"),
        "bars": bars,
        "patience_s": patience,
    }
    with open_session(plan, settings, printer, **options) as opened, ended_by_signals(opened.session.stop):
        printer(_started(plan, opened))
        opened.run()
    printer(LiveEvent("ended", f"Run {opened.run_id} of {plan.plan.graph.name} has ended.", {"run_id": opened.run_id}))


def _started(plan: LivePlan, opened: OpenSession) -> LiveEvent:
    sources = [f"{', '.join(source.symbols)} {source.timeframe}" for source in plan.sources.values()]
    idle = f" Not run, as they lead to no export: {', '.join(plan.idle)}." if plan.idle else ""
    sentence = (
        f"Run {opened.run_id} of {plan.plan.graph.name} exports {', '.join(plan.strategies)} from "
        f"{'; '.join(sources)}, {opened.resume.why}. Missing bars are waited for {opened.patience_s:g} s.{idle}"
    )
    facts = {
        "run_id": opened.run_id,
        "name": plan.plan.graph.name,
        "strategies": plan.strategies,
        "through": opened.resume.through.isoformat(),
        "patience_s": opened.patience_s,
        "lookback_bars": plan.lookbacks,
        "idle": plan.idle,
    }
    return LiveEvent("started", sentence, facts)


def _print_json(told: LiveEvent | Exported) -> None:
    if isinstance(told, LiveEvent):
        shown = {"event": told.kind, "sentence": told.sentence, **told.facts}
    else:
        shown = {"event": "exported", **_facts(told)}
    typer.echo(orjson.dumps(shown, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def _facts(exported: Exported) -> dict[str, Any]:
    counts = exported.counts
    return {
        "strategy_id": exported.strategy_id,
        "timeframe": exported.timeframe.name,
        "first_ts": exported.first_ts.isoformat(),
        "last_ts": exported.last_ts.isoformat(),
        "close": exported.close.isoformat(),
        "inserted": counts.inserted,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
        "retracted": counts.retracted,
        "missing_bars": exported.arrival.missing_bars,
        "seen_s": round(exported.seen_s, 3),
        "exported_s": None if counts.delay_s is None else round(counts.delay_s, 3),
        "seconds": round(exported.seconds, 4),
        "catching_up": exported.catching_up,
        "late": exported.is_late,
        "signals": [{"pair": one.pair, "ts": one.ts.isoformat(), **_opinion(one)} for one in exported.of_the_last_bar],
    }


def _print_text(told: LiveEvent | Exported) -> None:
    if isinstance(told, LiveEvent):
        style = "yellow" if told.kind in _LOUD else "dim"
        out.print(f"[{style}]{escape(told.sentence)}[/{style}]", soft_wrap=True)
        return
    out.print(_line(told), soft_wrap=True)


def _line(exported: Exported) -> str:
    """One line a bar: its close, what became of the signals, and the seconds after the close."""
    counts = exported.counts
    done = [
        f"{number:,} {word}"
        for word in ("inserted", "changed", "unchanged", "retracted")
        if (number := getattr(counts, word))
    ]
    stretch = f"{exported.close:%Y-%m-%d %H:%M}"
    if exported.bars > 1:
        stretch = f"{exported.first_ts + exported.timeframe.delta:%Y-%m-%d %H:%M} to {stretch}"
    told = not exported.catching_up and counts.delay_s is not None and counts.delay_s < _HISTORY_S
    times = f"  bar after {exported.seen_s:.3f} s, export after {counts.delay_s:.3f} s" if told else ""
    late = "  [yellow]late: more than half a bar after the close[/yellow]" if times and exported.is_late else ""
    signals = [f"{one.pair} {_worded(one)}" for one in exported.of_the_last_bar]
    more = f" and {len(signals) - _SHOWN_SIGNALS} more" if len(signals) > _SHOWN_SIGNALS else ""
    shown = f": {', '.join(signals[:_SHOWN_SIGNALS])}{more}" if signals else ""
    said = f"{exported.strategy_id}  {', '.join(done) or 'no change'}{shown}"
    return f"{stretch}  {escape(said)}{times}{late}"


def _opinion(one: Signal) -> dict[str, Any]:
    return {name: value for name in ("action", "weight", "score") if (value := getattr(one, name)) is not None}


def _worded(one: Signal) -> str:
    ((name, value),) = _opinion(one).items()
    return str(value) if name == "action" else f"{name} {value:g}"
