"""Hugging Face: the configuration and the safetensors headers of a repository, and the whole of it as a folder.

Everything goes through huggingface_hub, so that its settings hold: HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN, its cache.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress
from shipfit.models.files import TIMEOUT_S
from shipfit.models.reference import ModelReference
from shipfit.models.safetensors import Tensor, checked

QUANTIZATION_FILE = "hf_quant_config.json"
"""Where ModelOpt says how it quantized, in repositories whose ``config.json`` does not."""
_WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
"""What a checkpoint consists of: configuration, weights, tokenizer, chat template. No other copy of the weights."""


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
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if not online:
        return None
    shown = not are_progress_bars_disabled()
    disable_progress_bars()  # a line for every shard would stand before the answer
    try:
        with _explained(reference):
            found = get_safetensors_metadata(reference.name, revision=reference.revision, timeout=TIMEOUT_S)
    except errors.NotASafetensorsRepoError:
        return None
    except errors.SafetensorsParsingError as error:
        raise InputError(
            f"model {reference.text} has a damaged safetensors header: {str(error).splitlines()[0][:200]}",
            hint="name another revision",
        ) from error
    finally:
        if shown:
            enable_progress_bars()
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

    Raises:
        InputError: see ``config_path``.
        EnvironmentFailure: see ``config_path``.
    """
    from huggingface_hub import snapshot_download

    with progress.step(f"fetching {reference.name}"), _explained(reference):
        path = snapshot_download(
            reference.name,
            revision=reference.revision,
            local_files_only=not reachable(reference),
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
            f"{name} lacks {_missing(error)}", hint="name a repository with a transformers model"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise _out_of_reach(name) from error
    except _connection_errors() as error:
        raise _out_of_reach(name) from error


def _missing(error: Exception) -> str:
    """The file that a repository does not have, from the address that was asked for."""
    address = re.search(r"/resolve/[^/\s]+/([^\s?]+?)\.?(?:\s|$)", str(error))
    return address[1] if address else "a file that it should have"


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
