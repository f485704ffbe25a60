"""What --address may be."""

from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.quantize.cluster.address import is_elsewhere


@pytest.mark.parametrize(
    ("address", "expected"),
    [(None, False), ("auto", False), ("http://head:8265", True), ("https://ray.example.org/", True)],
)
def test_where_the_work_is_done(address: str | None, expected: bool) -> None:
    assert expected is is_elsewhere(address)


@pytest.mark.parametrize(
    "address", ["head:6379", "ray://head:10001", "local", "http://", "http://head:8265/jobs", ""]
)
def test_any_other_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(
        InputError, match=r"--address: .* is not the address of a Ray cluster; write http://HOST:8265"
    ):
        is_elsewhere(address)
