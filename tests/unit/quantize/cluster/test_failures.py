"""Which failures deserve another try."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import exceptions

from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.worker import WorkerError
from shipfit.quantize.cluster.failures import MOST_TRIES, Remedy, classify, pause, smaller
from shipfit.quantize.stages import OUT_OF_MEMORY, MissingInput, TransferFailure


def worker_error(kind: str | None, detail: str = "", code: int = 1) -> WorkerError:
    return WorkerError("quantizing failed", kind=kind, detail=detail, log=None, code=code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.NodeDiedError("node"), Remedy.RETRY),
        (exceptions.WorkerCrashedError(), Remedy.RETRY),
        (exceptions.ObjectLostError("00" * 28, None, ""), Remedy.RETRY),
        (TransferFailure("s3://models: the store does not answer"), Remedy.RETRY),
        (exceptions.OutOfMemoryError("killed"), Remedy.SMALLER),
        (worker_error(OUT_OF_MEMORY, "CUDA out of memory"), Remedy.SMALLER),
        (worker_error("MemoryError"), Remedy.SMALLER),
        (worker_error("RuntimeError", "DefaultCPUAllocator: can't allocate memory"), Remedy.SMALLER),
        (worker_error("TooLittleTextError", "3"), Remedy.NEVER),
        (worker_error("RuntimeError", "shapes do not match"), Remedy.NEVER),
        (worker_error(None, "the worker was killed by SIGKILL", code=-9), Remedy.NEVER),
        (exceptions.LocalRayletDiedError(), Remedy.NEVER),
        (exceptions.RuntimeEnvSetupError("no"), Remedy.NEVER),
        (EnvironmentFailure("no space left"), Remedy.NEVER),
        (InputError("is empty"), Remedy.NEVER),
        (ValueError(), Remedy.NEVER),
    ],
)
def test_each_failure_has_its_remedy(error: BaseException, expected: Remedy) -> None:
    assert expected is classify(error)


@given(st.integers(min_value=1, max_value=4096))
def test_a_batch_is_halved_until_nothing_is_left_to_halve(batch: int) -> None:
    request, batches = {"batch": batch, "source": "/model"}, []
    while less := smaller(request):
        request, _ = less
        batches.append(request["batch"])
        assert "/model" == request["source"]
    assert batches == [batch >> shift for shift in range(1, batch.bit_length())]


def test_samples_go_to_the_host_before_a_batch_is_halved() -> None:
    first = smaller({"batch": 2, "offload": False})
    assert first == ({"batch": 2, "offload": True}, "with its samples in the host's memory")
    assert smaller(first[0]) == ({"batch": 1, "offload": True}, "with a batch of 1")


def test_a_request_without_a_batch_cannot_be_made_smaller() -> None:
    assert smaller({"source": "/model"}) is None


def test_pauses_grow() -> None:
    pauses = [pause(tries) for tries in range(1, MOST_TRIES)]
    assert sorted(pauses) == pauses


def test_what_a_node_lacks_is_named() -> None:
    assert "has no /texts/a.jsonl" in str(MissingInput(Path("/texts/a.jsonl")))
