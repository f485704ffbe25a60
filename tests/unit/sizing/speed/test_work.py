from __future__ import annotations

import pytest

from shipfit.models import Format
from shipfit.sizing.speed.work import Attention, kernel_kind
from tests.unit.sizing.speed.conftest import MakeReplica

LATENT = "moonshotai/Kimi-K2.5"
SPARSE = "Qwen/Qwen3-30B-A3B"


def test_operations_are_two_a_weight_and_token(replica: MakeReplica) -> None:
    one = replica()
    linear = sum(each.operations for each in (*one.work.dense, *one.work.head))
    assert 2 * one.facts.active_parameters == pytest.approx(linear)


def test_tensor_parallelism_divides_reading_and_computing(replica: MakeReplica) -> None:
    one, four = (replica(tensor=tensor).work for tensor in (1, 4))
    for name in ("bytes", "operations"):
        whole, part = (sum(getattr(each, name) for each in work.dense) for work in (one, four))
        assert whole / 4 == pytest.approx(part, rel=0.01)
    assert one.attention[0].token_bytes / 4 == four.attention[0].token_bytes
    assert (0, 160) == (one.reductions, four.reductions)


def test_more_gpus_than_kv_heads_read_each_head_several_times(replica: MakeReplica) -> None:
    eight, sixteen = (replica(tensor=tensor).work.attention[0] for tensor in (8, 16))
    assert eight.token_bytes == sixteen.token_bytes
    assert eight.operations / 2 == sixteen.operations


def test_latent_attention_reads_the_same_on_every_gpu(replica: MakeReplica) -> None:
    one, eight = (replica(LATENT, "gptq-w4a16", tensor=tensor).work for tensor in (1, 8))
    assert 61 * 576 * 2 == one.attention[0].token_bytes == eight.attention[0].token_bytes
    assert one.attention[0].operations / 8 == eight.attention[0].operations
    # a prompt's heads are 192 wide for keys and 128 for values
    assert 61 * 64 * 2 * (192 + 128) == one.attention[0].pair_operations


def test_an_fp8_cache_is_read_in_half_the_bytes(replica: MakeReplica) -> None:
    wide, narrow = (replica(kv_cache=kv).work.attention[0].token_bytes for kv in ("auto", "fp8"))
    assert wide == 2 * narrow


def test_expert_parallelism_keeps_experts_whole_and_their_number_apart(replica: MakeReplica) -> None:
    shared, apart = (replica(SPARSE, "bf16", tensor=4, expert_parallel=each).work for each in (False, True))
    assert (192, 768) == (shared.expert_width, apart.expert_width)
    assert 0 == shared.expert_spread < apart.expert_spread
    for name in ("bytes", "operations"):
        one, other = (sum(getattr(each, name) for each in work.experts) for work in (shared, apart))
        assert one == pytest.approx(other)


def test_pairs_of_a_prompt_end_at_the_window() -> None:
    full, windowed = (Attention(1, 0, 1, 1, window) for window in (None, 100))
    assert (50, 500_000) == (full.pairs(10), full.pairs(1000))
    assert (50, 5_000 + 900 * 100) == (windowed.pairs(10), windowed.pairs(1000))
    assert (1000, 100) == (full.reach(1000), windowed.reach(1000))


@pytest.mark.parametrize(
    ("layout", "computed", "kind"),
    [
        (None, "fp8", "wide"),
        (Format(16), "bf16", "wide"),
        (Format(8, -1, 4), "fp8", "fp8"),
        (Format(8, 128, 4, block_rows=128), "fp8", "fp8-block"),
        (Format(8, -1, 4), "bf16", "weight-only"),
        (Format(8, -1, 4), "int8", "int8"),
        (Format(4, 16, 1), "fp4", "fp4"),
        (Format(4, 128, 2), "fp16", "weight-only"),
    ],
)
def test_the_kernel_goes_by_how_weights_lie_and_what_is_multiplied(
    layout: Format | None, computed: str, kind: str
) -> None:
    assert kind == kernel_kind(layout, computed)


def test_fp8_before_ada_is_widened_to_16_bits(replica: MakeReplica) -> None:
    kinds = {each.kernel for each in replica(where="A100-SXM4-80GB").work.dense}
    assert {"weight-only"} == kinds
