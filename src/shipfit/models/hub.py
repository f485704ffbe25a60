"""Hugging Face: the configuration and the safetensors headers of a repository, and the whole of it as a folder.

Everything goes through huggingface_hub, so that its settings hold: HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN, its cache.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress
from shipfit.models.files import TIMEOUT_S
from shipfit.models.reference import ModelReference

_WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
"""What a checkpoint consists of: configuration, weights, tokenizer, chat template. No other copy of the weights."""


def config_path(reference: ModelReference) -> Path:
    """The repository's ``config.json`` in the usual cache, fetched if it is not there.

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
            local_files_only=not _reachable(reference),
            etag_timeout=TIMEOUT_S,
        )
    return Path(path)


def _reachable(reference: ModelReference) -> bool:
    """Whether the hub answers for a repository; where it does not, only the cache is left.

    One request with a short time-out: huggingface_hub's downloads would retry for half a minute before they say so.

    Raises:
        InputError: it answers that there is no such repository or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return False
    with _explained(reference):
        try:
            HfApi().model_info(reference.name, revision=reference.revision, timeout=TIMEOUT_S)
        except _connection_errors():
            return False
    return True


def stored_bytes(reference: ModelReference, leave_out: tuple[str, ...]) -> int | None:
    """Bytes of a repository's tensors from its safetensors headers, by range requests; None where it has none.

    Args:
        reference: the repository.
        leave_out: names of tensors that are not counted.

    Raises:
        InputError: see ``config_path``.
        EnvironmentFailure: see ``config_path``.
    """
    from huggingface_hub import get_safetensors_metadata
    from huggingface_hub.constants import is_offline_mode
    from huggingface_hub.errors import NotASafetensorsRepoError

    if is_offline_mode():
        return None
    with _explained(reference):
        try:
            found = get_safetensors_metadata(reference.name, revision=reference.revision, timeout=TIMEOUT_S)
        except NotASafetensorsRepoError:
            return None
    return sum(
        tensor.data_offsets[1] - tensor.data_offsets[0]
        for file in found.files_metadata.values()
        for name, tensor in file.tensors.items()
        if name not in leave_out
    )


def download(reference: ModelReference, progress: Progress) -> Path:
    """The whole repository as a folder in the usual cache; its name is the exact revision.

    Raises:
        InputError: see ``config_path``.
        EnvironmentFailure: see ``config_path``.
    """
    from huggingface_hub import snapshot_download

    with progress.step(f"fetching {reference.name}"), _explained(reference):
        path = snapshot_download(
            reference.name,
            revision=reference.revision,
            local_files_only=not _reachable(reference),
            allow_patterns=_WANTED,
            etag_timeout=TIMEOUT_S,
        )
    return Path(path)


@contextmanager
def _explained(reference: ModelReference) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line."""
    from huggingface_hub import errors

    name = f"model {reference.text}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name} is gated", hint="accept its terms on Hugging Face and set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        hint = "check the spelling; for a private one set HF_TOKEN; a folder begins with ./ or /"
        raise InputError(f"{name} is not on Hugging Face", hint=hint) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{name} has no revision {reference.revision}", hint="name a branch, tag or commit"
        ) from error
    except errors.LocalEntryNotFoundError as error:  # out of reach or offline; before its parent class below
        raise _out_of_reach(name) from error
    except errors.EntryNotFoundError as error:
        raise InputError(
            f"{name} has no config.json", hint="name a repository with a transformers model"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise _out_of_reach(name) from error
    except _connection_errors() as error:
        raise _out_of_reach(name) from error


def _connection_errors() -> tuple[type[Exception], ...]:
    """What a failed connection raises: huggingface_hub 1 speaks through httpx, 2 through httpx2."""
    return tuple(sys.modules[name].TransportError for name in ("httpx", "httpx2") if name in sys.modules)


def _out_of_reach(name: str) -> EnvironmentFailure:
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return EnvironmentFailure(
            f"{name} is not in the local cache and HF_HUB_OFFLINE is set",
            hint="unset it, or name a folder with the model",
        )
    return EnvironmentFailure(
        f"{name} is not in the local cache and Hugging Face is out of reach",
        hint="check the network, or name a folder with the model",
    )
