"""Reading the facts of a model from wherever it lies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models import catalogue
from shipfit.models.architectures import read_config
from shipfit.models.facts import ModelFacts
from shipfit.models.files import Files, LocalFiles, StoreFiles
from shipfit.models.reference import ModelReference
from shipfit.models.safetensors import read_header, tensor_bytes, weight_files

_INDEX = "model.safetensors.index.json"


def facts_of(reference: ModelReference) -> ModelFacts:
    """The facts of a model.

    Raises:
        InputError: there is no such model, a file of it is damaged, or its architecture is not known.
        EnvironmentFailure: the hub or the store is out of reach.
    """
    if known := catalogue.find(reference.text):
        return read_config(known.config, reference.text, known.source)
    if reference.kind == "bundled":
        names = [name for entry in catalogue.entries() for name in entry.names if name.startswith("bundled:")]
        raise InputError(
            f"no bundled model is called {reference.name!r}", hint=f"there is: {', '.join(names)}"
        )
    if reference.kind == "hub":
        return _from_hub(reference)
    if reference.path is not None:
        return _from_folder(reference, LocalFiles(reference.path))
    return _from_folder(reference, StoreFiles(reference.url or ""))


def _from_folder(reference: ModelReference, files: Files) -> ModelFacts:
    raw = files.whole("config.json")
    where = files.where("config.json")
    if raw is None:
        raise InputError("there is no such file", hint="name a folder that holds a model", where=where)
    facts = read_config(_object(raw, where), reference.text, where)
    return replace(facts, stored_bytes=_stored_bytes(files, facts))


def _from_hub(reference: ModelReference) -> ModelFacts:
    from shipfit.models import hub

    path = hub.config_path(reference)
    facts = read_config(_object(path.read_bytes(), str(path)), reference.text, str(path))
    cached = _stored_bytes(LocalFiles(path.parent), facts)
    return replace(facts, stored_bytes=cached or hub.stored_bytes(reference, _unused(facts)))


def _stored_bytes(files: Files, facts: ModelFacts) -> int | None:
    """Bytes of the tensors in a folder; None where it holds no safetensors, or not all of them."""
    index = files.whole(_INDEX)
    total = 0
    for name in weight_files(index, files.where(_INDEX)):
        if index is None and not _exists(files, name):
            return None
        where = files.where(name)

        def read(offset: int, length: int, name: str = name) -> bytes:
            return files.part(name, offset, length)

        total += tensor_bytes(read_header(read, where), where, leave_out=_unused(facts))
    return total


def _exists(files: Files, name: str) -> bool:
    from shipfit.core.errors import ShipfitError

    try:
        files.part(name, 0, 1)
    except ShipfitError:
        return False
    return True


def _unused(facts: ModelFacts) -> tuple[str, ...]:
    """Tensors that a checkpoint may store though no engine loads them."""
    return ("lm_head.weight",) if facts.tied else ()


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise InputError(
            f"is not JSON: {str(error).splitlines()[0]}", hint="download that file again", where=where
        ) from None
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", hint="download that file again", where=where)
    return value
