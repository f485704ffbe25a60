"""Serving: vLLM replicas and a router on this machine, planned, supervised, measured."""

from shipfit.serve.local import ProcessStatus, Running, Status, down, running, status, up
from shipfit.serve.measured import ReplicaMemory, measured_memory

__all__ = [
    "ProcessStatus",
    "ReplicaMemory",
    "Running",
    "Status",
    "down",
    "measured_memory",
    "running",
    "status",
    "up",
]
