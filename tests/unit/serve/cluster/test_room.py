from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.serve.cluster.room import Node, nodes, place, quantity, requests, spoken

GPU = "nvidia.com/gpu"
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(name: str = "a", free: dict[str, float] | None = None, **spec: Any) -> Node:
    amounts = {"pods": 10, "cpu": 8, "memory": 2**36, GPU: 4} | (free or {})
    return Node(
        name, spec.get("labels", {}), spec.get("taints", []), {k: Decimal(v) for k, v in amounts.items()}
    )


def pod(gpus: int = 1, **spec: Any) -> dict[str, Any]:
    return {"containers": [{"resources": {"limits": {GPU: str(gpus)}}}], **spec}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("1Ki", "1024"),
        ("1.5Gi", str(3 * 2**29)),
        ("2", "2"),
        ("1e3", "1000"),
        ("3k", "3000"),
        (4, "4"),
    ],
)
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert Decimal(number) == quantity(text)


@pytest.mark.parametrize("text", ["", "many", "1 Gi", "1GiB"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_amounts_are_spoken() -> None:
    assert "1.5 GiB memory" == spoken("memory", quantity("1536Mi"))
    assert "0.5 cpu" == spoken("cpu", quantity("500m"))


def test_requests_count_what_runs_first_by_its_largest_and_sidecars_with_the_rest() -> None:
    def asks(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [asks("3"), asks("1", restartPolicy="Always")],
        "containers": [asks("1"), asks("500m")],
    }
    assert {"cpu": Decimal(3)} == requests(spec)
    assert {"cpu": Decimal("3.25")} == requests(spec | {"overhead": {"cpu": "250m"}})


@pytest.mark.parametrize(
    ("spec", "labels", "taints", "why"),
    [
        ({}, {}, [], None),
        ({"nodeSelector": {"gpu": "a100"}}, {}, [], "is not gpu=a100"),
        ({"nodeSelector": {"gpu": "a100"}}, {"gpu": "a100"}, [], None),
        ({}, {}, [TAINT], "has the taint nvidia.com/gpu=present:NoSchedule"),
        ({"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}, {}, [TAINT], None),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "present"}]}, {}, [TAINT], None),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "absent"}]}, {}, [TAINT], "has the taint"),
        ({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}, {}, [TAINT], "has the taint"),
        ({"tolerations": [{"operator": "Exists"}]}, {}, [TAINT], None),
    ],
)
def test_labels_and_taints_decide(
    spec: dict[str, Any], labels: dict[str, str], taints: list[dict[str, str]], why: str | None
) -> None:
    refusal = node(labels=labels, taints=taints).refusal(pod(**spec), requests(pod()))
    assert refusal is None if why is None else why in (refusal or "")


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("In", ["80", "40"], True),
        ("NotIn", ["80"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["70"], True),
        ("Lt", ["70"], False),
    ],
)
def test_required_affinity_is_any_of_its_terms(operator: str, values: list[str], fits: bool) -> None:
    expression = {"key": "memory", "operator": operator, "values": values}
    term = "requiredDuringSchedulingIgnoredDuringExecution"
    never = {"key": "memory", "operator": "In", "values": ["none"]}
    terms = [{"matchExpressions": [never]}, {"matchExpressions": [expression]}]
    spec = pod(affinity={"nodeAffinity": {term: {"nodeSelectorTerms": terms}}})
    assert fits is (node(labels={"memory": "80"}).refusal(spec, requests(spec)) is None)


def test_the_last_one_is_told_what_every_node_lacks() -> None:
    placed = place([node("a", {GPU: 3}), node("b", {GPU: 1}), node("c", taints=[TAINT])], pod(2), 3)
    assert ({"a": 1}, 2) == (placed.on, placed.missing)
    assert [
        "a, with 1 of them, has 1 nvidia.com/gpu free",
        "b has 1 nvidia.com/gpu free",
        "c has the taint nvidia.com/gpu=present:NoSchedule",
    ] == list(placed.reasons)


def test_nodes_hold_what_their_pods_ask_for_unless_they_are_counted_as_gone() -> None:
    machine = {
        "kind": "Node",
        "metadata": {"name": "a"},
        "status": {
            "allocatable": {GPU: "8", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    held = {
        "kind": "Pod",
        "metadata": {"uid": "1"},
        "spec": {"nodeName": "a", **pod(3)},
        "status": {"phase": "Running"},
    }
    assert 5 == nodes([machine, held])[0].free[GPU]
    assert 9 == nodes([machine, held])[0].free["pods"]
    assert 8 == nodes([machine, held], without={"1"})[0].free[GPU]
    assert [] == nodes([machine | {"spec": {"unschedulable": True}}])


@given(st.lists(st.integers(0, 8), max_size=6), st.integers(1, 4), st.integers(0, 20))
def test_every_pod_has_a_place_or_is_missing_and_no_node_gives_more_than_it_has(
    free: list[int], gpus: int, count: int
) -> None:
    at = [node(str(number), {GPU: each}) for number, each in enumerate(free)]
    placed = place(at, pod(gpus), count)
    room = sum(each // gpus for each in free)
    assert min(room, count) == placed.placed
    assert count == placed.placed + placed.missing
    assert all(each.free[GPU] >= 0 for each in at)
    assert bool(placed.missing and free) is bool(placed.reasons)
