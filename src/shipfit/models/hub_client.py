"""What every use of huggingface_hub needs: its errors as one line, and no bars of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shipfit.core.errors import EnvironmentFailure, InputError


@contextmanager
def explained(name: str, revision: str | None, *, wanted: str, instead: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line.

    Args:
        name: what the repository is called in the line, as "model org/name".
        revision: the one that is asked for.
        wanted: what to do where a file is missing from it.
        instead: what does without the hub.

    Raises:
        InputError: there is no such repository, revision or file, or it is gated.
        EnvironmentFailure: the hub is out of reach (or HF_HUB_OFFLINE is set) and the file not in the cache.
    """
    from huggingface_hub import errors

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
        raise InputError(f"{name} has no revision {revision}", hint="name a branch, tag or commit") from error
    except errors.LocalEntryNotFoundError as error:  # out of reach or offline; before its parent class below
        raise out_of_reach(name, instead) from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{name} lacks {_missing(error)}", hint=wanted) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise out_of_reach(name, instead) from error
    except connection_errors() as error:
        raise out_of_reach(name, instead) from error


def connection_errors() -> tuple[type[Exception], ...]:
    """What a failed connection raises: huggingface_hub 1 speaks through httpx, 2 through httpx2."""
    return tuple(sys.modules[name].TransportError for name in ("httpx", "httpx2") if name in sys.modules)


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep huggingface_hub from drawing its bars: shipfit shows progress in its own style."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


def out_of_reach(name: str, instead: str) -> EnvironmentFailure:
    """The error for what neither the hub nor the local cache has; ``instead`` is what does without both."""
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return EnvironmentFailure(
            f"{name} is not in the local cache and HF_HUB_OFFLINE is set", hint=f"unset it, or {instead}"
        )
    return EnvironmentFailure(
        f"{name} is not in the local cache and Hugging Face is out of reach",
        hint=f"check the network, or {instead}",
    )


def _missing(error: Exception) -> str:
    """The file that a repository does not have, from the address that was asked for."""
    address = re.search(r"/resolve/[^/\s]+/([^\s?]+?)\.?(?:\s|$)", str(error))
    return address[1] if address else "a file that it should have"
