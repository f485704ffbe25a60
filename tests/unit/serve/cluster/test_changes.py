from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipfit.serve.cluster.changes import changes, differences, documents


def deployment(image: str = "vllm:1", **spec: Any) -> dict[str, Any]:
    pod = {"spec": {"containers": [{"name": "vllm", "image": image, "args": ["--a", "1"]}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "main"},
        "spec": {"replicas": 2, "template": pod, **spec},
    }


def settings(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def test_what_is_added_changed_and_removed_is_told_and_whether_pods_restart() -> None:
    before = [deployment(), settings(a="1")]
    after = [deployment("vllm:2"), {**settings(), "kind": "Service"}]
    found = changes(before, after)
    assert [("change", "Deployment"), ("add", "Service"), ("remove", "ConfigMap")] == [
        (each.action, each.kind) for each in found
    ]
    assert ["spec.template.spec.containers[vllm].image: vllm:1 -> vllm:2"] == found[0].fields
    assert [True, False, False] == [each.restarts for each in found]


def test_groups_of_pods_are_made_anew_where_their_template_changes() -> None:
    def group(size: int, **spec: Any) -> dict[str, Any]:
        made = {"leaderWorkerTemplate": {"size": size}, **spec}
        return {"apiVersion": "x/v1", "kind": "LeaderWorkerSet", "metadata": {"name": "main"}, "spec": made}

    (found,) = changes([group(2)], [group(4)])
    assert (["spec.leaderWorkerTemplate.size: 2 -> 4"], True) == (found.fields, found.restarts)
    (found,) = changes([group(2)], [group(2, replicas=2)])
    assert not found.restarts


def test_a_number_of_replicas_restarts_nothing() -> None:
    (found,) = changes([deployment()], [deployment(replicas=3)])
    assert (["spec.replicas: 2 -> 3"], False) == (found.fields, found.restarts)


def test_nothing_is_no_change() -> None:
    assert [] == changes([deployment(), settings()], [settings(), deployment()])


def test_data_is_not_shown_and_what_the_cluster_sets_not_compared() -> None:
    before, after = settings(key="old"), settings(key="new")
    before["metadata"] |= {"uid": "1", "resourceVersion": "7"}
    before["status"] = {"phase": "x"}
    assert ["data.key: changed"] == list(differences(before, after))


def test_lists_without_names_are_compared_by_place() -> None:
    assert ["a[1]: 2 -> 3", "a[2]: none -> 4"] == list(differences({"a": [1, 2]}, {"a": [1, 3, 4]}))


def test_objects_of_a_manifest() -> None:
    assert ["a", "b"] == [each["kind"] for each in documents("---\n# one\nkind: a\n---\n---\nkind: b\n")]


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(values, values)
def test_there_is_a_difference_exactly_where_there_is_one(one: Any, other: Any) -> None:
    assert [] == list(differences(one, one))
    plain = {"x": one}, {"x": other}
    told = list(differences(*plain))
    assert all(line.startswith("x") for line in told)
    if not _empty_apart(one, other):
        assert bool(told) is (one != other)


def _empty_apart(one: Any, other: Any) -> bool:
    """What differs only by an absent value beside None, or by emptiness, says nothing that anybody chose."""
    return one != other and _bare(one) == _bare(other)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: bare for key, each in value.items() if (bare := _bare(each)) is not None} or {}
    if isinstance(value, list):
        bare = [_bare(each) for each in value]
        while bare and bare[-1] is None:
            bare.pop()
        return bare
    return value
