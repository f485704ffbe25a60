"""Everything but the KV cache: what lies outside of PyTorch, and that nothing is left out."""

from __future__ import annotations

import pytest

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing.memory.parts import terms
from shipfit.sizing.memory.term import total_gib
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start, start

BEGUN = Start(release(), context=8192, tokens=2048, sequences=256)


def non_torch(name: str, settings: Settings) -> float:
    facts, kind = load_facts("Qwen/Qwen2.5-7B-Instruct"), gpu(name)
    return total_gib(terms(facts, kind, scheme("fp16"), settings, start(facts, kind, settings)), "non_torch")


@pytest.mark.parametrize(
    ("name", "settings", "measured_gib"),
    [
        ("H100-SXM5-80GB", Settings(version="0.17.0"), 0.13),
        ("H100-SXM5-80GB", Settings(version="0.19.0"), 0.25),
        ("H100-SXM5-80GB", Settings(version="0.11.0", tensor=2), 0.55),
        ("H100-SXM5-80GB", Settings(version="0.19.0", tensor=2), 2.09),
        ("H100-SXM5-80GB", Settings(version="0.19.0", tensor=4), 2.17),
        ("T4", Settings(version="0.7.1"), 0.05),
    ],
)
def test_what_lies_outside_of_pytorch_is_what_vllm_logs(
    name: str, settings: Settings, measured_gib: float
) -> None:
    assert measured_gib == pytest.approx(non_torch(name, settings), abs=0.05)


def test_all_reduce_is_fused_on_hopper_alone_and_without_stages() -> None:
    fused = non_torch("H100-SXM5-80GB", Settings(tensor=4))
    assert fused - 1 > non_torch("H100-SXM5-80GB", Settings(tensor=2, pipeline=2))
    assert fused - 1 > non_torch("A100-SXM4-80GB", Settings(tensor=4))
    assert fused - 1 > non_torch("L4", Settings(tensor=4))


def test_a_processor_holds_processes_and_no_graphs() -> None:
    found = terms(load_facts("Qwen/Qwen3-0.6B"), gpu("cpu"), scheme("bf16"), Settings(), BEGUN)
    assert {"weights", "activation", "non_torch"} == {term.part for term in found}
    assert release().cpu_processes_gib == total_gib(found, "non_torch")


def test_every_term_says_how_it_came_about() -> None:
    found = terms(load_facts("Qwen/Qwen3-30B-A3B"), gpu("L4"), scheme("bf16"), Settings(tensor=2), BEGUN)
    assert {"weights", "activation", "cuda_graph", "non_torch"} == {term.part for term in found}
    assert all(term.gib > 0 and term.formula and term.source for term in found)
    assert len(found) == len({term.name for term in found})
