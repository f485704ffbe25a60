"""A canary on a real cluster with simulated GPU nodes: what is installed, kept, and gone back to.

Nothing runs in its pods, so nothing can be measured there; tests/integration/serve/router shows how requests go.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import NoProgress
from shipfit.serve.cluster.canary.promotion import Promotion, promote, propose_promotion
from shipfit.serve.cluster.canary.watching import Window
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


def fingerprints(site: Site) -> list[str]:
    """The artifacts that replicas fetch."""
    return sorted(each["spec"]["initContainers"][0]["args"][3] for each in site.pods())


def tried(deployment: Deployment, percent: int = 10) -> tuple[Promotion, Proposal]:
    promotion = propose_promotion(deployment, percent, QUIET)
    assert promotion.canary
    return promotion, promotion.canary


def settings(site: Site) -> dict[str, Any]:
    """What the router knows of the model."""
    found = json.loads(site.namespace.get("configmap/chat-router")["data"]["settings.json"])
    model: dict[str, Any] = found["models"][0]
    return model


def test_a_canary_stands_beside_what_serves_until_a_deploy_ends_it(
    site: Site, publish: Publish, pinned: Callable[[str], set[str]]
) -> None:
    first = publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    second = publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    site.node("a100", A100, gpu=2)
    with pytest.raises(EnvironmentFailure, match="does not serve yet in namespace"):
        propose_promotion(site.deployment(**NEWER), 10, QUIET)
    deployment = site.deployment(**SPEC)
    roll_out(propose(deployment, QUIET), QUIET)
    assert propose_promotion(deployment, 10, QUIET).canary is None
    (before,) = site.pods()
    with pytest.raises(
        InputError, match="nothing about the model differs from what serves; what does is router"
    ):
        propose_promotion(site.deployment({"router": {"replicas": 2}}, **SPEC), 10, QUIET)

    newer = site.deployment({"router": {"replicas": 2}}, **NEWER)
    promotion, canary = tried(newer, 25)
    assert ["router"] == promotion.left_out
    assert [] == canary.objections
    assert 2 == roll_out(canary, QUIET)
    assert sorted([first, second]) == fingerprints(site)
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
    assert 1 == propose_return(newer, None).to

    # The command that tried it is gone. Another takes up where it ended; a deploy gives the new version everything,
    # though both GPUs are taken now: the canary's becomes free.
    assert [] == tried(newer, 50)[1].objections
    proposal = propose(newer, QUIET)
    assert [] == proposal.objections
    told = next(line for line in proposal.pods if line.startswith("chat-main"))
    assert "a new one starts before an old one ends" in told
    assert 3 == roll_out(proposal, QUIET)
    assert [second] == fingerprints(site)
    assert "canary" not in settings(site)
    assert {first, second} == pinned("llama-4bit")
    assert propose(newer, QUIET).unchanged
    assert 1 == propose_return(newer, None).to  # not to the canary
    take_down(newer, QUIET)
    assert set() == pinned("llama-4bit")


def test_a_canary_that_cannot_be_measured_is_taken_away(
    site: Site, publish: Publish, pinned: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    site.node("a100", A100, gpu=2)
    roll_out(propose(site.deployment(**SPEC), QUIET), QUIET)
    newer = site.deployment(**NEWER)
    with pytest.raises(EnvironmentFailure, match="does not say what it counted"):
        promote(*tried(newer), Window(5), QUIET)
    assert [first] == fingerprints(site)
    assert {first} == pinned("llama-4bit")
    assert ["superseded", "superseded", "deployed"] == [
        each.status for each in target_of(newer).helm.revisions()
    ]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shipfit.serve.cluster.canary.promotion.observe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        promote(*tried(newer), Window(5), QUIET)
    assert [first] == fingerprints(site)
    assert {first} == pinned("llama-4bit")


def test_no_room_for_a_canary_is_said_before_anything_changes(site: Site, publish: Publish) -> None:
    publish("llama-4bit", LLAMA, "gptq-w4a16", "one")
    publish("llama-4bit", LLAMA, "gptq-w4a16", "two", "candidate")
    site.node("a100", A100, gpu=1)
    roll_out(propose(site.deployment(**SPEC), QUIET), QUIET)
    _, canary = tried(site.deployment(**NEWER))
    assert any("1 of 1 pods of chat-main-canary find no room" in each.what for each in canary.objections)
