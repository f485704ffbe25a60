"""Logits and what sampling makes of them."""

from __future__ import annotations

import pytest

from shipfit.core.units import GIB
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing.memory.sampling import kept, sampling
from shipfit.sizing.memory.term import total_gib
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

H100 = gpu("H100-SXM5-80GB")
WORDS = 151_936  # Qwen3


@pytest.mark.parametrize(
    ("version", "tensor", "bytes_"),
    [
        ("0.16.0", 1, 38),  # sorted
        ("0.17.0", 1, 14),
        ("0.24.0", 1, 6),  # in place, in 32 bits
        ("0.32.0", 1, 2),  # in place
        ("0.32.0", 4, 4),  # gathered
    ],
)
def test_a_logit_takes_fewer_bytes_with_every_sampler(version: str, tensor: int, bytes_: int) -> None:
    facts, settings = load_facts("Qwen/Qwen3-14B"), Settings(tensor=tensor)
    few, many = (
        total_gib(sampling(facts, H100, settings, Start(release(version), 8192, 8192, sequences)))
        for sequences in (200, 300)
    )
    assert 100 * WORDS * bytes_ / GIB == pytest.approx(many - few)


def test_no_more_sequences_are_sampled_than_there_are_tokens() -> None:
    begun = Start(release(), 8192, 16, 1024)
    logits, _hidden = sampling(load_facts("Qwen/Qwen3-14B"), H100, Settings(), begun)
    assert logits.formula.startswith("16 sequences")


@pytest.mark.parametrize(("version", "bytes_"), [("0.21.0", 0), ("0.24.0", 0), ("0.32.0", 4.125)])
def test_words_are_counted_by_the_second_model_runner(version: str, bytes_: float) -> None:
    found = kept(load_facts("Qwen/Qwen3-14B"), H100, Start(release(version), 8192, 8192, 1024))
    assert 1024 * WORDS * bytes_ / GIB == pytest.approx(total_gib(found))


def test_a_processor_runs_the_first_model_runner() -> None:
    begun = Start(release(), 8192, 2048, 128)
    assert [] == kept(load_facts("Qwen/Qwen3-0.6B"), gpu("cpu"), begun)
    logits, _hidden = sampling(load_facts("Qwen/Qwen3-0.6B"), gpu("cpu"), Settings(), begun)
    assert 128 * WORDS * 14 / GIB == pytest.approx(logits.gib)
