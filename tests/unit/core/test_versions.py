from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.core.versions import release_numbers


@pytest.mark.parametrize("version", ["0.19.2", "v0.19.2", "0.19.2.post1", "0.19.2rc1.dev8+g4b7f5ea1a"])
def test_a_release_is_its_numbers(version: str) -> None:
    assert (0, 19, 2) == release_numbers(version)


def test_releases_compare() -> None:
    assert release_numbers("0.9.2") < release_numbers("0.19.0") < release_numbers("0.19.0.1")


@pytest.mark.parametrize("version", ["", "main", "19", "-0.19"])
def test_what_is_no_release_is_said(version: str) -> None:
    with pytest.raises(InputError, match="is no release of vLLM; write it as"):
        release_numbers(version)
