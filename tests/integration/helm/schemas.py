"""JSON Schemas of what an API server takes, made from what it says itself: its OpenAPI document and its CRDs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_PREFIX = "#/definitions/"
_LOOSE: dict[str, Schema] = {  # what YAML may write in more than one type
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}


def write(folder: Path, openapi: Schema, definitions: list[Schema], kinds: set[tuple[str, str]]) -> None:
    """One file a kind, named as kubeconform's ``{{.ResourceKind}}{{.KindSuffix}}.json``.

    Args:
        openapi: the server's ``/openapi/v2``.
        definitions: its CustomResourceDefinitions.
        kinds: apiVersion and kind of each that is wanted.
    """
    found: dict[tuple[str, str], Schema] = {}
    for schema in openapi["definitions"].values():
        for each in schema.get("x-kubernetes-group-version-kind", ()):
            key = ("/".join(filter(None, (each["group"], each["version"]))), each["kind"])
            if key in kinds:
                found[key] = _resolve(schema, openapi["definitions"])
    for each in definitions:
        spec = each["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            if key in kinds:
                found[key] = _of_kind(version["schema"]["openAPIV3Schema"])
    missing = kinds - found.keys()
    assert not missing, f"the cluster does not know {missing}"
    for (api, kind), schema in found.items():
        group, _, version = api.rpartition("/")
        suffix = "-".join(filter(None, (group.partition(".")[0], version)))
        (folder / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(_strict(schema)))


def _resolve(schema: Any, definitions: dict[str, Schema]) -> Any:
    """The schema with everything that it refers to in place of the reference."""
    if isinstance(schema, list):
        return [_resolve(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(name := schema.get("$ref"), str):
        name = name.removeprefix(_PREFIX)
        return _LOOSE.get(name) or _resolve(definitions[name], definitions)
    return {key: _resolve(each, definitions) for key, each in schema.items()}


def _of_kind(schema: Schema) -> Schema:
    """A CRD's schema says nothing of what all objects have."""
    common: Schema = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    return {**schema, "properties": {**schema["properties"], **common}}


def _strict(schema: Any) -> Any:
    """No unknown keys, where the server would drop them without a word."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(each) for key, each in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["string", "integer"]
    closed = schema.get("type") == "object" and isinstance(schema.get("properties"), dict)
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    return strict
