"""Where a pipeline's stages run: a Ray of this machine alone, a running one, or, as a job, a cluster elsewhere.

address    what ``--address`` may be
local      a Ray of one node, started for one pipeline and gone with it
running    a Ray that runs already
tasks      a stage as a task: waiting for room, progress, another try
failures   which failures deserve another try
transfer   files that a node lacks
jobs       the whole command as a job of a cluster elsewhere
rayjob     the same as a RayJob of Kubernetes, from a pod that decides whether there is work
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shipfit.core.progress import Progress
from shipfit.quantize.cluster.common import require_ray
from shipfit.quantize.cluster.local import embedded_ray
from shipfit.quantize.cluster.running import running_ray
from shipfit.quantize.cluster.tasks import Cluster

__all__ = ["Cluster", "cluster_at", "require_ray"]


@contextmanager
def cluster_at(address: str | None, progress: Progress) -> Iterator[Cluster]:
    """The Ray that a pipeline's stages run on; stages that still run when the block ends are cancelled.

    Args:
        address: None for a Ray of this machine's CPUs and GPUs, whose processes all end with the block; ``auto`` for
            the one that this machine is a node of.
        progress: told what is going on.

    Raises:
        EnvironmentFailure: Ray is not installed, does not start or does not run.
    """
    with (embedded_ray if address is None else running_ray)(progress) as ray:
        cluster = Cluster(ray)
        try:
            yield cluster
        finally:
            cluster.cancel()
