"""Whether a cluster has room for a stage, in words."""

from __future__ import annotations

from collections.abc import Sequence

from shipfit.core.units import GIB
from shipfit.quantize.stages import Needs


def fits(needs: Needs, nodes: Sequence[Needs]) -> bool:
    """Whether any node, were it empty, could hold it."""
    return any(
        needs.cpus <= node.cpus and needs.gpus <= node.gpus and needs.memory_bytes <= node.memory_bytes
        for node in nodes
    )


def describe(needs: Needs) -> str:
    """What a stage asks for: "2 CPUs, 1 GPU and 40.0 GiB of memory"."""
    parts = [
        _count(needs.cpus, "CPU"),
        _count(needs.gpus, "GPU"),
        f"{needs.memory_bytes / GIB:.1f} GiB of memory" if needs.memory_bytes else "",
    ]
    *first, last = [part for part in parts if part]
    return f"{', '.join(first)} and {last}" if first else last


def largest(nodes: Sequence[Needs]) -> str:
    """The most of each that any node holds."""
    return describe(
        Needs(
            cpus=max((node.cpus for node in nodes), default=0),
            gpus=max((node.gpus for node in nodes), default=0),
            memory_bytes=max((node.memory_bytes for node in nodes), default=0),
        )
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""
