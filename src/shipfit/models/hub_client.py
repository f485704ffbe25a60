"""What every use of huggingface_hub needs: its errors as one line, and no bars of its own."""

from __future__ import annotations

import errno
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shipfit.core.errors import EnvironmentFailure, InputError, from_os_error
from shipfit.core.progress import Progress
from shipfit.core.units import MIB

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""What is wrong with the cache's disk, and not with the network."""


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
        EnvironmentFailure: the hub is out of reach (or HF_HUB_OFFLINE is set) and the file not in the cache, or the
            cache cannot be written.
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
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise from_os_error(error, f"fetching {name}") from error
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


def bars_into(progress: Progress, total: int) -> Any:
    """A class of bars for huggingface_hub that draw nothing and tell of bytes instead.

    Args:
        progress: told of them.
        total: bytes that will come.
    """
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Told(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread that draws what stands still

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            settings.pop("name", None)  # huggingface_hub's own
            super().__init__(*arguments, **{**settings, "disable": False, "file": io.StringIO()})

        def display(self, *_arguments: Any, **_settings: Any) -> None:
            if self.unit == "B" and total:
                text = f"fetching: {self.n / MIB:,.0f} of {total / MIB:,.0f} MiB"
                progress.update(text, min(self.n / total, 1.0))

    return Told


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
