"""Limits: the spec's own, and the usual ones."""

from __future__ import annotations

import itertools

import pytest

from shipfit.quantize.gate import limits_of
from shipfit.quantize.gate.limits import usual_limits
from shipfit.spec import Gate
from shipfit.spec.precision import Precision


def test_every_precision_has_limits_with_a_source() -> None:
    assert set(usual_limits()) == set(Precision)
    for limits in usual_limits().values():
        assert limits.published
        assert limits.source.startswith(("github.com/", "huggingface.co/", "arXiv:"))


def test_fewer_bits_are_never_held_to_less_loss() -> None:
    for ladder in (
        ["bf16", "gguf-q8_0", "gguf-q6_k", "gguf-q5_k_m", "gguf-q4_k_m", "gguf-q2_k"],
        ["fp16", "int8-w8a16", "int8-w8a8", "gptq-w4a16"],
        ["fp8-w8a8", "fp8-block", "awq-w4a16", "nvfp4", "mxfp4"],
    ):
        steps = [usual_limits()[Precision(name)] for name in ladder]
        for finer, coarser in itertools.pairwise(steps):
            assert finer.max_mean_kl <= coarser.max_mean_kl
            assert finer.max_p99_kl <= coarser.max_p99_kl
            assert finer.min_top1_agreement >= coarser.min_top1_agreement
            assert finer.max_perplexity_ratio <= coarser.max_perplexity_ratio


def test_what_the_spec_says_counts_and_the_rest_is_usual() -> None:
    gate = Gate(dataset=["held-out.txt"], max_mean_kl=0.5, min_top1_agreement=0)
    limits = limits_of(gate, Precision.GPTQ_W4A16)
    usual = usual_limits()[Precision.GPTQ_W4A16]
    assert limits == {
        "max_faults": 0.0,
        "max_structure_faults": 0.0,
        "max_mean_kl": 0.5,
        "max_p99_kl": usual.max_p99_kl,
        "min_top1_agreement": 0.0,
        "max_perplexity_ratio": usual.max_perplexity_ratio,
        "max_faulty": 0.0,
        "max_regression": 0.25,
    }


@pytest.mark.parametrize(
    ("settings", "absent", "present"),
    [
        ({"generation": None}, {"max_faulty", "min_recovery"}, set()),
        ({"tasks": {"names": ["arc_easy"], "min_recovery": 0.95}}, set(), {"min_recovery"}),
        ({"max_regression": None}, {"max_regression"}, {"max_faulty"}),
        ({}, {"min_greedy_agreement"}, {"max_faulty"}),
        ({"generation": {"min_greedy_agreement": 0.5}}, set(), {"min_greedy_agreement"}),
    ],
)
def test_only_what_is_measured_has_a_limit(
    settings: dict[str, object], absent: set[str], present: set[str]
) -> None:
    limits = limits_of(Gate.model_validate({"dataset": ["a.txt"], **settings}), Precision.BF16)
    assert absent & limits.keys() == set()
    assert present <= limits.keys()
