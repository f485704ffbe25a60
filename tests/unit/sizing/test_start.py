"""What vLLM makes of the settings."""

from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import start

H100 = gpu("H100-SXM5-80GB")


@pytest.mark.parametrize(
    ("settings", "sequences", "tokens"),
    [
        (Settings(context=8192), 1024, 8192),
        (Settings(context=512, max_num_seqs=8), 8, 4096),  # no more than all requests have
        (Settings(context=8192, max_num_seqs=3), 3, 8192),
        (Settings(context=8192, max_num_batched_tokens=512), 512, 512),
    ],
)
def test_the_batch_is_vllms_own_unless_something_is_asked(
    settings: Settings, sequences: int, tokens: int
) -> None:
    begun = start(load_facts("Qwen/Qwen3-0.6B"), H100, settings)
    assert (sequences, tokens) == (begun.sequences, begun.tokens)


def test_the_context_is_the_models_own_unless_one_is_asked() -> None:
    facts = load_facts("Qwen/Qwen3-0.6B")
    assert 40_960 == start(facts, H100, Settings()).context
    assert 100 == start(facts, H100, Settings(context=100)).context


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(InputError, match="older than every release"):
        start(load_facts("Qwen/Qwen3-0.6B"), H100, Settings(version="0.1"))
