"""A canary on a real cluster with simulated GPU nodes: what is installed, kept, and gone back to.

Nothing runs in its pods, so nothing is measured there; tests/integration/serve/router shows how requests go.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster.canary.promotion import Promotion, propose_promotion
from shipfit.serve.cluster.deploy import roll_out, take_down
from shipfit.serve.cluster.propose import Proposal, propose
from shipfit.serve.cluster.rollback import propose_return
from shipfit.serve.cluster.status import status
from shipfit.serve.cluster.target import target_of
from shipfit.spec import Deployment
from tests.integration.kubernetes import needs_cluster
from tests.integration.serve.cluster.conftest import A100, Publish, Site

pytestmark = [pytest.mark.integration, needs_cluster]

QUIET = NoProgress()
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
SPEC: dict[str, Any] = {
    "model": LLAMA,
    "artifact": "llama-4bit@stable",
    "hardware": [{"gpu": "A100-SXM4-80GB"}],
}
NEWER = SPEC | {"artifact": "llama-4bit@candidate"}


def tried(deployment: Deployment, percent: int = 10) -> tuple[Promotion, Proposal]:
    promotion = propose_promotion(deployment, percent, QUIET)
    assert promotion.canary
    return promotion, promotion.canary


def settings(site: Site) -> dict[str, Any]:
    """What the router knows of the model."""
    found = json.loads(site.namespace.get("configmap/chat-router")["data"]["settings.json"])
    model: dict[str, Any] = found["models"][0]
    return model


def test_a_canary_comes_goes_and_stands_until_a_deploy_ends_it(
    site: Site, publish: Publish, pinned: Callable[[str], set[str]]
) -> None:
    first = publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    second = publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    site.node("a100", A100, gpu=1)
    with pytest.raises(EnvironmentFailure, match="does not serve yet in namespace"):
        propose_promotion(site.deployment(**NEWER), 10, QUIET)
    deployment = site.deployment(**SPEC)
    roll_out(propose(deployment, QUIET), QUIET)
    (before,) = site.pods()

    # What could not be tried is said before anything changes.
    assert propose_promotion(deployment, 10, QUIET).canary is None
    with pytest.raises(InputError, match=r"nothing about the model differs .*; what does is router"):
        propose_promotion(site.deployment({"router": {"replicas": 2}}, **SPEC), 10, QUIET)
    newer = site.deployment({"router": {"replicas": 2}}, **NEWER)
    _, canary = tried(newer)
    assert any("1 of 1 pods of chat-main-canary find no room" in each.what for each in canary.objections)
    site.node("another", A100, gpu=1)

    assert (130, [first], {first}) == (interrupted(newer, site), site.fingerprints(), pinned("llama-4bit"))

    promotion, canary = tried(newer, 25)
    assert (["router"], []) == (promotion.left_out, canary.objections)
    roll_out(canary, QUIET)
    assert sorted([first, second]) == site.fingerprints()
    assert before["metadata"]["uid"] in {each["metadata"]["uid"] for each in site.pods()}
    assert {"percent": 25, "service": f"chat-main-canary.{site.namespace.name}.svc"} == settings(site)[
        "canary"
    ]
    assert {first, second} == pinned("llama-4bit")
    seen = status(target_of(newer))
    assert (first, second, 25) == (
        seen.record["artifact"]["fingerprint"],
        seen.record["canary"]["artifact"]["fingerprint"],
        seen.record["canary"]["percent"],
    )
    assert [] == seen.drift
    back = propose_return(newer, None)
    assert first == back.values["record"]["artifact"]["fingerprint"]
    assert "canary" not in back.values["record"]

    # The command that tried it is gone. Another takes up where it ended; a deploy gives the new version everything,
    # though both GPUs are taken now: the canary's becomes free. What was changed by hand is no hindrance.
    assert [] == tried(newer, 50)[1].objections
    proposal = propose(newer, QUIET)
    assert [] == proposal.objections
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert "a new one starts before an old one ends" in told
    site.namespace.kubectl("patch", "deployment/chat-router", '--patch={"spec": {"replicas": 3}}')
    roll_out(proposal, QUIET)
    assert [second] == site.fingerprints()
    assert 2 == len(site.pods("router"))
    assert "canary" not in settings(site)
    assert {first, second} == pinned("llama-4bit")
    assert propose(newer, QUIET).unchanged
    assert back.to == propose_return(newer, None).to  # not to the canary
    take_down(newer, QUIET)
    assert set() == pinned("llama-4bit")


def interrupted(deployment: Deployment, site: Site) -> int:
    """Ctrl-C while a canary is rolled out; the exit code."""
    words = [sys.executable, "-m", "shipfit", "promote", str(deployment.path), "--canary", "10%", "--yes"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as promoting:
        assert promoting.stderr
        while len(site.pods()) == 1:
            assert promoting.poll() is None, promoting.stderr.read()
            time.sleep(0.2)
        promoting.send_signal(signal.SIGINT)
        promoting.communicate(timeout=120)
    return promoting.returncode
