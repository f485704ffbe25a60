"""A SeaweedFS of a test's own as clients see it: by the variables that they read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shipfit.artifacts import running, weed
from shipfit.artifacts.embedded import embedded_store
from shipfit.core.progress import NoProgress


def variables(folder: Path, port: int) -> dict[str, str]:
    """Address and keys of the store of a folder that listens on a port."""
    key = weed.credentials(folder)
    return {
        "AWS_ENDPOINT_URL": f"http://{weed.ADDRESS}:{port}",
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def store_in(folder: Path) -> Iterator[dict[str, str]]:
    """An embedded store below ``folder``, for as long as the block runs; its variables, which are not set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STATE", "DATA"):
            patch.setenv(f"SHIPFIT_{name}_DIR", str(folder / name.lower()))
        with embedded_store(NoProgress()):
            found = running.read()
            assert found
            yield variables(running.folder(), found.ports["s3"])
