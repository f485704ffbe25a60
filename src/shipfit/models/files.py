"""A checkpoint's files, wherever they lie: whole small ones, and parts of large ones, without a download."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from shipfit.core.errors import (
    EnvironmentFailure,
    InputError,
    ShipfitError,
    from_os_error,
    missing_certificates,
)

TIMEOUT_S = 5
"""Seconds to wait for an answer before saying that there is none."""


class Files(Protocol):
    """A folder of a checkpoint."""

    def where(self, name: str) -> str:
        """A file's address, for messages."""

    def names(self) -> list[str]:
        """The files in it."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where it is not there."""

    def whole(self, name: str) -> bytes | None:
        """A file's content; None where it is not there."""

    def part(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of a file that is there, fewer at its end."""


class LocalFiles:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def where(self, name: str) -> str:
        """A file's address, for messages."""
        return str(self._folder / name)

    def names(self) -> list[str]:
        """The files in it; none where there is no such folder."""
        return sorted(path.name for path in self._folder.iterdir()) if self._folder.is_dir() else []

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where it is not there.

        Raises:
            EnvironmentFailure: it cannot be asked.
        """
        try:
            return (self._folder / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(error) from error

    def whole(self, name: str) -> bytes | None:
        """A file's content; None where it is not there.

        Raises:
            InputError: it is a folder.
            EnvironmentFailure: it cannot be read.
        """
        try:
            return (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(error) from error

    def part(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of a file that is there, fewer at its end.

        Raises:
            InputError: it is a folder.
            EnvironmentFailure: it cannot be read.
        """
        try:
            with (self._folder / name).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except OSError as error:
            raise _unreadable(error) from error


def _unreadable(error: OSError) -> ShipfitError:
    if isinstance(error, IsADirectoryError):
        return InputError(
            "is a folder, not a file", hint="download the model again", where=str(error.filename)
        )
    return from_os_error(error, "reading")


class StoreFiles:
    """A folder in object storage, read with the usual credentials of its kind.

    Args:
        url: the folder, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.store = _open(url)

    def where(self, name: str) -> str:
        """A file's address, for messages."""
        return f"{self._url}/{name}"

    def names(self) -> list[str]:
        """The files in it.

        Raises:
            EnvironmentFailure: the store is out of reach or does not allow it.
        """
        try:
            return sorted(str(each["path"]) for each in self.store.list_with_delimiter()["objects"])
        except Exception as error:
            raise store_failure(self._url, error) from error

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where it is not there.

        Raises:
            EnvironmentFailure: the store is out of reach or does not allow it.
        """
        from obstore.exceptions import NotFoundError

        try:
            return int(self.store.head(name)["size"])
        except (NotFoundError, FileNotFoundError):
            return None
        except Exception as error:
            raise store_failure(self.where(name), error) from error

    def whole(self, name: str) -> bytes | None:
        """A file's content; None where it is not there.

        Raises:
            EnvironmentFailure: the store is out of reach or does not allow it.
        """
        from obstore.exceptions import NotFoundError

        try:
            return bytes(self.store.get(name).bytes())
        except (NotFoundError, FileNotFoundError):
            return None
        except Exception as error:
            raise store_failure(self.where(name), error) from error

    def part(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of a file that is there, fewer at its end.

        Raises:
            EnvironmentFailure: the store is out of reach or does not allow it.
        """
        try:
            return bytes(self.store.get_range(name, start=offset, end=offset + length))
        except Exception as error:
            raise store_failure(self.where(name), error) from error


def store_failure(where: str, error: Exception) -> EnvironmentFailure:
    """One line for whatever an object store answered."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return EnvironmentFailure(f"{where} may not be read", hint="check the credentials and their policy")
    reason = str(error).strip().splitlines()[0][:200]
    return EnvironmentFailure(f"{where} cannot be read: {reason}", hint="check the address and the network")


def _open(url: str) -> Any:
    from datetime import timedelta

    from obstore.exceptions import BaseError
    from obstore.store import from_url

    limits: Any = {"timeout": timedelta(seconds=60), "connect_timeout": timedelta(seconds=TIMEOUT_S)}
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    if url.startswith("http://") or (url.startswith("s3") and endpoint.startswith("http://")):
        limits["allow_http"] = True  # who names such an address means it
    retries: Any = {"max_retries": 1, "retry_timeout": timedelta(seconds=TIMEOUT_S)}
    try:
        if url.startswith("file://"):
            return from_url(url)
        return from_url(url, client_options=limits, retry_config=retries)
    except (BaseError, ValueError) as error:
        if without := missing_certificates(error, f"model {url}"):
            raise without from error
        raise InputError(
            f"model {url} is no address of an object store: {str(error).splitlines()[0][:200]}",
            hint="write s3://bucket/path, gs://bucket/path or az://container/path",
        ) from error
