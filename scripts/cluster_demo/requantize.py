"""The chart llm-requantization with the pipeline that makes what is deployed, and a run of it now."""

from __future__ import annotations

import time
from pathlib import Path

from scripts.cluster_demo.place import Place
from shipfit.core import process
from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process
from shipfit.core.progress import Progress

RELEASE = "requantization"
PIPELINE = "gemma-3-270m"
CRONJOB = f"{RELEASE}-{PIPELINE}"

_ROOT = Path(__file__).parents[2]
_CHART = _ROOT / "helm" / "llm-requantization"
_VALUES = _ROOT / "deploy" / "test-cluster" / "requantization.values.yaml"
_SPEC = _ROOT / "pipelines" / "gemma-3-270m-gptq-w4a16.yaml"
_RUN_S = 3600.0
_POLL_S = 1.0


def install(place: Place, progress: Progress) -> None:
    """Install the schedule, or bring it up to date.

    Raises:
        EnvironmentFailure: Helm or the cluster failed.
    """
    repository, _, tag = place.image.rpartition(":")
    images = [
        f"--set-string={owner}.image.{key}={value}"
        for owner in ("shipfit", "ray")
        for key, value in {"repository": repository, "tag": tag}.items()
    ]
    with progress.step("installing the schedule of the pipeline"):
        process.run(
            [
                *("helm", "upgrade", "--install", RELEASE, _CHART),
                *(f"--namespace={place.namespace}", f"--values={_VALUES}", *images),
                f"--set-file=pipelines.{PIPELINE}.spec={_SPEC}",
            ],
            doing="installing llm-requantization",
            timeout=120,
        )


def run_now(place: Place, progress: Progress) -> str:
    """Begin what the schedule would begin, and follow it to its end; what it says came of it.

    Raises:
        EnvironmentFailure: it failed; has its own words.
    """
    kubectl = place.target.kubectl
    name = f"{CRONJOB}-{int(time.time())}"
    kubectl.run("create", "job", f"--from=cronjob/{CRONJOB}", name)
    words = kubectl.argv("logs", "--follow", f"job/{name}", "--pod-running-timeout=120s")
    deadline = time.monotonic() + _RUN_S
    with Process(words, on_line=progress.update) as logs:
        while True:
            (job,) = kubectl.items(f"job/{name}")
            status = job.get("status", {})
            if status.get("succeeded") or status.get("failed"):
                break
            if time.monotonic() > deadline:
                raise EnvironmentFailure(f"job/{name} did not end", hint="see `kubectl describe job`")
            time.sleep(_POLL_S)
        logs.wait(60)
        said = [line for line in logs.tail if line.strip()]
    if not status.get("succeeded"):
        raise EnvironmentFailure(f"job/{name} failed: {said[-1] if said else 'it said nothing'}")
    return "; ".join(line for line in said if line.startswith(("artifact", "quality")))
