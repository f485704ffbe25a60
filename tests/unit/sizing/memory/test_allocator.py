from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.sizing.memory.allocator import allocated

MIB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([1], 512),
        ([513, 512], 1536),
        ([9.5 * MIB], 9.5 * MIB),  # the rest of its 20 MiB is free
        ([9.5 * MIB, 9.5 * MIB], 20 * MIB),  # the last MiB is not worth splitting off
        ([6 * MIB] * 3, 18 * MIB),
        ([10 * MIB], 10 * MIB),
        ([259 * MIB], 260 * MIB),  # a rest of 1 MiB is kept
        ([24.5 * MIB], 24.5 * MIB),  # one of 1.5 MiB is split off
        ([24.5 * MIB, 1.2 * MIB], 26 * MIB),  # and taken by what fits there
        ([31.5 * MIB], 32 * MIB),
    ],
)
def test_blocks_are_handed_out_as_pytorch_does(sizes: list[float], expected: float) -> None:
    assert pytest.approx(expected, abs=512) == allocated(sizes)


@given(st.lists(st.floats(0, 1e9), max_size=20))
def test_no_tensor_gets_less_or_much_more_than_it_needs(sizes: list[float]) -> None:
    assert sum(sizes) <= allocated(sizes) <= sum(sizes) + len(sizes) * (512 + MIB)
