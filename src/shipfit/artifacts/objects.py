"""Reading and writing objects of a store by key; its errors come out as lines for a user.

Two clients for one store: a quick one for small objects and listings, so that a store that does not answer is reported
within some 15 seconds, and a patient one for files, since one part of a large upload may take a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import LocalStore, MemoryStore

from shipfit.artifacts.explain import explained
from shipfit.core import locks

if TYPE_CHECKING:
    from obstore import Bytes
    from obstore.store import ClientConfig, RetryConfig

QUICK_CLIENT: ClientConfig = {"connect_timeout": "4s", "timeout": "6s"}
QUICK_RETRY: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}
PATIENT_CLIENT: ClientConfig = {"connect_timeout": "4s", "read_timeout": "60s", "timeout": "1day"}
PATIENT_RETRY: RetryConfig = {**QUICK_RETRY, "max_retries": 3, "retry_timeout": timedelta(seconds=90)}

_PART = 8 * 2**20
_MOST_PARTS = 9_000  # S3 allows 10,000 parts: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_PARTS_IN_FLIGHT = 4
_REQUESTS_AT_ONCE = 8
_CHUNK = 2**20


@dataclass(frozen=True)
class Object:
    """An object in a listing.

    Attributes:
        key: its key below the store's prefix.
        size: in bytes.
        changed: when it was last written, in UTC.
    """

    key: str
    size: int
    changed: datetime


@dataclass(frozen=True)
class Value:
    """A small object with the version that a conditional write names."""

    content: bytes
    version: dict[str, str]


class Objects:
    """A store's objects.

    Args:
        quick: the client for small objects and listings.
        patient: the client for files.
        label: what errors call the store; never with a credential.
        log: the store's own log, named by errors; for the embedded store.
        at_once: requests for content in flight, over all files. One seldom fills a network; on this machine it does,
            where more would only cost the processors (``benchmarks/artifacts.py``).
    """

    def __init__(
        self,
        quick: Any,
        patient: Any,
        label: str,
        *,
        log: Path | None = None,
        at_once: int = _REQUESTS_AT_ONCE,
    ) -> None:
        self._quick = quick
        self._patient = patient
        self.label = label
        self._log = log
        self._at_once = at_once

    def read(self, key: str, doing: str) -> Value | None:
        """A small object; None if it is not there.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with suppress(FileNotFoundError), explained(self.label, doing, self._log):
            result = obstore.get(self._quick, key)
            return Value(bytes(result.bytes()), _version(result.meta))
        return None

    def create(self, key: str, content: bytes, doing: str) -> bool:
        """Write a small object that must not be there yet; False if it is.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with suppress(AlreadyExistsError, PreconditionError), explained(self.label, doing, self._log):
            obstore.put(self._quick, key, content, mode="create")
            return True
        return False

    def write(self, key: str, content: bytes, doing: str) -> None:
        """Write a small object, whatever is there.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with explained(self.label, doing, self._log):
            obstore.put(self._quick, key, content)

    def replace(self, key: str, content: bytes, version: dict[str, str], doing: str) -> bool:
        """Write a small object if it still has ``version``; False if another writer was faster.

        Raises:
            EnvironmentFailure: the store failed.
        """
        if isinstance(self._quick, LocalStore):
            return self._replace_locally(key, content, version, doing)
        with suppress(PreconditionError, AlreadyExistsError), explained(self.label, doing, self._log):
            obstore.put(self._quick, key, content, mode=cast("Any", version))
            return True
        return False

    def _replace_locally(self, key: str, content: bytes, version: dict[str, str], doing: str) -> bool:
        """A folder knows no conditional writes; a lock beside the object makes up for it."""
        lock = Path(str(self._quick.prefix)) / f"{key}.lock"
        with explained(self.label, doing, self._log), locks.exclusive(lock):
            if _version(obstore.head(self._quick, key)) != version:
                return False
            obstore.put(self._quick, key, content)
            return True

    def folders(self, prefix: str, doing: str) -> list[str]:
        """Names directly below ``prefix`` that have objects below them, sorted.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with explained(self.label, doing, self._log):
            result = obstore.list_with_delimiter(self._quick, prefix or None)
        return sorted(path.rstrip("/").rpartition("/")[2] for path in result["common_prefixes"])

    def below(self, prefix: str, doing: str) -> list[Object]:
        """Every object below ``prefix``.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with explained(self.label, doing, self._log):
            return [
                Object(meta["path"], meta["size"], meta["last_modified"])
                for chunk in obstore.list(self._quick, prefix, chunk_size=1000)
                for meta in chunk
            ]

    def upload(self, key: str, chunks: Iterable[bytes], size: int, doing: str) -> None:
        """Write a file piece by piece; nothing can be read under ``key`` before the last one.

        Raises:
            EnvironmentFailure: the store failed. What iterating ``chunks`` raises comes out as it is.
        """
        with explained(self.label, doing, self._log):
            if size <= _PART:
                obstore.put(self._patient, key, b"".join(chunks))
            else:
                part = max(_PART, -(-size // _MOST_PARTS))
                at_once = max(1, _PARTS_IN_FLIGHT * _PART // part)  # larger parts must not take more memory
                obstore.put(self._patient, key, iter(chunks), chunk_size=part, max_concurrency=at_once)

    def size(self, key: str, doing: str) -> int:
        """Bytes of a file.

        Raises:
            FileNotFoundError: there is no such object.
            EnvironmentFailure: the store failed.
        """
        with explained(self.label, doing, self._log):
            return int(obstore.head(self._quick, key)["size"])

    def find(self, key: str, doing: str) -> Object | None:
        """An object as a listing has it; None if it is not there.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with suppress(FileNotFoundError), explained(self.label, doing, self._log):
            meta = obstore.head(self._quick, key)
            return Object(meta["path"], meta["size"], meta["last_modified"])
        return None

    def stream(self, key: str, start: int, end: int, doing: str, *, files: int = 1) -> Iterator[Bytes]:
        """The bytes of a file from ``start`` to before ``end``, in order, in chunks of 1 to 8 MiB.

        Args:
            files: how many files are read at a time: memory stays the same for one and for many.

        Raises:
            FileNotFoundError: there is no such object.
            EnvironmentFailure: the store failed.
        """
        if start == end:
            return
        at_once = max(1, self._at_once // files)
        with explained(self.label, doing, self._log):
            if at_once == 1:
                found = obstore.get(self._patient, key, options={"range": (start, end)})
                yield from found.stream(min_chunk_size=_CHUNK)
            else:
                yield from self._ranges(key, start, end, at_once)

    def _ranges(self, key: str, start: int, end: int, at_once: int) -> Iterator[Bytes]:
        def part(offset: int) -> Bytes:
            return obstore.get_range(self._patient, key, start=offset, end=min(offset + _PART, end))

        offsets = iter(range(start, end, _PART))
        with ThreadPoolExecutor(at_once, thread_name_prefix="range") as pool:
            pending = deque(pool.submit(part, offset) for offset in islice(offsets, at_once))
            try:
                while pending:
                    chunk = pending.popleft().result()
                    pending.extend(pool.submit(part, offset) for offset in islice(offsets, 1))
                    yield chunk
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def delete(self, keys: list[str], doing: str) -> None:
        """Remove objects; those that are not there are no error.

        Raises:
            EnvironmentFailure: the store failed.
        """
        with suppress(FileNotFoundError), explained(self.label, doing, self._log):
            if keys:
                obstore.delete(self._quick, keys)


def in_memory() -> Objects:
    """A store that ends with this process."""
    store = MemoryStore()
    return Objects(store, store, "memory:///")


def _version(meta: Any) -> dict[str, str]:
    return {key: meta[key] for key in ("e_tag", "version") if meta.get(key)}
