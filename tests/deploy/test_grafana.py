"""The dashboard is one that Grafana can show: panels lie side by side, and each says what it shows, in which unit."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "quantflow.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] not in {"row", "alertlist"}]
UNITS = {"none", "s", "ops", "bytes", "percentunit"}  # of Grafana's own list


def test_panels_do_not_overlap() -> None:
    """Grafana would push them apart, each time in another way."""
    for one, other in itertools.combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["gridPos"]["x"] >= 0 and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_rows_of_panels_leave_no_hole() -> None:
    """Between a row's title and the next, every line of the grid is filled from edge to edge."""
    covered: dict[int, int] = {}
    for panel in PANELS:
        for line in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"]):
            covered[line] = covered.get(line, 0) + panel["gridPos"]["w"]
    assert set(covered.values()) == {24}
    assert sorted(covered) == list(range(len(covered)))


def test_ids_are_unique() -> None:
    """Links to a panel name its id."""
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: panel["title"])
def test_each_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Title, sentence, unit, and queries with ids of their own."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    # A figure of several series, or a curve without a name, says nothing.
    assert panel["type"] == "stat" or all(target["legendFormat"] for target in panel["targets"])


def test_seconds_are_shown_as_seconds() -> None:
    """The unit on the axis is that of the metric: a ratio is a share of 1, a time in seconds."""
    for panel in DRAWN:
        expressions = " ".join(target["expr"] for target in panel["targets"])
        unit = panel["fieldConfig"]["defaults"]["unit"]
        a_share = "/ on (timeframe)" in expressions or "late_total" in expressions or "cpu_seconds" in expressions
        assert (unit == "s") == ("_seconds" in expressions and not a_share), panel["title"]
        assert "_bytes" not in expressions or unit == "bytes"
        assert "_ratio" not in expressions or unit == "percentunit"


def test_one_datasource_is_provisioned_and_used() -> None:
    """Every panel, query and variable names the id under which Prometheus is provisioned."""
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    (datasource,) = provisioned["datasources"]
    wanted = {"type": datasource["type"], "uid": datasource["uid"]}
    used = [panel["datasource"] for panel in PANELS if panel["type"] != "row"]
    used += [target["datasource"] for panel in DRAWN for target in panel["targets"]]
    used += [variable["datasource"] for variable in DASHBOARD["templating"]["list"]]
    used += [annotation["datasource"] for annotation in DASHBOARD["annotations"]["list"]]
    assert all(one == wanted for one in used)
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert datasource["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def test_the_dashboards_folder_is_where_compose_mounts_it() -> None:
    """Grafana reads the folder that the provider names."""
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "quantflow.yaml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["grafana"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in grafana["volumes"])
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"] == "./grafana/provisioning"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/quantflow.json"
