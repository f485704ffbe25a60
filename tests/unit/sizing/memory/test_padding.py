from __future__ import annotations

import pytest

from shipfit.models import Format, Split
from shipfit.sizing.memory.padding import Engine

MXFP4 = Format(4, group=32, scale_bytes=1)
NVFP4 = Format(4, group=16, scale_bytes=1)
FP8 = Format(8, scale_bytes=4)
FP8_BLOCK = Format(8, group=128, scale_bytes=4, block_rows=128)
INT4 = Format(4, group=128, scale_bytes=2)
ASYMMETRIC = Format(4, group=128, scale_bytes=2, zero_bits=4)
NF4 = Format(4, group=64, scale_bytes=4)


@pytest.mark.parametrize(
    ("engine", "into", "out_of"),
    [
        (Engine(capability=9.0), (2880, 2880, 3072), (2880, 2880, 3072)),  # Triton pads inputs alone
        (Engine(capability=8.0), (2944, 3072, 3072), (3072, 2944, 2944)),  # Marlin
        (Engine(capability=10.0, version="0.24.0"), (3072, 3072, 3072), (3072, 3072, 3072)),  # FlashInfer
        (Engine(capability=10.0), (2944, 3072, 3072), (3072, 2944, 2944)),
        (Engine(), (2880, 2880, 3072), (2880, 2880, 3072)),
    ],
)
def test_experts_in_mxfp4_are_padded_for_their_kernel(
    engine: Engine, into: tuple[float, ...], out_of: tuple[float, ...]
) -> None:
    """The shapes of gpt-oss."""
    assert into == engine.padded(MXFP4, Split.OUTPUTS, 2880, 2880, gated=True)
    assert out_of == engine.padded(MXFP4, Split.INPUTS, 2880, 2880, gated=True)


@pytest.mark.parametrize(
    ("stored", "capability", "gated", "expected"),
    [
        (NVFP4, 10.0, True, (1856, 2816, 2816)),
        (NVFP4, 10.0, False, (1920, 2816, 2816)),
        (NVFP4, 9.0, False, (1856, 2688, 2688)),
        (FP8, 10.3, False, (1920, 2688, 2688)),
        (None, 10.0, True, (1920, 2688, 2688)),
        (None, 9.0, True, (1856, 2688, 2688)),
        (INT4, 10.0, False, (1856, 2688, 2688)),
        (FP8_BLOCK, 9.0, True, (1920, 2688, 2688)),
    ],
)
def test_experts_of_odd_widths_are_padded_on_some_gpus(
    stored: Format | None, capability: float, gated: bool, expected: tuple[float, ...]
) -> None:
    """The shapes of Nemotron 3 Nano."""
    assert expected == Engine(capability).padded(stored, Split.OUTPUTS, 1856, 2688, gated=gated)


@pytest.mark.parametrize(
    ("engine", "stored", "zero_bits"),
    [
        (Engine(capability=9.0), ASYMMETRIC, 16),  # Machete
        (Engine(capability=8.0), ASYMMETRIC, 4),  # Marlin
        (Engine(capability=9.0), INT4, 0),
        (Engine(capability=9.0, method="gptq"), INT4, 4),  # kept, though nothing reads them
        (Engine(capability=8.0, method="gptq"), INT4, 0),
    ],
)
def test_zero_points_lie_as_the_kernel_wants_them(engine: Engine, stored: Format, zero_bits: int) -> None:
    assert zero_bits == engine.layout(stored, expert=False).zero_bits


def test_experts_keep_zero_points_as_they_are_stored() -> None:
    for capability in (8.0, 9.0):
        assert ASYMMETRIC == Engine(capability).layout(ASYMMETRIC, expert=True)
        assert INT4 == Engine(capability).layout(INT4, expert=True)
        assert (
            Engine(capability, method="gptq").layout(INT4, expert=True).zero_bits == 4
        )  # that nothing reads


def test_blocks_of_fp8_fall_apart_into_rows_where_there_are_no_fp8_units() -> None:
    assert Format(8, group=128, scale_bytes=2) == Engine(capability=8.6).layout(FP8_BLOCK, expert=False)
    assert FP8_BLOCK == Engine(capability=8.9).layout(FP8_BLOCK, expert=True)


@pytest.mark.parametrize(
    ("version", "scale"), [("0.7.1", 1.016), ("0.8.5.post1", 1.016), ("0.9.2", 4), (None, 4)]
)
def test_scales_of_nf4_are_no_longer_quantized_themselves(version: str | None, scale: float) -> None:
    assert scale == Engine(version=version).layout(NF4, expert=False).scale_bytes
