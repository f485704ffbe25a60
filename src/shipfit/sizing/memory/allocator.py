"""How much PyTorch's allocator hands out for the tensors of a model.

Source: pytorch/pytorch, c10/cuda/CUDACachingAllocator.cpp (round_size, get_allocation_size, should_split). Sizes are
rounded up to 512 bytes. A tensor of more than 1 MiB takes the smallest free block that is large enough; else a new
segment: of 20 MiB, or from 10 MiB on one of its own, a multiple of 2 MiB. The rest of the block is split off, and free,
where it is larger than 1 MiB; otherwise it is part of what the tensor has.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from shipfit.core.units import MIB

_ROUNDING = 512
_SHARED_SEGMENT = 20 * MIB
_OWN_SEGMENT = 10 * MIB
_SEGMENT_MULTIPLE = 2 * MIB
_LEAST_REST = MIB


def allocated(sizes: Iterable[float]) -> int:
    """Bytes that ``torch.cuda.memory_allocated`` counts for tensors, given in the order that they are made.

    Args:
        sizes: bytes of each.
    """
    free: list[int] = []
    total = 0
    for size in sizes:
        needed = math.ceil(size / _ROUNDING) * _ROUNDING
        if needed > MIB:
            block = _block(needed, free)
            rest = block - needed
            if rest > _LEAST_REST:
                bisect.insort(free, rest)
            else:
                needed = block
        total += needed
    return total


def _block(needed: int, free: list[int]) -> int:
    """Bytes of the block that a tensor is put into, taken out of the free ones if one is large enough."""
    place = bisect.bisect_left(free, needed)
    if place < len(free):
        return free.pop(place)
    if needed < _OWN_SEGMENT:
        return _SHARED_SEGMENT
    return math.ceil(needed / _SEGMENT_MULTIPLE) * _SEGMENT_MULTIPLE
