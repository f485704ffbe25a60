"""What the chart tells the router and reads from it, against the program that configures it and Envoy itself."""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.core import process
from shipfit.environments import ensure
from tests.integration.helm.charts import CHART, free_ports, manifests, needs, objects, scenario

pytestmark = [pytest.mark.integration, needs("helm")]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[dict[str, int]]:
    """Envoy with the words and settings of the chart, on ports that are free here; its ports by name."""
    rendered = list(objects(manifests(scenario("two-models"))))
    (router,) = (
        each for each in rendered if (each["kind"], each["metadata"]["name"]) == ("Deployment", "prod-router")
    )
    (settings,) = (
        json.loads(each["data"]["settings.json"])
        for each in rendered
        if each["kind"] == "ConfigMap" and "settings.json" in each["data"]
    )
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    found = dict(zip(("port", "admin", "metrics"), free_ports(3), strict=True))
    (tmp_path / "settings.json").write_text(json.dumps({**settings, **found, "keys": str(keys)}))
    here = {
        "/etc/router/settings.json": str(tmp_path / "settings.json"),
        "/run/router/envoy.json": str(tmp_path / "envoy.json"),
        "python": sys.executable,
        "envoy": str(ensure("envoy").program("envoy")),
    }
    pod = router["spec"]["template"]["spec"]
    first, envoy = (
        [here.get(word, word) for word in (*each["command"], *each["args"])]
        for each in (pod["initContainers"][0], pod["containers"][0])
    )
    process.run(first, doing="configuring the router")
    with process.Process(envoy, cwd=tmp_path) as running:
        deadline = time.monotonic() + 60
        while status(found["metrics"], "/livez") != 200:
            assert running.returncode is None, running.tail
            assert time.monotonic() < deadline, running.tail
            time.sleep(0.2)
        yield found


def status(port: int, path: str) -> int | None:
    """What is answered there; None for nothing."""
    try:
        return get(port, path)[0]
    except OSError:
        return None


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_router_answers_probes_and_has_every_metric_that_the_chart_reads(ports: dict[str, int]) -> None:
    assert get(ports["metrics"], "/readyz")[0] == 200
    assert get(ports["port"], "/v1/models")[0] == 401
    page = get(ports["metrics"], "/stats/prometheus")[1]
    text = "".join(file.read_text() for file in (CHART / "files").glob("*.*"))
    read = set(re.findall(r"envoy_[a-z_]+(?={)", text))
    assert read == {"envoy_cluster_membership_healthy", "envoy_http_downstream_rq_xx"}
    assert {name for name in read if f"\n{name}{{" not in page} == set()
    assert 'envoy_http_conn_manager_prefix="public"' in page
    assert 'envoy_response_code_class="4"' in page
