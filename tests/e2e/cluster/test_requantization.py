"""A run of the schedule that rolls out what is promoted, with no more rights than the chart gives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from scripts.cluster_demo.requantize import PIPELINE
from scripts.cluster_demo.requantize import RELEASE as SCHEDULE
from shipfit.artifacts import open_store
from shipfit.core.progress import NoProgress
from tests.e2e.cluster.conftest import NAMESPACE, Service
from tests.integration.helm.charts import REQUANTIZATION, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@contextmanager
def rolling_out(service: Service, artifact: str) -> Iterator[None]:
    """While the block runs, runs of the schedule roll out the service with another artifact."""
    # One replica is up sooner than two; no speed is promised, since the plan is made where the processors are busy.
    changed = {"artifact": artifact, "replicas": 1, "slo": {}, "workload": None}
    spec = yaml.safe_load(service.file.read_text()) | changed
    files = (spec["cluster"]["values"], spec["chat_template"])
    rollout = {
        "spec": yaml.safe_dump(spec),
        "files": {name: (service.folder / name).read_text() for name in files},
    }
    words = ("upgrade", SCHEDULE, REQUANTIZATION, f"--namespace={NAMESPACE}", "--reset-then-reuse-values")
    run("helm", *words, "--values=-", stdin=yaml.safe_dump({"pipelines": {PIPELINE: {"rollout": rollout}}}))
    try:
        yield
    finally:
        run("helm", "rollback", SCHEDULE, f"--namespace={NAMESPACE}")


def test_a_run_rolls_out_what_is_in_the_channel_and_the_next_one_changes_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, before = service.namespace, service.served()
    artifact = service.publish_again(monkeypatch, "promoted")
    name, _, channel = artifact.partition("@")
    with open_store(service.deployment.store, NoProgress()) as store:
        promoted = store.resolve(name, channel)
    ray = set(space.kubectl("get", "rayjobs,rayclusters", "--output=name").split())
    with rolling_out(service, artifact):
        said = service.run_schedule()
        assert "unchanged" in said  # of the pipeline, whose own channel is another
        assert "answers" in said
        assert service.served() == promoted != before
        replicas = service.ready()
        assert len(replicas) == 1
        assert service.answers()

        assert "nothing changes" in service.run_schedule()
        assert replicas == service.ready()
        assert set(space.kubectl("get", "rayjobs,rayclusters", "--output=name").split()) <= ray
    service.carry_out("rollback", service.file)
    assert before == service.served()
    assert len(service.ready()) == 2
