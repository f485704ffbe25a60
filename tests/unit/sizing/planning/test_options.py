from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.models import Quantization, load_facts
from shipfit.sizing.planning.options import Level, Pool, levels, served_as
from shipfit.spec.precision import Precision

H100, T4 = gpu("H100-SXM5-80GB"), gpu("T4")
LLAMA = load_facts("meta-llama/Llama-3.1-8B")


def level(kv: str = "auto") -> Level:
    return next(each for each in levels(LLAMA, None, None) if each.kv == kv)


@pytest.mark.parametrize(
    ("machines", "tensor", "pipeline", "spanned", "room"),
    [
        ((8,), 4, 1, 1, 2),
        ((8,), 2, 2, 1, 2),
        ((8, 3), 4, 1, 1, 2),
        ((2, 2), 2, 2, 1, 0),
        ((2, 2), 2, 2, 2, 1),
        ((8, 8, 4), 8, 2, 2, 1),
        ((8, 8, 8, 8), 8, 2, 2, 2),
        ((6, 2), 2, 4, 2, 0),  # as many GPUs on each: six and two are not four and four
        ((1, 1, 1), 2, 1, 1, 0),
    ],
)
def test_room_for_replicas(
    machines: tuple[int, ...], tensor: int, pipeline: int, spanned: int, room: int
) -> None:
    assert room == Pool(H100, machines).room(tensor, pipeline, spanned)


def test_a_replica_spans_more_machines_only_where_more_have_room_then() -> None:
    options = level().options([Pool(H100, (6, 6))], across=True, replicas=None)
    found = {(each.tensor, each.pipeline, each.machines): each.room for each in options}
    assert {(2, 2, 1): 2, (2, 2, 2): 3} == {key: room for key, room in found.items() if key[:2] == (2, 2)}
    assert {(4, 2, 2): 1} == {key: room for key, room in found.items() if key[:2] == (4, 2)}
    assert "bf16 on 8 x H100-SXM5-80GB (2 stages on 2 machines)" in {each.name for each in options}


@given(st.lists(st.integers(1, 16), min_size=1, max_size=5), st.booleans())
def test_options_are_powers_of_two_that_have_room(machines: list[int], across: bool) -> None:
    pool = Pool(H100, tuple(machines))
    options = level().options([pool], across=across, replicas=None)
    assert [*range(len(options))] == [option.order for option in options]
    for option in options:
        assert option.tensor <= max(machines)
        assert option.units <= (pool.count if across else max(machines))
        assert option.units <= option.machines * max(machines)
        assert 1 == option.machines or across
        assert option.room >= 1
        assert {option.tensor.bit_count(), option.pipeline.bit_count()} == {1}


def test_levels_go_from_16_bits_down_and_keep_weights_as_long_as_8_bit_kv_suffices() -> None:
    found = [(each.schemes[0].name, each.kv) for each in levels(LLAMA, None, None)]
    assert [("bf16", "auto"), ("bf16", "fp8"), ("fp8-w8a8", "auto"), ("fp8-w8a8", "fp8")] == found[:4]


def test_of_16_bit_formats_a_gpu_gets_the_first_that_it_accepts() -> None:
    options = level().options([Pool(H100, (1,)), Pool(T4, (1,))], across=False, replicas=None)
    assert ["bf16 on 1 x H100-SXM5-80GB", "fp16 on 1 x T4"] == [option.name for option in options]


def test_names_say_kv_format_and_stages() -> None:
    options = level("fp8").options([Pool(H100, (2,))], across=False, replicas=None)
    assert [
        "bf16 with fp8 KV on 1 x H100-SXM5-80GB",
        "bf16 with fp8 KV on 2 x H100-SXM5-80GB",
        "bf16 with fp8 KV on 2 x H100-SXM5-80GB (2 stages)",
    ] == [option.name for option in options]


def test_a_checkpoint_is_served_as_it_is_stored() -> None:
    assert served_as(LLAMA, H100).name == "bf16"
    assert served_as(LLAMA, T4).name == "fp16"
    assert served_as(replace(LLAMA, dtype="float16"), H100).name == "fp16"
    assert served_as(replace(LLAMA, dtype="float32"), H100).name == "bf16"
    awq = Quantization(method="awq", precision=Precision.AWQ_W4A16)
    assert served_as(replace(LLAMA, quantization=awq), H100).name == "awq-w4a16"
    unknown = Quantization(method="hqq", precision=None)
    with pytest.raises(InputError, match="quantized by hqq, which shipfit has no precision for"):
        served_as(replace(LLAMA, quantization=unknown), H100)
