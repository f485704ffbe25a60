"""Which of vLLM's kernels multiplies a matrix, or why none does.

The facts are in kernels.yaml, in vLLM's own order of preference; here they are only compared with what is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shipfit.core.data import read_yaml
from shipfit.hardware import Gpu
from shipfit.precision.kernel import Kernel, Layout, Matrix, Place, Release, release
from shipfit.precision.objections import objections
from shipfit.spec.base import Section

_FILE = Path(__file__).with_name("kernels.yaml")
_SAID = {"nvidia": "NVIDIA GPUs", "amd": "AMD GPUs", "cpu": "a processor"}


@dataclass(frozen=True)
class Choice:
    """The kernel that vLLM takes; or, where there is none, why.

    Attributes:
        kernel: the kernel.
        reason: why there is none.
    """

    kernel: Kernel | None = None
    reason: str | None = None


def choose(layout: Layout, gpu: Gpu, version: str | None = None, matrix: Matrix | None = None) -> Choice:
    """The kernel that vLLM takes for a matrix; without one, for the kind of matrices that come first in kernels.yaml.

    Args:
        layout: how the weights are stored.
        gpu: the kind of GPU, or a processor.
        version: release of vLLM; the newest by default.
        matrix: what is to be multiplied.

    Raises:
        InputError: the release is not one.
    """
    if gpu.platform in _kernels().elsewhere:
        return Choice(reason=_kernels().elsewhere[gpu.platform])
    place = Place(gpu.platform, gpu.name, gpu.capability or 0.0, gpu.cpu.flags if gpu.cpu else ())
    return _choose(layout, place, release(version), matrix)


class _Beside(Section):
    serves: tuple[str, ...]
    says: str
    source: str


class _Kernels(Section):
    kernels: tuple[Kernel, ...]
    elsewhere: dict[str, str]
    beside: tuple[_Beside, ...]


@cache
def _kernels() -> _Kernels:
    return _Kernels.model_validate(read_yaml(_FILE))


@cache
def _choose(layout: Layout, place: Place, at: Release, matrix: Matrix | None) -> Choice:
    """The first kernel that nothing speaks against; else why there is none, and who serves it beside vLLM."""
    found = _nearest(layout, place, at, matrix)
    if found.kernel:
        return found
    beside = [each.says for each in _kernels().beside if layout.precision in each.serves]
    return Choice(reason="; ".join([found.reason or "", *beside]))


def _nearest(layout: Layout, place: Place, at: Release, matrix: Matrix | None) -> Choice:
    """The first kernel that nothing speaks against; else the reason against the one that comes nearest."""
    serving = [
        kernel
        for kernel in _kernels().kernels
        if layout.precision in kernel.serves and kernel.platform == place.platform
    ]
    if not serving:
        return Choice(reason=f"vLLM has no kernel for {layout.precision} on {_SAID[place.platform]}")
    kind = ("experts" if matrix.experts else "dense") if matrix else serving[0].matrices
    reasons: list[tuple[tuple[int, float], str]] = []
    for kernel in serving:
        against = next(objections(kernel, layout, place, at, matrix, kind), None)
        if against is None:
            return Choice(kernel)
        reasons.append(((against[0], -kernel.capability), against[1]))
    return Choice(reason=max(reasons, key=lambda each: each[0])[1])
