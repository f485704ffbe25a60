from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from shipfit.core.errors import InputError
from shipfit.serve.cluster.canary.overlay import left_out, with_canary

SERVING: dict[str, Any] = {
    "models": {
        "main": {
            "servedName": "llama",
            "weights": {"model": "org/llama@abc", "bytes": 5},
            "replicas": 8,
            "rollout": "surge",
            "engine": {"args": {"max-num-seqs": 8, "enforce-eager": True}},
            "extraVolumes": [{"name": "tmp"}],
            "slo": {"ttftMs": 500},
        },
        "other": {"weights": {"model": "org/other@abc"}},
    },
    "router": {"replicas": 2},
    "record": {"id": "x", "weights": "old"},
}


def changed(**of_model: Any) -> dict[str, Any]:
    values = deepcopy(SERVING)
    values["models"]["main"] |= of_model
    values["record"] = {"id": "x", "weights": "new"}
    return values


def test_what_serves_stays_and_what_is_new_is_the_canarys_as_a_whole() -> None:
    artifact = {"store": "s3://m", "name": "llama", "fingerprint": "f" * 64}
    new = changed(weights={"artifact": artifact}, engine={"args": {"max-num-seqs": 8}}, rollout="replace")
    del new["models"]["main"]["extraVolumes"]
    values = with_canary(SERVING, new, 10)
    canary = values["models"]["main"].pop("canary")
    assert SERVING["models"] == values["models"]
    assert {
        "percent": 10,
        "replicas": 1,
        "weights": {"artifact": artifact},  # without the model, which would be named beside it
        "engine": {"args": {"max-num-seqs": 8}},
        "extraVolumes": [],
    } == canary
    assert {"id": "x", "weights": "old", "canary": {**new["record"], "percent": 10}} == values["record"]


@pytest.mark.parametrize(
    ("percent", "replicas", "share"), [(1, 1, 1), (50, 1, 1), (10, 8, 1), (30, 8, 3), (99, 8, 8)]
)
def test_it_has_replicas_enough_for_its_share(percent: int, replicas: int, share: int) -> None:
    values = with_canary(SERVING, changed(engine={}, replicas=replicas), percent)
    assert share == values["models"]["main"]["canary"]["replicas"]


def test_a_canary_of_before_is_replaced() -> None:
    once = with_canary(SERVING, changed(engine={"args": {"a": 1}}), 10)
    again = with_canary(once, changed(chatTemplate="{{ x }}"), 20)
    assert {"percent": 20, "replicas": 2, "chatTemplate": "{{ x }}"} == again["models"]["main"]["canary"]
    assert 20 == again["record"]["canary"]["percent"]


def test_what_stands_elsewhere_counts_where_it_is_about_the_model() -> None:
    new = changed()
    new["engine"] = {"image": {"tag": "v0.33.0"}}
    new["modelDefaults"] = {"placement": {"priorityClassName": "high"}}
    new["store"] = {"secret": "s3"}
    canary = with_canary(SERVING, new, 10)["models"]["main"]["canary"]
    assert {"tag": "v0.33.0"} == canary["engine"]["image"]
    assert SERVING["models"]["main"]["engine"]["args"] == canary["engine"]["args"]
    assert {"priorityClassName": "high"} == canary["placement"]
    assert ["store"] == left_out(SERVING, new)


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (changed(), "not even its other values do"),
        (changed(slo={"ttftMs": 9}, replicas=9, rollout="replace"), "nothing about the model differs"),
        ({**changed(), "router": {"replicas": 3}}, "what does is router; `shipfit deploy` changes it"),
        (changed(servedName="other", engine={}), "the model is called other now, and clients ask for llama"),
    ],
)
def test_where_a_canary_could_show_nothing_it_is_said(new: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        with_canary(SERVING, new, 10)
    assert reason in str(caught.value)
