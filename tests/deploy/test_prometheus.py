"""Alert rules and dashboards ask, in PromQL that parses, for metrics that the monitor serves, by labels they have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from sample_scrape import Scraped, full_metrics, scrape

from monitoring.watch_file import Rules

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "quantflow.json"
_OF_A_TARGET = {"job", "instance"}
# Prometheus' own: of a target, and of a rule that fires.
_FOREIGN = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
_VARIABLES = {"$__rate_interval": "1m", "$strategy": ".*", "$pair": ".*"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> Iterator[tuple[str, str, str]]:
    """Title, expression and legend of each query of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"], ""


def expressions() -> list[tuple[str, str]]:
    asked = [(rule["alert"], rule["expr"]) for rule in rules()]
    return asked + [(title, expression) for title, expression, _ in dashboard_queries()]


@pytest.fixture(scope="module")
def served() -> Scraped:
    """What the endpoint serves when everything is known."""
    return scrape(full_metrics())


def parsed(expression: str) -> promql_parser.Expr:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return promql_parser.parse(expression)


def nodes(expression: str) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(parsed(expression), pre_visit=lambda node: found.append(node))
    return found


@pytest.mark.parametrize(("title", "expression"), expressions(), ids=lambda text: text[:40])
def test_every_expression_asks_for_what_is_served(title: str, expression: str, served: Scraped) -> None:
    """Each metric is one of ours, each label one that it has, each edge of a bucket and each stage one that exists."""
    known = served.labels_of | _FOREIGN
    labels: set[str] = set()
    for node in nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name in known, node.name
            labels |= known[node.name] | _OF_A_TARGET
            for matcher in node.matchers.matchers:
                assert matcher.name in known[node.name] | _OF_A_TARGET, f"{node.name} has no label {matcher.name}"
                if matcher.name in {"le", "stage", "reason"} and matcher.op == promql_parser.MatchOp.Equal:
                    assert matcher.value in served.values(node.name, matcher.name), matcher.value
    for node in nodes(expression):
        modifier = getattr(node, "modifier", None)
        grouped = getattr(modifier, "labels", None) or getattr(getattr(modifier, "matching", None), "labels", None)
        assert set(grouped or ()) <= labels, f"{title}: {grouped}"


@pytest.mark.parametrize(("title", "expression", "legend"), list(dashboard_queries()), ids=lambda text: text[:40])
def test_every_legend_names_labels_that_are_left(title: str, expression: str, legend: str, served: Scraped) -> None:
    """A label that an aggregation drops would show as nothing."""
    named = set(re.findall(r"{{\s*(\w+)\s*}}", legend))
    assert named <= left(parsed(expression), served), f"{title}: {legend}"


def left(node: Any, served: Scraped) -> set[str]:
    """The labels that a result has; an independent reading of PromQL, good for the expressions used here."""
    if isinstance(node, promql_parser.VectorSelector):
        return served.labels_of.get(str(node.name), set()) | _OF_A_TARGET
    if isinstance(node, promql_parser.MatrixSelector):
        return left(node.vector_selector, served)
    if isinstance(node, promql_parser.AggregateExpr):
        if node.modifier is None:
            return set()
        by = node.modifier.type == promql_parser.AggModifierType.By
        return set(node.modifier.labels) if by else left(node.expr, served) - set(node.modifier.labels)
    if isinstance(node, promql_parser.Call):
        inner = set().union(*(left(argument, served) for argument in node.args))
        return inner - {"le"} if node.func.name == "histogram_quantile" else inner
    if isinstance(node, promql_parser.BinaryExpr):
        return left(node.lhs, served) | left(node.rhs, served)
    return left(node.expr, served) if isinstance(node, promql_parser.ParenExpr) else set()


def test_alerts_cover_the_rules_of_the_watch_file() -> None:
    """Whoever takes alerts from Prometheus misses none of the monitor's own rules."""
    # One rule has no metric of its own: its alert counts what the monitor found, and takes the rule's name from there.
    covered = {rule["labels"].get("rule", "signal_missing") for rule in rules()}
    assert covered == {*Rules.model_fields, "monitor"}
    assert any('quantflow_problems{rule="signal_missing"}' in rule["expr"] for rule in rules())


def test_alerts_are_as_severe_as_the_rules() -> None:
    """With the watch file's usual severities; a bot that says it is stopped is meant to be, and only a warning."""
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        named = rule["labels"].get("rule", "signal_missing")
        if named != "monitor" and rule["alert"] != "BotStopped":
            usual = Rules.model_fields[named].default.severity
            assert rule["labels"]["severity"] == usual.name.lower(), rule["alert"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_texts_name_labels_that_the_alert_has(rule: dict[str, Any], served: Scraped) -> None:
    """A label that is not there is left out silently, and the sentence has a hole."""
    text = rule["annotations"]["summary"]
    named = set(re.findall(r"\$labels\.(\w+)", text))
    assert named <= left(parsed(rule["expr"]), served) | set(rule["labels"])
    assert text.endswith((".", "ago."))


def test_the_monitor_is_scraped_where_compose_serves_it() -> None:
    """The target is the service's name and the port of its command."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    command = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["monitor"]["command"]
    assert jobs["quantflow"] == [f"monitor:{command[command.index('--metrics-port') + 1]}"]
    assert config["rule_files"] == ["alerts.yaml"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of the package prometheus) is not installed")
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")],
    ids=" ".join,
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    """Prometheus' own tool finds no mistake, and its alerts fire and clear as the tests beside them say."""
    ended = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
