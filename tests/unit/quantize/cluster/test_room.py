"""What a stage asks for and a node has, in words."""

from __future__ import annotations

import pytest

from shipfit.core.units import GIB
from shipfit.quantize.cluster.room import describe, fits, largest
from shipfit.quantize.stages import Needs


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(), "1 CPU"),
        (Needs(cpus=2, gpus=1), "2 CPUs and 1 GPU"),
        (Needs(cpus=2, gpus=8, memory_bytes=40 * GIB), "2 CPUs, 8 GPUs and 40.0 GiB of memory"),
    ],
)
def test_needs_in_words(needs: Needs, expected: str) -> None:
    assert expected == describe(needs)


def test_one_node_must_hold_all_of_it() -> None:
    nodes = [Needs(cpus=64, gpus=0, memory_bytes=512 * GIB), Needs(cpus=8, gpus=4, memory_bytes=64 * GIB)]
    assert fits(Needs(cpus=8, gpus=4), nodes)
    assert not fits(Needs(cpus=16, gpus=1), nodes)
    assert not fits(Needs(cpus=1, gpus=1, memory_bytes=100 * GIB), nodes)
    assert not fits(Needs(), [])
    assert "64 CPUs, 4 GPUs and 512.0 GiB of memory" == largest(nodes)
