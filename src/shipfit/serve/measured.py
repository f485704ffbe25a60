"""What a running deployment takes, for the comparison with its plan."""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.units import GIB
from shipfit.serve import sessions
from shipfit.serve.folder import ROUTER, Folder


@dataclass(frozen=True)
class ReplicaMemory:
    """The memory of one replica.

    Attributes:
        name: ``replica-0`` and so on.
        weights_gib: loaded weights, as vLLM's log says; None where it does not (on a processor it does not).
        checkpoint_gib: size of the files that the weights were read from, as vLLM's log says.
        kv_cache_gib: KV cache, as vLLM's log says.
        kv_cache_tokens: tokens that it holds, as vLLM's log says.
        resident_gib: memory of all its processes, shared pages counted once.
    """

    name: str
    weights_gib: float | None
    checkpoint_gib: float | None
    kv_cache_gib: float | None
    kv_cache_tokens: int | None
    resident_gib: float


def measured_memory(name: str) -> list[ReplicaMemory]:
    """The memory of each replica of a running deployment.

    Raises:
        EnvironmentFailure: it does not run.
    """
    status = Folder.of(name).status()
    if status is None or not status.supervisor.leader_lives():
        raise EnvironmentFailure(f"{name} does not run", hint="start it with `shipfit up`")
    return [
        ReplicaMemory(
            name=child.name,
            weights_gib=child.figures.weights_gib,
            checkpoint_gib=child.figures.checkpoint_gib,
            kv_cache_gib=child.figures.kv_cache_gib,
            kv_cache_tokens=child.figures.kv_cache_tokens,
            resident_gib=sessions.resident_bytes(child.session) / GIB if child.session else 0.0,
        )
        for child in status.children
        if child.name != ROUTER
    ]
