from __future__ import annotations

from typing import Any

import pytest

from shipfit.serve.cluster.canary.watching import lives_of, restarted


def pod(name: str, uid: str, restarts: int = 0, model: str = "main-canary") -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "replica", "shipfit/model": model}
    statuses = [{"restartCount": restarts}, {"restartCount": 0}]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "uid": uid, "labels": labels},
        "status": {"containerStatuses": statuses},
    }


BEFORE = [pod("canary-a", "1"), pod("canary-b", "2", restarts=3)]


@pytest.mark.parametrize(
    ("now", "which"),
    [
        (BEFORE, []),
        ([pod("canary-a", "1", restarts=1), BEFORE[1]], ["canary-a"]),
        ([pod("canary-a", "9"), BEFORE[1]], ["canary-a"]),  # a group's pod keeps its name
        ([pod("canary-c", "9"), BEFORE[1]], []),  # one that another node took in
        ([pod("canary-c", "9", restarts=1)], ["canary-c"]),
        ([*BEFORE, pod("stable", "7", restarts=5, model="main")], []),
    ],
)
def test_a_canary_that_starts_anew_is_noticed(now: list[dict[str, Any]], which: list[str]) -> None:
    assert restarted(lives_of(BEFORE), lives_of(now)) == which
