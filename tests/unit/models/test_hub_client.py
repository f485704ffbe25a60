"""What huggingface_hub meets on this machine is not blamed on the network."""

from __future__ import annotations

import errno

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.models.hub_client import explained


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk while fetching model"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied while fetching model"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Hugging Face is out of reach"),
    ],
)
def test_a_full_disk_is_no_broken_network(error: OSError, words: str) -> None:
    with (
        pytest.raises(EnvironmentFailure, match=words),
        explained("model org/name", None, wanted="name another", instead="name a folder"),
    ):
        raise error
