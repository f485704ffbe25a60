"""Artifacts: quantized models in object storage, with manifests, channels and digests verified before use.

``open_store`` is the way in; without a URL it runs the embedded SeaweedFS for as long as somebody uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shipfit.artifacts.fingerprint import canonical_json, fingerprint
from shipfit.artifacts.manifest import (
    Channel,
    Dataset,
    Engine,
    FileEntry,
    GateResult,
    Manifest,
    ManifestDraft,
    Move,
    Source,
    Staged,
)
from shipfit.artifacts.pull import Pulled, pulled_manifest
from shipfit.artifacts.records import Pin, Signature, Verdict
from shipfit.artifacts.retention import Decision
from shipfit.artifacts.signing import Signer, check_signer, signer_of
from shipfit.artifacts.store import Store
from shipfit.core.progress import Progress

__all__ = [
    "Channel",
    "Dataset",
    "Decision",
    "Engine",
    "FileEntry",
    "GateResult",
    "Manifest",
    "ManifestDraft",
    "Move",
    "Pin",
    "Pulled",
    "Signature",
    "Signer",
    "Source",
    "Staged",
    "Store",
    "Verdict",
    "canonical_json",
    "check_signer",
    "fingerprint",
    "open_store",
    "pulled_manifest",
    "signer_of",
]


@contextmanager
def open_store(url: str | None, progress: Progress) -> Iterator[Store]:
    """The store at a URL; the embedded one where there is no URL.

    Args:
        url: such as ``s3://bucket/prefix``; credentials are taken from the environment.

    Raises:
        InputError: no store has such a URL.
        EnvironmentFailure: the embedded store could not be started.
    """
    if url is None:
        from shipfit.artifacts.embedded import embedded_store

        with embedded_store(progress) as store:
            yield store
    else:
        from shipfit.artifacts.address import objects_at

        yield Store(objects_at(url))
