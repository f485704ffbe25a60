"""Which failures of a stage deserve another try.

| what happened | what is done |
|---|---|
| a node, Ray's process on it or an object was lost; the store failed for an input | again, a few times, with pauses |
| the store failed for the output | the upload alone again, by the keeper (``transfer``), as often |
| memory did not suffice: the engine, the kernel or Ray said so | again with less (``smaller``) |
| anything else: what the engine raised, a wrong input, the driver's own Ray gone | nothing: it would fail again |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from shipfit.core.worker import WorkerError
from shipfit.quantize.stages import OUT_OF_MEMORY, TransferFailure

MOST_TRIES = 4
"""Of one stage, or of one upload, while its node or the store is lost again and again."""

_PAUSE_SECONDS = (5.0, 20.0, 60.0)
"""Before the second try and those after: a lost node is noticed within seconds, a store is back within minutes."""

_NO_MEMORY_KINDS = {OUT_OF_MEMORY, "MemoryError"}

_NO_MEMORY_WORDS = ("can't allocate memory", "CUDA out of memory")
"""In what PyTorch says when it raises no kind of its own: its CPU allocator and older versions."""


class Remedy(StrEnum):
    """What to do about a failure."""

    RETRY = "retry"
    SMALLER = "retry smaller"
    NEVER = "never"


def classify(error: BaseException) -> Remedy:
    """What to do about a failure of a stage.

    Args:
        error: what the stage returned as its error, or what Ray raised in place of a result.
    """
    if isinstance(error, WorkerError):
        lacking = error.kind in _NO_MEMORY_KINDS or any(words in error.detail for words in _NO_MEMORY_WORDS)
        return Remedy.SMALLER if lacking else Remedy.NEVER
    if isinstance(error, TransferFailure):
        return Remedy.RETRY
    from ray import exceptions

    if isinstance(error, exceptions.OutOfMemoryError):
        return Remedy.SMALLER
    lost = (exceptions.NodeDiedError, exceptions.WorkerCrashedError, exceptions.ObjectLostError)
    return Remedy.RETRY if isinstance(error, lost) else Remedy.NEVER


def smaller(request: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """A request that takes less memory, and what to say of it; None where there is none.

    What an engine can keep on the host goes there first: half a batch saves less. A batch is halved down to 1.
    """
    if request.get("offload") is False:
        return {**request, "offload": True}, "with its samples in the host's memory"
    batch = request.get("batch")
    if isinstance(batch, int) and batch > 1:
        return {**request, "batch": batch // 2}, f"with a batch of {batch // 2}"
    return None


def pause(tries: int) -> float:
    """Seconds to wait after so many tries."""
    return _PAUSE_SECONDS[min(tries, len(_PAUSE_SECONDS)) - 1]
