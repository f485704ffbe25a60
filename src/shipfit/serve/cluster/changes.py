"""What differs between two sets of Kubernetes objects, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from shipfit.serve.cluster import groups
from shipfit.serve.cluster.kubectl import Object

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SHOWN = 60  # characters of a value
_TEMPLATES = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet"), "template"),
    groups.SET: "leaderWorkerTemplate",
}
"""What of an object's spec its pods are made from, by kind."""
# Set by the cluster, or the mark of the chart that made it: nothing that anybody chose.
_NOT_CHOSEN = {
    *("metadata.managedFields", "metadata.resourceVersion", "metadata.uid", "metadata.generation"),
    *("metadata.creationTimestamp", "status"),
}


@dataclass(frozen=True)
class Change:
    """What becomes of one object.

    Attributes:
        action: of the object.
        kind: such as ``Deployment``.
        name: its name.
        fields: what changes in it: path, before and after.
        restarts: whether pods are replaced by it.
    """

    action: Literal["add", "change", "remove"]
    kind: str
    name: str
    fields: list[str]
    restarts: bool = False


def documents(manifest: str) -> list[Object]:
    """The objects of a manifest."""
    return [each for each in yaml.load_all(manifest, Loader=_Loader) if each]


def changes(before: list[Object], after: list[Object]) -> list[Change]:
    """What has to be done to get from one set of objects to another, in the order of the new ones."""
    old, new = ({_identity(each): each for each in every} for every in (before, after))
    found = []
    for key, each in new.items():
        if key not in old:
            found.append(Change("add", each["kind"], _name(each), []))
        elif fields := list(differences(old[key], each)):
            found.append(Change("change", each["kind"], _name(each), fields, _restarts(old[key], each)))
    found += [Change("remove", each["kind"], _name(each), []) for key, each in old.items() if key not in new]
    return found


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Every value that differs: ``spec.replicas: 2 -> 3``; secrets' content is not shown."""
    if before == after or path in _NOT_CHOSEN:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), inner)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_list(before, after, path)
    elif path.startswith(("data.", "stringData.")):
        yield f"{path}: changed"
    else:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"


def _in_list(before: list[Any], after: list[Any], path: str) -> Iterator[str]:
    """Entries that have names are compared by name, all others by place."""
    old, new = _by_name(before), _by_name(after)
    if old is not None and new is not None:
        for name in [*old, *(name for name in new if name not in old)]:
            yield from differences(old.get(name), new.get(name), f"{path}[{name}]")
        return
    for place in range(max(len(before), len(after))):
        old_one, new_one = (each[place] if place < len(each) else None for each in (before, after))
        yield from differences(old_one, new_one, f"{path}[{place}]")


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    names = [each.get("name") if isinstance(each, Mapping) else None for each in entries]
    if None in names or len(set(names)) < len(names):
        return None
    return dict(zip(map(str, names), entries, strict=True))


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _restarts(before: Object, after: Object) -> bool:
    template = _TEMPLATES.get(after["kind"])
    return template is not None and before["spec"][template] != after["spec"][template]


def _identity(each: Object) -> tuple[str, str, str]:
    return each["apiVersion"].rpartition("/")[0], each["kind"], _name(each)


def _name(each: Object) -> str:
    return str(each["metadata"]["name"])
