"""The alert rules, as the charts render them, against series that should and should not set them off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.helm.charts import CHART, REQUANTIZATION, manifests, needs, objects, run, scenario

pytestmark = [pytest.mark.integration, needs("helm", "promtool")]


CASES = {CHART: "alerts.yaml", REQUANTIZATION: "alerts-requantization.yaml"}


@pytest.fixture(params=CASES, ids=lambda chart: chart.name)
def chart(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def cases(chart: Path) -> str:
    return Path(__file__).with_name(CASES[chart]).read_text()


@pytest.fixture
def rules(chart: Path, tmp_path: Path) -> Path:
    rendered = objects(manifests(scenario("monitoring", chart)))
    (rule,) = (each for each in rendered if each["kind"] == "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    return file


def test_the_rules_are_valid(rules: Path) -> None:
    run("promtool", "check", "rules", "--lint-fatal", rules)


def test_the_rules_fire_when_they_should(rules: Path, cases: str) -> None:
    file = rules.with_name("tests.yaml")
    file.write_text(cases)
    run("promtool", "test", "rules", file)


def test_each_alert_is_tested_in_both_directions(rules: Path, cases: str) -> None:
    alerts = {
        rule["alert"]
        for group in yaml.safe_load(rules.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    asked = [case for test in yaml.safe_load(cases)["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in asked if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in asked if not case["exp_alerts"]} == alerts


def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    rendered = objects(manifests(scenario("monitoring")))
    (text,) = (
        each["data"]["llm-prod.json"] for each in rendered if each["metadata"]["name"] == "prod-dashboard"
    )
    dashboard = json.loads(text)
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) >= len(dashboard["panels"]) > 5
    assert all('namespace="llm",pod=~"prod-' in each for each in asked)
    plain = (each.replace("$__rate_interval", "1m").replace("$model", ".*") for each in asked)
    rules = [{"record": f"panel_{number}", "expr": each} for number, each in enumerate(plain)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("promtool", "check", "rules", file)
