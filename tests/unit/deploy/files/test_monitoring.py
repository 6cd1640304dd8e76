"""deploy/monitoring: what it asks of Prometheus is what negsift exports, and every alert is explained."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from negsift.service.monitoring.catalogue import METRICS
from tests.unit.deploy.files.checkout import DEPLOY, ROOT, commands
from tests.unit.pages import prose

FOLDER = DEPLOY / "monitoring"
BOARD: dict[str, Any] = json.loads((FOLDER / "grafana" / "negsift.json").read_text())  # Any: JSON
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
QUERIES = {f"{panel['title']} {one['refId']}": one["expr"] for panel in PANELS for one in panel["targets"]}
RULES = {rule["alert"]: rule["expr"] for rule in ALERTS}
FILTERS = {"SessionName", "instance", "ray_io_cluster"}
FUNCTIONS = {"sum", "max", "count", "by", "rate", "increase", "time"}
compose: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())  # Any: YAML
every_query = pytest.mark.parametrize("name", QUERIES | RULES)


def metrics(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics in a query, each with the labels that it is filtered by."""
    for name, filters in re.findall(r"\bray_(\w+)(?:\{([^}]*)\})?", re.sub(r"ray_io_cluster(?==)", "cluster", query)):
        yield name, set(re.findall(r"(\w+)=", filters))


@every_query
def test_its_metrics_are_exported_with_the_labels_it_uses(name: str) -> None:
    query = (QUERIES | RULES)[name]
    used = list(metrics(query))
    assert used
    by = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")}
    for metric, filters in used:
        assert by | (filters - FILTERS - {"cluster"}) <= set(METRICS[metric].labels)


@every_query
def test_its_form_is_that_of_a_query(name: str) -> None:
    query = (QUERIES | RULES)[name]
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)|\bray_\w+", " ", query)
    assert bare.count("(") == bare.count(")")
    assert set(re.findall(r"[a-z_]+", bare)) <= FUNCTIONS
    assert set(re.findall(r"\[([^]]*)\]", query)) <= {"5m", "15m", "30m", "1h"}
    for total in re.findall(r"(\w*)\(ray_\w+_total\{?", query):
        assert total in {"rate", "increase", ""}


def test_the_dashboard_shows_every_metric() -> None:
    assert {metric for query in QUERIES.values() for metric, _ in metrics(query)} == METRICS.keys()


def test_panels_do_not_overlap_and_are_filtered_as_rays_are() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]}
    assert len(places) == len(BOARD["panels"]) == len({panel["id"] for panel in BOARD["panels"]})
    assert [variable["name"] for variable in BOARD["templating"]["list"]] == [
        "datasource", "SessionName", "Instance", "Cluster",
    ]  # fmt: skip
    for query in QUERIES.values():
        assert query.count("ray_negsift_") == query.count(
            'SessionName=~"$SessionName",instance=~"$Instance",ray_io_cluster=~"$Cluster"'
        )


def test_every_alert_is_explained() -> None:
    page = prose(ROOT / "docs" / "cluster.md").partition("## What to do when")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*`(\w+)`", page, re.MULTILINE) == list(RULES)


def test_annotations_name_labels_that_are_left() -> None:
    for rule in ALERTS:
        by = re.findall(r"by \(([^)]*)\)", rule["expr"])
        left = set(by[0].split(", ")) if by else set(METRICS[next(metrics(rule["expr"]))[0]].labels)
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= left


def test_compose_mounts_files_that_are_there() -> None:
    mounts = [mount.split(":")[0] for service in compose["services"].values() for mount in service["volumes"]]
    assert all((FOLDER / mount).is_file() for mount in mounts if mount.startswith("./"))
    found = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]["file_sd_configs"]
    assert found == [{"files": ["/tmp/ray/prom_metrics_service_discovery.json"], "refresh_interval": "30s"}]
    assert "/tmp/ray" in mounts


def test_nobody_elsewhere_is_let_in() -> None:
    assert "--web.listen-address=127.0.0.1:9090" in compose["services"]["prometheus"]["command"]
    assert compose["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("file", ["docker-compose.yml", "prometheus.yml", "alerts.yml"])
def test_commands_at_its_head_name_it(file: str) -> None:
    said = commands(FOLDER / file)
    assert said
    assert all(f"deploy/monitoring/{file}" in command for command in said)
