from __future__ import annotations

import pytest

from shipfit.hardware import Gpu
from shipfit.sizing.speed import prefill_s, step_s
from tests.unit.sizing.speed.conftest import MakeReplica

SMALL = "bundled:gemma-3-270m"


def test_a_step_reads_the_weights_at_the_cores_bandwidth(replica: MakeReplica, processor: Gpu) -> None:
    one = replica(SMALL, "bf16", processor, tensor=1)
    weights = sum(each.bytes for each in (*one.work.dense, *one.work.head))
    assert weights / 20e9 + 18 * 1.6e-3 == pytest.approx(step_s(one, 1, 0))


def test_cores_that_share_the_memory_share_its_bandwidth(replica: MakeReplica, processor: Gpu) -> None:
    alone, sharing = (replica(SMALL, "bf16", processor, sharers, tensor=2) for sharers in (1, 2))
    assert step_s(alone, 1, 0) < step_s(sharing, 1, 0)


def test_four_bits_compute_in_32(replica: MakeReplica, processor: Gpu) -> None:
    wide, narrow = (replica(SMALL, each, processor, tensor=4) for each in ("bf16", "gptq-w4a16"))
    assert prefill_s(wide, 2048) < prefill_s(narrow, 2048)
    assert step_s(narrow, 1, 0) < step_s(wide, 1, 0)


def test_a_prompt_leaves_nothing_idle(replica: MakeReplica, processor: Gpu) -> None:
    one = replica(SMALL, "bf16", processor, tensor=4)
    assert prefill_s(one, 500) == one.times.added_s(500, 3)
    assert 0 == one.times.request_s
