"""CUDA graphs: how many are captured, and what they take beside what vLLM estimated and measured."""

from __future__ import annotations

import pytest

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing.memory.graphs import captured_sizes, cuda_graphs, largest_size, probe_blocks
from shipfit.sizing.memory.term import total_gib
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

H100 = gpu("H100-SXM5-80GB")


def begun(sequences: int, version: str | None = None) -> Start:
    return Start(release(version), 8192, 8192, sequences)


@pytest.mark.parametrize(
    ("version", "name", "sequences", "sizes"),
    [
        ("0.32.0", "H100-SXM5-80GB", 1, 2),
        ("0.32.0", "H100-SXM5-80GB", 8, 5),
        ("0.32.0", "H100-SXM5-80GB", 32, 11),
        ("0.32.0", "H100-SXM5-80GB", 128, 35),
        ("0.32.0", "H100-SXM5-80GB", 1024, 51),
        ("0.32.0", "B200-SXM-180GB", 1024, 83),
        ("0.11.0", "H100-SXM5-80GB", 1024, 67),  # in steps of 8
        ("0.8.5", "H100-SXM5-80GB", 1, 67),  # whatever the number of sequences
        ("0.8.5", "T4", 160, 23),  # V0: up to the number of sequences
    ],
)
def test_as_many_sizes_are_captured_as_vllm_does(version: str, name: str, sequences: int, sizes: int) -> None:
    start = begun(sequences, version)
    assert sizes == captured_sizes(largest_size(gpu(name), start), start.release)


@pytest.mark.parametrize(
    ("model", "precision", "tensor", "estimated_gib"),
    [
        # release 0.19, github.com/llm-d-incubation/llm-d-planner/pull/205
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 1, 0.61),
        ("Qwen/Qwen2.5-7B-Instruct", "bf16", 4, 0.69),
        ("google/gemma-2-9b-it", "bf16", 1, 0.84),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8-w8a8", 2, 1.82),
        ("Qwen/Qwen3-30B-A3B", "bf16", 1, 1.24),
    ],
)
def test_graphs_are_near_what_vllm_estimates(
    model: str, precision: str, tensor: int, estimated_gib: float
) -> None:
    settings = Settings(tensor=tensor)
    terms = cuda_graphs(load_facts(model), H100, scheme(precision), settings, begun(1024, "0.19.0"))
    assert estimated_gib == pytest.approx(total_gib(terms), abs=0.15)


def test_nothing_is_captured_where_graphs_are_off_or_there_is_no_gpu() -> None:
    facts, bf16 = load_facts("Qwen/Qwen3-0.6B"), scheme("bf16")
    assert () == cuda_graphs(facts, H100, bf16, Settings(eager=True), begun(256))
    assert () == cuda_graphs(facts, gpu("cpu"), bf16, Settings(), begun(256))


@pytest.mark.parametrize(
    ("version", "eager", "blocks"),
    [("0.20.0", False, 0), ("0.21.0", False, 512), ("0.32.0", False, 256), ("0.32.0", True, 0)],
)
def test_the_estimate_takes_blocks_of_kv_cache(version: str, eager: bool, blocks: int) -> None:
    assert blocks == probe_blocks(H100, Settings(eager=eager), begun(256, version))
