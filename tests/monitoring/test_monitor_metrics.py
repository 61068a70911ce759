"""What a scrape reads is what looks found: each fact once, in base units, and nothing of what is no longer watched."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import watched_looks
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from sample_look import MINUTE, NOON, PROBLEM, WATCHED, bot, chain, export, look, research, strategy
from sample_scrape import Scraped, full_metrics, scrape

from monitoring.facts import BotHealth, Look, StoreHealth, VenueHealth
from monitoring.metrics.endpoint import serve_metrics
from monitoring.metrics.monitor_metrics import MonitorMetrics
from monitoring.metrics.signal_counts import MAX_PAIRS
from monitoring.problem import Problem

OWNER = {"strategy_id": "btc_momentum", "timeframe": "1m", "consumer": "bot"}
STAGE = OWNER | {"pair": "BTC/USDT"}


def shown(*looks: Look, problems: Sequence[Problem] = ()) -> Scraped:
    metrics = MonitorMetrics()
    for one in looks:
        metrics.show(one, problems, seconds=0.02)
    return scrape(metrics)


@pytest.fixture(scope="module")
def full() -> Scraped:
    """Everything known: one look to begin with, and one at which a signal went all the way."""
    return scrape(full_metrics())


def test_health_is_told_in_base_units(full: Scraped) -> None:
    """Milliseconds become seconds, Decimals floats, a share a ratio; ages count from the look's time."""
    assert full.value("quantflow_mongodb_up") == 1
    assert full.value("quantflow_mongodb_ping_seconds") == 0.0008
    series = {"symbol": "BINANCE:BTCUSDT", "timeframe": "1m"}
    assert full.value("quantflow_bars_age_seconds", **series) == 60
    assert full.value("quantflow_bars_open_gaps", **series) == 2
    assert full.value("quantflow_bars_missing", **series) == 4
    strategy_only = {"strategy_id": "btc_momentum", "timeframe": "1m"}
    assert full.value("quantflow_export_age_seconds", **strategy_only) == pytest.approx(59.91)
    assert full.value("quantflow_export_success_ratio", **strategy_only) == 0.9
    assert full.value("quantflow_graph_run_failed", **strategy_only) == 1
    assert full.value("quantflow_bot_ping_seconds", **OWNER) == 0.012
    assert full.value("quantflow_bot_process_age_seconds", **OWNER) == 65
    assert full.value("quantflow_bot_free_quote", **OWNER, currency="USDT") == 950.5
    assert full.value("quantflow_bot_next_stake_quote", **OWNER, currency="USDT") == 100
    assert full.value("quantflow_venue_up", **OWNER) == 1
    assert full.value("quantflow_reconciliation_agrees", **OWNER) == 0
    assert full.value("quantflow_reconciliation_findings", **OWNER, kind="no receipt") == 2
    assert full.value("quantflow_reconciliation_compared", **OWNER, records="receipts") == 9
    assert full.value("quantflow_reconciliation_compared", **OWNER, records="venue_orders") is None


def test_problems_are_counted_by_rule_and_severity(full: Scraped) -> None:
    """Two problems of a rule are a 2; the worst of all is the state of health."""
    labels = {"rule": "signal_late", "severity": "warning", "strategy_id": "btc_momentum"}
    assert full.value("quantflow_problems", **labels) == 2
    assert full.value("quantflow_health_status") == 1


def test_each_stage_is_a_histogram_from_the_close(full: Scraped) -> None:
    """80 ms, 540 ms, 1.1 s and 2.25 s after the close; the steps between add up to the last."""
    for stage, seconds in {"available": 0.04, "exported": 0.08, "seen": 0.54, "ordered": 1.1, "filled": 2.25}.items():
        assert full.value("quantflow_signal_stage_seconds_count", **STAGE, stage=stage) == 1
        assert full.value("quantflow_signal_stage_seconds_sum", **STAGE, stage=stage) == pytest.approx(seconds)
    bucket = "quantflow_signal_stage_seconds_bucket"
    assert [full.value(bucket, **STAGE, stage="seen", le=edge) for edge in ("0.5", "1.0", "+Inf")] == [0, 1, 1]
    steps = [full.value("quantflow_signal_step_seconds_sum", **OWNER, stage=stage) for stage in ("exported", "filled")]
    assert steps == pytest.approx([0.04, 1.15])


def test_what_bots_and_exports_did_is_counted(full: Scraped) -> None:
    """One entry, one fill 20 bps above the market, one export of 2 new signals."""
    assert full.value("quantflow_signal_decisions_total", **OWNER, decision="entered", reason="") == 1
    assert full.value("quantflow_signal_decisions_total", **OWNER, decision="skipped", reason="expired") == 0
    assert full.value("quantflow_fills_total", **OWNER, side="buy") == 1
    slippage = "quantflow_fill_slippage_ratio_bucket"
    assert [full.value(slippage, **OWNER, side="buy", le=edge) for edge in ("0.001", "0.002")] == [0, 1]
    assert full.value("quantflow_exports_total", strategy_id="btc_momentum", timeframe="1m") == 1
    exported = {"strategy_id": "btc_momentum", "timeframe": "1m", "outcome": "inserted"}
    assert full.value("quantflow_exported_signals_total", **exported) == 2


def test_the_monitor_tells_of_itself(full: Scraped) -> None:
    """Two looks of 20 and 300 ms, one failed, 41 commands to MongoDB, its memory."""
    assert full.value("quantflow_monitor_looks_total") == 2
    assert full.value("quantflow_monitor_look_failures_total") == 1
    assert full.value("quantflow_monitor_look_seconds_sum") == pytest.approx(0.32)
    assert full.value("quantflow_monitor_mongodb_commands_total") == 41
    assert full.value("quantflow_alerts_total", event="fired", severity="critical") == 1
    assert full.value("quantflow_alerts_total", event="over", severity="warning") == 0
    assert full.value("quantflow_alert_failures_total") == 1
    assert (full.value("process_resident_memory_bytes") or 0) > 1_000_000


def test_names_follow_the_convention(full: Scraped) -> None:
    """As `promtool check metrics` wants it: counters end in _total and nothing else does, units are base units."""
    wrong_units = ("_ms", "_milliseconds", "_minutes", "_hours", "_percent", "_pct", "_bps")
    ours = [one for one in full.families.values() if not one.name.startswith(("process_", "python_"))]
    for family in ours:
        assert family.name.startswith("quantflow_")
        assert family.documentation.endswith(".")
        assert not family.name.endswith(wrong_units)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert not sample.name.endswith("_created")
            # These two are Prometheus' own: it says where a sample was scraped.
            assert not {"instance", "job"} & set(sample.labels)
            if family.type == "gauge":
                assert not sample.name.endswith(("_count", "_sum", "_bucket"))


def test_openmetrics_is_spoken_too() -> None:
    """Prometheus asks for OpenMetrics first, whose parser is stricter: units, suffixes, order."""
    metrics = MonitorMetrics(mongodb_commands=lambda: 1)
    metrics.show(look(strategy(), minute=0), [], seconds=0.02)
    metrics.show(look(strategy(chain())), [PROBLEM], seconds=0.02)
    with serve_metrics(metrics, port=0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert "openmetrics" in answer.headers["Content-Type"]
    families = {family.name: family for family in openmetrics_families(answer.text)}
    assert families["quantflow_signal_stage_seconds"].unit == "seconds"
    assert families["quantflow_export_success_ratio"].unit == "ratio"


def test_a_signal_is_counted_once() -> None:
    """Looks show the same signals again and again; a stage that comes later is added then."""
    on_its_way = chain(seen=None, ordered=None, filled=None, decision=None, fills=())
    seen = chain(ordered=None, filled=None, decision="skipped", reason="cooldown", fills=())
    found = shown(
        look(strategy(), minute=0), look(strategy(on_its_way)), look(strategy(seen)), look(strategy(seen, chain(1)))
    )
    count = "quantflow_signal_stage_seconds_count"
    assert [found.value(count, **STAGE, stage=stage) for stage in ("exported", "seen", "ordered")] == [2, 2, 1]
    assert found.value("quantflow_signal_decisions_total", **OWNER, decision="skipped", reason="cooldown") == 1
    assert found.value("quantflow_exports_total", strategy_id="btc_momentum", timeframe="1m") == 1


def test_what_was_before_the_first_look_is_not_counted() -> None:
    """A monitor that starts again, and reads the same hours again, must not count them twice."""
    found = shown(look(strategy(chain(), chain(1)), minute=2), look(strategy(chain(), chain(1)), minute=3))
    # The second signal's bar closed at 12:02:00, when the first look was made, and all its stages came later.
    assert found.value("quantflow_signal_stage_seconds_count", **STAGE, stage="filled") == 1
    assert found.value("quantflow_fills_total", **OWNER, side="buy") == 1
    assert found.value("quantflow_exports_total", strategy_id="btc_momentum", timeframe="1m") == 0


def test_a_stage_known_late_does_not_count_twice_in_the_steps() -> None:
    """The export is recorded after the signal was seen: the way to `exported` was counted from the close already."""
    late_to_know = chain(available=None)
    found = shown(look(strategy(), minute=0), look(strategy(late_to_know)), look(strategy(chain())))
    assert found.value("quantflow_signal_step_seconds_sum", **OWNER, stage="exported") == pytest.approx(0.08)
    assert found.value("quantflow_signal_step_seconds_sum", **OWNER, stage="available") is None


@pytest.mark.parametrize(
    ("exported_s", "seen_s", "late"), [(30, 180, [0, 0]), (30.001, 180, [1, 0]), (30, 180.001, [0, 1])]
)
def test_late_is_what_passed_its_limit(exported_s: float, seen_s: float, late: list[float]) -> None:
    """Of 1m bars: exported within 30 s, seen within 180 s; the limit itself is in time."""
    close = NOON + MINUTE
    one = chain(available=None, exported=close + timedelta(seconds=exported_s), seen=close + timedelta(seconds=seen_s))
    found = shown(look(strategy(), minute=0), look(strategy(one), minute=5))
    stages = ("exported", "seen")
    assert [found.value("quantflow_signals_late_total", **STAGE, stage=stage) for stage in stages] == late


def test_exported_signals_nobody_reads_are_counted_too() -> None:
    """Where no bot is known, the way to the store is all there is; where one is, what it never saw was not for it."""
    unseen = chain(seen=None, ordered=None, filled=None, decision=None, fills=())
    alone = strategy(unseen, watched=WATCHED.model_copy(update={"consumer": None}))
    found = shown(look(strategy(), alone, minute=0), look(strategy(unseen), alone))
    count = "quantflow_signal_stage_seconds_count"
    assert found.value(count, **STAGE | {"consumer": ""}, stage="exported") == 1
    assert found.value(count, **STAGE, stage="exported") is None


def test_series_of_a_strategy_that_is_not_watched_any_more_vanish() -> None:
    """Also its counters; while MongoDB is away nobody can say what is watched, and they stay."""
    metrics = MonitorMetrics()
    metrics.show(look(strategy(), minute=0), [], seconds=0.02)
    metrics.show(look(strategy(chain())), [PROBLEM], seconds=0.02)
    metrics.show(look(store=StoreHealth(None, error="MongoDB is away."), series=()), [], seconds=2)
    away = scrape(metrics)
    assert away.value("quantflow_mongodb_up") == 0
    assert away.value("quantflow_fills_total", **OWNER, side="buy") == 1
    metrics.show(look(), [], seconds=0.02)
    assert not any("strategy_id" in labels for labels in scrape(metrics).label_names)


def test_unknown_is_not_zero() -> None:
    """A bot that does not answer is down, and has no balance, rather than an empty one."""
    silent = strategy(bot=BotHealth(None, error="It is away."), venue=VenueHealth(None, error="Away."), research=None)
    found = shown(look(silent))
    assert found.value("quantflow_bot_up", **OWNER) == 0
    assert found.value("quantflow_venue_up", **OWNER) == 0
    assert "quantflow_bot_free_quote" not in found.names
    assert "quantflow_bot_ping_seconds" not in found.names
    assert "quantflow_export_success_ratio" not in found.names


def test_two_bots_of_one_strategy_tell_of_research_once() -> None:
    """Prometheus refuses a scrape in which a series stands twice; exports are not counted for each bot."""
    other = strategy(watched=WATCHED.model_copy(update={"consumer": "other"}))
    found = shown(look(strategy(), other, minute=0), look(strategy(chain()), replace(other, chains=(chain(),))))
    assert found.value("quantflow_exports_total", strategy_id="btc_momentum", timeframe="1m") == 1
    assert found.values("quantflow_signal_stage_seconds_count", "consumer") == {"bot", "other"}


def test_rate_limits_are_counted_once() -> None:
    """The bot's log is read again at each look; what lay in it before the first look is old."""
    times = [NOON - MINUTE, NOON + MINUTE, NOON + 2 * MINUTE]
    limited = strategy(bot=bot(*times[:2]), venue=VenueHealth(30.0, rate_limited_at=NOON + MINUTE))
    found = shown(look(strategy(bot=bot(*times[:1])), minute=0), look(limited), look(replace(limited, bot=bot(*times))))
    assert found.value("quantflow_rate_limits_total", **OWNER, limited="bot") == 2
    assert found.value("quantflow_rate_limits_total", **OWNER, limited="monitor") == 1


def test_series_have_a_bound() -> None:
    """However many pairs a strategy signals, so many have series of their own, and the rest one together."""
    pairs = [f"C{number:03}/USDT" for number in range(MAX_PAIRS + 40)]
    found = shown(look(strategy(), minute=0), look(strategy(*(chain(pair=pair) for pair in pairs))))
    assert len(found.values("quantflow_signal_stage_seconds_count", "pair")) == MAX_PAIRS + 1
    assert found.value("quantflow_signal_stage_seconds_count", **OWNER | {"pair": "other"}, stage="seen") == 40


def test_memory_is_that_of_the_span() -> None:
    """Signals that looks do not show any more are forgotten: a day of bars leaves as many marks as an hour."""
    metrics = MonitorMetrics()
    held = []
    for minute in range(600):
        recorded = research(*(export(number) for number in range(max(0, minute - 30), minute)))
        window = [chain(number) for number in range(max(0, minute - 30), minute)]
        metrics.show(look(strategy(*window, research=recorded), minute=minute), [], seconds=0.02)
        held.append(metrics.remembered)
    assert held[-1] == held[60] > 0
    found = scrape(metrics)
    assert found.value("quantflow_signal_stage_seconds_count", **STAGE, stage="filled") == 599
    assert found.value("quantflow_exports_total", strategy_id="btc_momentum", timeframe="1m") == 599


def test_every_metric_is_in_the_docs(full: Scraped) -> None:
    """docs/metrics.md lists each with its kind, its labels and its own sentence."""
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(quantflow_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    served = set()
    for family in full.families.values():
        if family.name.startswith("quantflow_") and family.name != "quantflow_monitor_info":
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            served.add((name, family.type, frozenset(labels), family.documentation))
    assert {(name, kind, frozenset(re.findall(r"\w+", labels)), text) for name, kind, labels, text in listed} == served


def test_what_nobody_knows_has_no_sample() -> None:
    """Sides that were not compared neither agree nor differ; a venue that limits us was not asked."""
    whole = watched_looks.look()
    strategies = (
        watched_looks.strategy(
            venue=VenueHealth(None, rate_limited_at=whole.at),
            reconciliation=replace(watched_looks.AGREES, not_compared=("binance refused the keys.",)),
        ),
    )
    labels = {"strategy_id": "s", "timeframe": "1m", "consumer": "bot"}
    for name in ("quantflow_venue_up", "quantflow_reconciliation_agrees"):
        assert shown(whole).value(name, **labels) == 1
        assert shown(replace(whole, strategies=strategies)).value(name, **labels) is None
