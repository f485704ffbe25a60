"""Hugging Face: the configuration and the safetensors headers of a repository, and the whole of it as a folder.

Everything goes through huggingface_hub, so that its settings hold: HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN, its cache.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from shipfit.core.disk import Wanted, require_room
from shipfit.core.errors import InputError
from shipfit.core.progress import Progress
from shipfit.models.files import TIMEOUT_S
from shipfit.models.hub_client import bars_into, connection_errors, explained, without_bars
from shipfit.models.reference import ModelReference
from shipfit.models.safetensors import Tensor, checked

QUANTIZATION_FILE = "hf_quant_config.json"
"""Where ModelOpt says how it quantized, in repositories whose ``config.json`` does not."""
_WANTED = [
    *("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"),
    *("README.md", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*"),
]
"""What a checkpoint consists of: configuration, weights, tokenizer, chat template, and the terms that go with them. No
other copy of the weights."""


def config_path(reference: ModelReference, *, online: bool) -> Path:
    """The repository's ``config.json`` in the usual cache, fetched if it is not there.

    Args:
        reference: the repository.
        online: whether the hub answers for it; so in all that follows.

    Raises:
        InputError: there is no such repository, revision or file, or it is gated.
        EnvironmentFailure: the hub is out of reach (or HF_HUB_OFFLINE is set) and the file not in the cache.
    """
    from huggingface_hub import hf_hub_download

    with _explained(reference):
        path = hf_hub_download(
            reference.name,
            "config.json",
            revision=reference.revision,
            local_files_only=not online,
            etag_timeout=TIMEOUT_S,
        )
    return Path(path)


def reachable(reference: ModelReference) -> bool:
    """Whether the hub answers for a repository; where it does not, only the cache is left.

    Raises:
        InputError: it answers that there is no such repository or revision.
    """
    return commit(reference) is not None


def commit(reference: ModelReference) -> str | None:
    """The commit that a repository's revision stands for now; None where the hub does not answer.

    One request with a short time-out: huggingface_hub's downloads would retry for half a minute before they say so.

    Raises:
        InputError: it answers that there is no such repository or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return None
    with _explained(reference):
        try:
            info = HfApi().model_info(reference.name, revision=reference.revision, timeout=TIMEOUT_S)
        except connection_errors():
            return None
    return info.sha


def quantization(reference: ModelReference, *, online: bool) -> bytes | None:
    """The content of the repository's ``hf_quant_config.json``; None where it has none, or it is out of reach.

    Raises:
        InputError: see ``config_path``.
        EnvironmentFailure: see ``config_path``.
    """
    from huggingface_hub import errors, hf_hub_download

    with _explained(reference):
        try:
            path = hf_hub_download(
                reference.name,
                QUANTIZATION_FILE,
                revision=reference.revision,
                local_files_only=not online,
                etag_timeout=TIMEOUT_S,
            )
        except (errors.EntryNotFoundError, errors.LocalEntryNotFoundError):
            return None
    return Path(path).read_bytes()


def tensors(reference: ModelReference, *, online: bool) -> dict[str, Tensor] | None:
    """The tensors of a repository from its safetensors headers, by range requests; None without, or out of reach.

    Raises:
        InputError: see ``config_path``; and a header is damaged, or the index names a file that is not there.
        EnvironmentFailure: see ``config_path``.
    """
    from huggingface_hub import errors, get_safetensors_metadata

    if not online:
        return None
    try:
        with _explained(reference), without_bars():  # a line for every shard would stand before the answer
            found = get_safetensors_metadata(reference.name, revision=reference.revision, timeout=TIMEOUT_S)
    except errors.NotASafetensorsRepoError:
        return None
    except errors.SafetensorsParsingError as error:
        raise InputError(
            f"model {reference.text} has a damaged safetensors header: {str(error).splitlines()[0][:200]}",
            hint="name another revision",
        ) from error
    return {
        name: tensor
        for file, content in found.files_metadata.items()
        for name, tensor in checked(
            {
                name: {
                    "dtype": each.dtype,
                    "shape": list(each.shape),
                    "data_offsets": list(each.data_offsets),
                }
                for name, each in content.tensors.items()
            },
            None,
            f"{reference.name}/{file}",
        ).items()
    }


def download(reference: ModelReference, progress: Progress) -> Path:
    """The whole repository as a folder in the usual cache; its name is the exact revision.

    What a call that was cut off has brought is not asked for again.

    Raises:
        InputError: see ``config_path``.
        EnvironmentFailure: see ``config_path``; and the disk has no room.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    online = reachable(reference)
    wanted: Any = {"revision": reference.revision, "allow_patterns": _WANTED, "etag_timeout": TIMEOUT_S}
    with progress.step(f"fetching {reference.name}"), _explained(reference):
        to_come = 0
        if online:
            with without_bars():
                files = snapshot_download(reference.name, dry_run=True, **wanted)
            to_come = sum(each.file_size or 0 for each in files if each.will_download)
            require_room(Wanted(reference.name, to_come, Path(HF_HUB_CACHE), "HF_HUB_CACHE"))
        bars = bars_into(progress, to_come)
        path = snapshot_download(reference.name, local_files_only=not online, tqdm_class=bars, **wanted)
    return Path(path)


def _explained(reference: ModelReference) -> AbstractContextManager[None]:
    return explained(
        f"model {reference.text}",
        reference.revision,
        wanted="name a repository with a transformers model",
        instead="name a folder with the model",
    )
