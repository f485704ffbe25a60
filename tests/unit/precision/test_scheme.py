from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.precision import Precision, compute_format, scheme, schemes


def test_every_precision_has_a_scheme_with_a_source_in_the_order_of_the_rule() -> None:
    assert list(Precision) == list(schemes())
    assert all(each.source for each in schemes().values())
    assert all(each.quality.source for each in schemes().values() if each.quality)


def test_the_rule_goes_down_in_bits() -> None:
    bits = [each.bits for each in schemes().values() if each.automatic]
    assert sorted(bits, reverse=True) == bits
    assert min(bits) == 4  # below it only if the user says so


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("bf16", 2 * 256 * 1024),
        ("fp8-w8a8", 256 * 1024 + 256 * 4),  # a 32-bit scale a row
        ("fp8-block", 256 * 1024 + 2 * 8 * 4),  # a 32-bit scale every 128 x 128
        ("gptq-w4a16", 256 * 1024 // 2 + 256 * 8 * 2),  # a 16-bit scale every 128
        ("awq-w4a16", 256 * 1024 // 2 + 256 * 8 * 2.5),  # and a zero point of 4 bits
        ("nvfp4", 256 * 1024 // 2 + 256 * 64),  # an 8-bit scale every 16
        ("mxfp4", 256 * 1024 // 2 + 256 * 32),  # an 8-bit scale every 32
        ("bnb-nf4", 256 * 1024 // 2 + 256 * 16 * 4),  # a 32-bit scale every 64
    ],
)
def test_a_matrix_takes_its_bits_and_its_scales(precision: str, expected: float) -> None:
    assert expected == scheme(precision).format.matrix_bytes(256, 1024)


def test_the_last_group_of_a_row_may_be_shorter() -> None:
    assert scheme("gptq-w4a16").format.matrix_bytes(1, 130) == 65 + 2 * 2


@pytest.mark.parametrize(
    ("precision", "name", "expected"),
    [
        ("bf16", "A100", "bf16"),
        ("fp16", "T4", "fp16"),
        ("fp8-w8a8", "A100", "bf16"),  # weights alone, by Marlin
        ("fp8-w8a8", "T4", "fp16"),
        ("fp8-w8a8", "L40S", "fp8"),
        ("fp8-w8a8", "H100", "fp8"),
        ("fp8-block", "L4", "bf16"),
        ("fp8-block", "H200", "fp8"),
        ("int8-w8a8", "A100", "int8"),
        ("int8-w8a16", "H100", "bf16"),
        ("gptq-w4a16", "T4", "fp16"),
        ("gptq-w4a16", "H100", "bf16"),
        ("nvfp4", "H100", "bf16"),
        ("nvfp4", "B200", "fp4"),
        ("mxfp4", "H100", "bf16"),
        ("mxfp4", "B200", "bf16"),  # 16-bit activations come first
        ("fp8-w8a8", "MI300X", "fp8"),
        ("nvfp4", "MI300X", "bf16"),
    ],
)
def test_what_is_multiplied_in_depends_on_the_kernel(precision: str, name: str, expected: str) -> None:
    assert expected == compute_format(scheme(precision), gpu(name))


def test_a_later_release_may_multiply_in_another_format() -> None:
    formats = [compute_format(scheme("fp8-block"), gpu("L4"), version) for version in ("0.19.0", "0.24.0")]
    assert formats == ["fp8", "bf16"]


def test_an_unknown_precision_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no precision is called 'int5'; there are: bf16, fp16"):
        scheme("int5")
