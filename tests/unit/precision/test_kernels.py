from __future__ import annotations

from dataclasses import replace

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import Cpu, Gpu, gpu
from shipfit.precision import FP8_KV_CACHE, Layout, Matrix, Precision, choose, scheme
from shipfit.precision.kernel import release
from shipfit.precision.kernels import _kernels

AMX = Gpu(
    name="cpu",
    memory_gb=64,
    bandwidth_gb_s=100,
    tflops={"bf16": 1.0, "fp16": 1.0},
    source="a test",
    cpu=Cpu(cores=8, core_bandwidth_gb_s=10, core_tflops=0.1, flags=("avx512f", "amx_bf16", "amx_int8")),
)
PLAIN = AMX.model_copy(update={"cpu": AMX.cpu.model_copy(update={"flags": ("avx512f",)})})  # type: ignore[union-attr]

QKV = Matrix("attention.qkv", (4096, 1024, 1024), 4096)
DOWN_AT_8 = Matrix("feed_forward.down", (4096,), 14336 // 8, gpus=8, by_columns=True)
EXPERT = Matrix("experts.down", (2048,), 768, experts=True)
EXPERT_AT_4 = replace(EXPERT, columns=192, gpus=4, by_columns=True)


def test_every_kernel_names_a_source_and_serves_what_there_is() -> None:
    known = {*Precision, FP8_KV_CACHE}
    for kernel in _kernels().kernels:
        assert kernel.source
        assert set(kernel.serves) <= known
        assert kernel.capability < kernel.below
        assert kernel.until is None or release(kernel.since or "0.0") < release(kernel.until)
    assert {precision for kernel in _kernels().kernels for precision in kernel.serves} == known
    assert all(each.source and set(each.serves) <= known for each in _kernels().beside)


@pytest.mark.parametrize(
    ("precision", "name", "kernel"),
    [
        ("bf16", "A100", "cuBLAS"),
        ("bf16", "MI300X", "hipBLASLt"),
        ("fp16", "T4", "cuBLAS"),
        ("fp8-w8a8", "H100", "CUTLASS FP8"),
        ("fp8-w8a8", "L4", "CUTLASS FP8"),
        ("fp8-w8a8", "A100", "Marlin FP8"),
        ("fp8-w8a8", "T4", "Marlin FP8"),
        ("fp8-w8a8", "MI300X", "PyTorch scaled_mm"),
        ("fp8-block", "H200", "DeepGEMM"),
        ("fp8-block", "RTX-4090", "Marlin FP8"),
        ("int8-w8a8", "T4", "CUTLASS INT8"),
        ("int8-w8a8", "MI250", "Triton INT8"),
        ("int8-w8a16", "A10", "Marlin"),
        ("int8-w8a16", "H100", "Machete"),
        ("gptq-w4a16", "H100", "Machete"),
        ("gptq-w4a16", "B200", "Marlin"),
        ("gptq-w4a16", "MI300X", "Triton W4A16"),
        ("awq-w4a16", "A100", "Marlin"),
        ("nvfp4", "B200", "CUTLASS FP4"),
        ("nvfp4", "RTX-5090", "CUTLASS FP4"),
        ("nvfp4", "H100", "Marlin FP4"),
        ("mxfp4", "H100", "Triton MXFP4"),
        ("mxfp4", "A100", "Marlin FP4"),
        ("mxfp4", "B200", "FlashInfer MXFP4"),
    ],
)
def test_the_kernel_that_vllm_takes(precision: str, name: str, kernel: str) -> None:
    choice = choose(scheme(precision).layout, gpu(name))
    assert choice.kernel is not None, choice.reason
    assert kernel == choice.kernel.name


@pytest.mark.parametrize(
    ("precision", "name", "words"),
    [
        ("bf16", "T4", "bf16 needs compute capability 8.0 or newer; T4 has 7.5"),
        ("fp16", "V100", "fp16 needs compute capability 7.5 or newer; V100-SXM2-16GB has 7.0"),
        (
            "int8-w8a8",
            "B200",
            "int8-w8a8 is not there from compute capability 10.0 on; B200-SXM-180GB has 10.0",
        ),
        ("int8-w8a8", "RTX-5090", "int8-w8a8 is not there from compute capability 10.0 on"),
        ("int8-w8a16", "MI300X", "vLLM has no kernel for int8-w8a16 on AMD GPUs"),
        ("fp8-w8a8", "MI250", "fp8-w8a8 needs compute capability 9.4 or newer; MI250 has 9.0"),
        ("mxfp4", "T4", "mxfp4 needs compute capability 8.0 or newer"),
        ("bnb-nf4", "A100", "only before 0.28.0; later it takes the plugin vllm-bnb-plugin"),
        (
            "gguf-q4_k_m",
            "A100",
            "only before 0.24.0; later it takes the plugin vllm-gguf-plugin; llama.cpp's own server takes it, on the CPU",
        ),
        ("bf16", "Gaudi-3", "vLLM itself does not serve on Gaudi"),
        ("bf16", "TPU-v6e", "vLLM itself does not serve on TPUs"),
    ],
)
def test_what_a_gpu_does_not_accept_is_said_with_the_figures(precision: str, name: str, words: str) -> None:
    refusal = scheme(precision).refusal(gpu(name))
    assert refusal is not None
    assert words in refusal


@pytest.mark.parametrize(
    ("precision", "name", "version", "served"),
    [
        ("fp16", "V100", "0.19.0", True),
        ("fp16", "V100", "0.21.0", False),
        ("fp8-w8a8", "T4", "0.11.0", False),
        ("fp8-w8a8", "T4", "0.16.0", True),
        ("nvfp4", "A100", "0.8.5", False),
        ("nvfp4", "A100", "0.11.0", True),
        ("nvfp4", "B200", "0.8.5.post1", True),
        ("fp8-block", "H100", "0.6.3", False),
        ("fp8-block", "A100", "0.8.5", False),
        ("fp8-block", "A100", "v0.11.2", True),
        ("gguf-q4_k_m", "A100", "0.21.0", True),
        ("bnb-nf4", "A100", "0.27.1", True),
        ("mxfp4", "H100", "0.8.5", False),
        ("mxfp4", "H100", "0.11.0rc1", True),
    ],
)
def test_releases_differ(precision: str, name: str, version: str, served: bool) -> None:
    assert served is (scheme(precision).refusal(gpu(name), version) is None)


@pytest.mark.parametrize(
    ("change", "name", "version", "matrix", "expected"),
    [
        ({}, "A100", None, DOWN_AT_8, "Marlin"),  # 1792 = 14 x 128
        ({}, "H100", None, replace(QKV, rows=(4096, 1000)), "Marlin"),  # Machete wants outputs by 128s
        ({}, "A100", "0.19.0", replace(QKV, rows=(4096, 1000)), "needs outputs by 64s, and attention.qkv has 5096"),
        ({}, "A100", None, replace(QKV, rows=(4096, 1000)), "Marlin"),  # padded since 0.24
        ({}, "A100", None, EXPERT_AT_4, "a group of 128 straddles the shards of experts.down on 4 GPUs (192"),
        ({"method": "gptq"}, "A100", None, EXPERT_AT_4, "Triton WNA16 MoE"),  # which cuts the groups
        ({"group": 64}, "A100", None, EXPERT_AT_4, "Marlin MoE"),
        ({}, "A100", None, EXPERT, "Marlin MoE"),
        ({}, "A100", None, replace(QKV, columns=4160), "a group of 128 does not divide the 4160 inputs"),
        ({"group": 256}, "A100", None, QKV, "Triton W4A16"),
        ({"group": 48}, "A100", None, QKV, "takes groups of 32, 64, 128"),
        ({"group": 32}, "H100", None, QKV, "Marlin"),  # Machete takes 64 and 128 only
        ({"act_order": True}, "A100", None, QKV, "act order with groups of 128 has no kernel in this release"),
        ({"act_order": True, "group": -1}, "A100", None, QKV, "Marlin"),
        ({"act_order": True}, "A100", "0.27.1", DOWN_AT_8, "Marlin"),
        ({"act_order": True}, "H100", "0.19.0", DOWN_AT_8, "Marlin"),  # Machete needs all inputs
        ({"act_order": True}, "H100", "0.19.0", QKV, "Machete"),
        ({"act_order": True, "method": "gptq"}, "V100", "0.19.0", DOWN_AT_8, "act order with groups needs all inputs"),
        ({"method": "gptq"}, "V100", "0.19.0", QKV, "ExLlama"),
        ({"symmetric": False}, "A100", "0.19.0", QKV, "takes no zero points"),
    ],
)  # fmt: skip
def test_groups_act_order_and_shapes_of_gptq(change, name, version, matrix, expected: str) -> None:
    choice = choose(replace(scheme("gptq-w4a16").layout, **change), gpu(name), version, matrix)
    assert expected in (choice.reason or choice.kernel.name)


@pytest.mark.parametrize(
    ("precision", "matrix", "version", "expected"),
    [
        ("fp8-block", replace(QKV, gpus=8, rows=(512, 128, 128)), None, "DeepGEMM"),
        (
            "fp8-block",
            replace(QKV, gpus=8, rows=(512, 64, 64)),
            None,
            "a block of 128 straddles the shards of attention.qkv on 8 GPUs (64 outputs each)",
        ),
        ("fp8-block", replace(DOWN_AT_8, columns=1856), None, "a group of 128 straddles the shards"),
        ("fp8-block", replace(QKV, columns=2880), None, "DeepGEMM"),  # whole, the last block may be shorter
        ("fp8-block", EXPERT_AT_4, "0.27.1", "a group of 128 straddles the shards of experts.down"),
        ("fp8-block", EXPERT_AT_4, "0.32.0", "Triton FP8"),
        ("mxfp4", replace(EXPERT_AT_4, columns=360, gpus=8), None, "Triton MXFP4"),  # padded
        ("bnb-nf4", DOWN_AT_8, "0.19.0", "bnb-nf4 cannot be divided between 8 GPUs"),
        ("int8-w8a8", EXPERT, None, "Triton INT8"),
    ],
)
def test_blocks_and_what_cannot_be_divided(
    precision: str, matrix: Matrix, version: str | None, expected: str
) -> None:
    choice = choose(scheme(precision).layout, gpu("H100"), version, matrix)
    assert expected in (choice.reason or choice.kernel.name)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("precision", "processor", "matrix", "expected"),
    [
        ("bf16", PLAIN, QKV, "oneDNN"),
        ("bf16", PLAIN, EXPERT, "oneDNN"),
        ("fp8-w8a8", PLAIN, QKV, "PyTorch scaled_mm"),
        ("fp8-w8a8", PLAIN, EXPERT, "vLLM has no kernel for experts.down in fp8-w8a8 on cpu"),
        ("int8-w8a8", PLAIN, QKV, "oneDNN INT8"),
        ("int8-w8a8", PLAIN, EXPERT, "int8-w8a8 needs a processor with amx_int8"),
        ("int8-w8a8", AMX, EXPERT, "AMX INT8"),
        ("int8-w8a16", PLAIN, QKV, "vLLM has no kernel for int8-w8a16 on a processor"),
        ("gptq-w4a16", PLAIN, QKV, "CPU WNA16"),
        ("awq-w4a16", PLAIN, QKV, "CPU WNA16"),
        ("gptq-w4a16", PLAIN, replace(QKV, rows=(100,)), "CPU WNA16 needs outputs by 32s"),
        ("gptq-w4a16", PLAIN, EXPERT, "gptq-w4a16 needs a processor with amx_int8"),
        ("fp8-block", PLAIN, QKV, "fp8-block needs a processor with amx_bf16"),
        ("fp8-block", AMX, QKV, "AMX FP8"),
        ("nvfp4", AMX, QKV, "vLLM has no kernel for nvfp4 on a processor"),
        (
            "gguf-q8_0",
            PLAIN,
            QKV,
            "no kernel for gguf-q8_0 on a processor; llama.cpp's own server takes it, on the CPU as on a GPU",
        ),
        ("mxfp4", AMX, QKV, "vLLM has no kernel for attention.qkv in mxfp4 on cpu"),
    ],
)
def test_a_processor(precision: str, processor: Gpu, matrix: Matrix, expected: str) -> None:
    choice = choose(scheme(precision).layout, processor, None, matrix)
    assert expected in (choice.reason or choice.kernel.name)  # type: ignore[union-attr]


def test_a_processor_takes_fp8_with_a_scale_a_row_alone() -> None:
    by_matrix = replace(scheme("fp8-w8a8").layout, group=0)
    assert choose(by_matrix, gpu("H100"), None, QKV).kernel
    for processor in (PLAIN, AMX):
        assert (
            choose(by_matrix, processor, None, QKV).reason
            == "PyTorch scaled_mm takes a scale a row, and the weights have one scale a matrix"
        )


@pytest.mark.parametrize(
    ("name", "served"), [("T4", False), ("A100", True), ("H100", True), ("MI250", False)]
)
def test_an_fp8_kv_cache_needs_a_kernel_too(name: str, served: bool) -> None:
    assert served is (choose(Layout(FP8_KV_CACHE), gpu(name)).reason is None)


def test_weights_alone_are_noted() -> None:
    choice = choose(scheme("fp8-w8a8").layout, gpu("A100"))
    assert choice.kernel is not None
    assert (
        choice.kernel.note
        == "FP8 runs as weights alone here (Marlin); memory is halved, compute stays at 16 bits"
    )


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(InputError, match="'newest' is no release of vLLM"):
        choose(scheme("bf16").layout, gpu("A100"), "newest")
