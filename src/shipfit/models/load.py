"""Reading the facts of a model from wherever it lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from shipfit.core.errors import InputError
from shipfit.models import catalogue
from shipfit.models.architectures import read_config
from shipfit.models.facts import ModelFacts
from shipfit.models.files import Files, LocalFiles, StoreFiles
from shipfit.models.hub import QUANTIZATION_FILE
from shipfit.models.quantization import with_formats
from shipfit.models.reference import ModelReference
from shipfit.models.safetensors import Tensor, read_header, weight_files
from shipfit.models.stored import with_stored

_INDEX = "model.safetensors.index.json"
_AT_ONCE = 8
"""Files whose headers are asked for at the same time."""


def facts_of(reference: ModelReference) -> ModelFacts:
    """The facts of a model.

    Raises:
        InputError: there is no such model, a file of it is damaged, or its architecture is not known.
        EnvironmentFailure: the hub or the store is out of reach.
    """
    if known := catalogue.find(reference.text):
        return replace(read_config(known.config, reference.text, known.source), checked=known.checked)
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
        raise _without_config(files)
    facts = _described(raw, reference, where, partial(files.whole, QUANTIZATION_FILE))
    tensors = _tensors(files)
    return facts if tensors is None else with_stored(facts, tensors)


def _from_hub(reference: ModelReference) -> ModelFacts:
    from shipfit.models import hub

    online = hub.reachable(reference)
    path = hub.config_path(reference, online=online)
    beside = partial(hub.quantization, reference, online=online)
    facts = _described(path.read_bytes(), reference, str(path), beside)
    files = LocalFiles(path.parent)
    tensors = _tensors(files) if _complete(files) else hub.tensors(reference, online=online)
    return facts if tensors is None else with_stored(facts, tensors)


def _described(
    raw: bytes, reference: ModelReference, where: str, beside: Callable[[], bytes | None]
) -> ModelFacts:
    """The facts from a ``config.json``, and from the file beside it that ModelOpt may have written."""
    facts = read_config(_object(raw, where), reference.text, where)
    if facts.quantization is None and (other := beside()):
        where = where.replace("config.json", QUANTIZATION_FILE)
        return with_formats(facts, {"quantization_config": _object(other, where)}, where)
    return facts


def _tensors(files: Files) -> dict[str, Tensor] | None:
    """The tensors in a folder by name; None where it holds no safetensors.

    Raises:
        InputError: a file is damaged, or the index names one that is not there.
    """
    from concurrent.futures import ThreadPoolExecutor

    index = files.whole(_INDEX)
    names = weight_files(index, files.where(_INDEX))
    if index is None and files.size(names[0]) is None:
        return None
    with ThreadPoolExecutor(min(_AT_ONCE, len(names) or 1)) as pool:
        headers = list(pool.map(lambda name: _header(files, name), names))
    return {name: tensor for header in headers for name, tensor in header.items()}


def _header(files: Files, name: str) -> dict[str, Tensor]:
    size = files.size(name)
    where = files.where(name)
    if size is None:
        raise InputError(
            "is missing, though the index names it", hint="download the model again", where=where
        )

    def read(offset: int, length: int) -> bytes:
        length = min(length, size - offset)
        return files.part(name, offset, length) if length > 0 else b""

    return read_header(read, size, where)


def _complete(files: Files) -> bool:
    """Whether every file of a checkpoint is there; the hub's cache may hold only some."""
    index = files.whole(_INDEX)
    return all(files.size(name) is not None for name in weight_files(index, files.where(_INDEX)))


def _without_config(files: Files) -> InputError:
    """What is missing in a folder without a ``config.json``."""
    where = files.where("config.json")
    if any(name.endswith(".gguf") for name in files.names()):
        return InputError(
            "there is no such file, only GGUF",
            hint="put the config.json of the model that it was made from beside it",
            where=where,
        )
    return InputError("there is no such file", hint="name a folder that holds a model", where=where)


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"is not JSON: {str(error).splitlines()[0]}", hint="download that file again", where=where
        ) from None
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", hint="download that file again", where=where)
    return value
