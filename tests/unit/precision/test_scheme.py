from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.precision import Precision, scheme, schemes


def test_every_precision_has_a_scheme_with_a_source_in_the_order_of_the_rule() -> None:
    assert list(Precision) == list(schemes())
    assert all(each.source for each in schemes().values())


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("bf16", 2 * 256 * 1024),
        ("fp8-w8a8", 256 * 1024 + 256 * 4),  # a 32-bit scale a row
        ("gptq-w4a16", 256 * 1024 // 2 + 256 * 8 * 2),  # a 16-bit scale every 128
        ("awq-w4a16", 256 * 1024 // 2 + 256 * 8 * 2.5),  # and a zero point of 4 bits
        ("nvfp4", 256 * 1024 // 2 + 256 * 64),  # an 8-bit scale every 16
    ],
)
def test_a_matrix_takes_its_bits_and_its_scales(precision: str, expected: float) -> None:
    assert expected == scheme(precision).matrix_bytes(256, 1024)


def test_the_last_group_of_a_row_may_be_shorter() -> None:
    assert scheme("gptq-w4a16").matrix_bytes(1, 130) == 65 + 2 * 2


@pytest.mark.parametrize(
    ("precision", "name", "words"),
    [
        ("bf16", "T4", "bf16 needs compute capability 8.0 or newer; T4 has 7.5"),
        ("fp8-w8a8", "A100-SXM4-80GB", "fp8-w8a8 needs compute capability 8.9"),
        ("int8-w8a8", "B200-SXM-180GB", "int8-w8a8 is not there from compute capability 10.0 on"),
        ("nvfp4", "H100-SXM5-80GB", "nvfp4 needs compute capability 10.0"),
    ],
)
def test_what_a_gpu_does_not_accept_is_said_with_the_figures(precision: str, name: str, words: str) -> None:
    refusal = scheme(precision).refusal(gpu(name))
    assert refusal is not None
    assert words in refusal


@pytest.mark.parametrize("precision", ["fp16", "int8-w8a8", "gptq-w4a16"])
def test_a_t4_accepts_what_turing_does(precision: str) -> None:
    assert scheme(precision).refusal(gpu("T4")) is None


def test_an_unknown_precision_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no precision is called 'int5'; there are: bf16, fp16"):
        scheme("int5")
