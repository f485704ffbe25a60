"""The one place that says where shipfit keeps things.

| folder | holds | default | override |
|---|---|---|---|
| cache | environments, snapshots, pulled artifacts: can be made again | ~/.cache/shipfit | SHIPFIT_CACHE_DIR |
| state | running deployments, logs, reports, work in progress | ~/.local/state/shipfit | SHIPFIT_STATE_DIR |
| data | the embedded object store: the only copy of its artifacts | ~/.local/share/shipfit | SHIPFIT_DATA_DIR |
| config | the user's own GPU catalogue | ~/.config/shipfit | SHIPFIT_CONFIG_DIR |

The defaults obey the XDG variables (XDG_CACHE_HOME and so on). SHIPFIT_ENVIRONMENTS_DIR names a folder of environments
that were built before, as in the container image; it is only read (``shipfit.environments``).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from shipfit.core.errors import from_os_error


def cache_dir(*parts: str) -> Path:
    """A folder below the cache folder; made if it is not there."""
    return _folder("SHIPFIT_CACHE_DIR", platformdirs.user_cache_path("shipfit"), parts)


def state_dir(*parts: str) -> Path:
    """A folder below the state folder; made if it is not there."""
    return _folder("SHIPFIT_STATE_DIR", platformdirs.user_state_path("shipfit"), parts)


def data_dir(*parts: str) -> Path:
    """A folder below the data folder; made if it is not there."""
    return _folder("SHIPFIT_DATA_DIR", platformdirs.user_data_path("shipfit"), parts)


def config_dir() -> Path:
    """The folder of the user's own settings; not made."""
    return Path(os.environ.get("SHIPFIT_CONFIG_DIR") or platformdirs.user_config_path("shipfit"))


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Args:
        path: the file; its folder must exist.
        content: text (written as UTF-8) or bytes.
        mode: permission bits; 0o600 for secrets.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise from_os_error(error, f"writing {path.name}") from error


def _folder(variable: str, default: Path, parts: tuple[str, ...]) -> Path:
    path = Path(os.environ.get(variable) or default).joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"making a folder (set {variable} to use another)") from error
    return path
