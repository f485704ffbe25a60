"""Images in the largest step: pixels, encoder, and what it made of them."""

from __future__ import annotations

import pytest

from shipfit.core.units import GIB
from shipfit.models import load_facts
from shipfit.sizing.memory import images
from shipfit.sizing.memory.term import total_gib
from shipfit.sizing.releases import release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

BEGUN = Start(release(), 8192, 8192, 256)


@pytest.mark.parametrize(
    ("model", "tokens", "patches", "pixels"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", 16384, 4, 1176),  # one image is more than a step
        ("Qwen/Qwen3-VL-4B-Instruct", 16384, 4, 1536),
        ("google/gemma-3-4b-it", 8192, 16, 588),
        ("google/gemma-4-31B-it", 8192, 9, 768),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", 8192, 4, 588),
        ("moonshotai/Kimi-VL-A3B-Instruct", 8192, 4, 588),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 8192, 4, 588),
    ],
)
def test_pixels_follow_from_the_first_matrix(model: str, tokens: int, patches: int, pixels: int) -> None:
    _encoded, found = images.kept(load_facts(model), BEGUN)
    assert tokens * patches * pixels * 2 / GIB == pytest.approx(found.gib)


def test_an_encoder_is_divided_between_gpus_in_part() -> None:
    facts = load_facts("Qwen/Qwen2.5-VL-7B-Instruct")
    one, eight = (total_gib(images.encoding(facts, Settings(tensor=tensor), BEGUN)) for tensor in (1, 8))
    assert one / 8 < eight < one / 2


def test_text_has_no_images() -> None:
    facts = load_facts("Qwen/Qwen3-0.6B")
    assert [] == images.kept(facts, BEGUN)
    assert [] == images.encoding(facts, Settings(), BEGUN)
