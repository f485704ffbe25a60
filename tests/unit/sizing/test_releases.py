"""Releases are data: how a version finds its entry, and what the entries say."""

from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.sizing.releases import release


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        ("0.19.0", "0.19.0"),
        ("0.20.1", "0.19.0"),
        ("v0.11.2", "0.11.0"),
        ("0.8.5.post1", "0.8.0"),
        ("0.26.1rc1.dev608", "0.26.0"),
        ("0.32.0", "0.32.0"),
        ("1.0", "0.32.0"),
        (None, "0.32.0"),
    ],
)
def test_a_version_finds_the_newest_entry_that_is_not_newer(version: str | None, entry: str) -> None:
    assert entry == release(version).version


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.5.4", "vLLM 0.5.4 is older than every release that shipfit knows; it knows 0.6.3, 0.8.0"),
        ("latest", "'latest' is no release of vLLM; write it as 0.32.0"),
        ("", "'' is no release of vLLM"),
    ],
)
def test_what_is_no_known_version_is_refused_in_one_line(version: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        release(version)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "name", "tokens", "sequences"),
    [
        ("0.32.0", "L4", 2048, 256),
        ("0.32.0", "A100-SXM4-80GB", 2048, 256),
        ("0.32.0", "H100-SXM5-80GB", 8192, 1024),
        ("0.32.0", "B200-SXM-180GB", 16384, 1024),
        ("0.27.1", "B200-SXM-180GB", 8192, 1024),
        ("0.8.5", "A100-SXM4-80GB", 8192, 1024),  # before A100 was excluded
        ("0.8.5", "T4", 8192, 256),  # by V0, which reads a prompt in one step
    ],
)
def test_batch_defaults_follow_the_release_and_the_gpu(
    version: str, name: str, tokens: int, sequences: int
) -> None:
    batch = release(version).batch(gpu(name), context=8192)
    assert (tokens, sequences) == (batch.max_num_batched_tokens, batch.max_num_seqs)


def test_v0_reads_a_prompt_in_parts_where_the_context_is_long() -> None:
    assert release("0.8.5").batch(gpu("T4"), context=65536).max_num_batched_tokens == 2048


@pytest.mark.parametrize(
    ("version", "model", "runner"),
    [
        ("0.21.0", "Qwen/Qwen3-14B", False),
        ("0.24.0", "Qwen/Qwen3-14B", True),  # named
        ("0.27.1", "Qwen/Qwen2.5-7B-Instruct", True),  # dense
        ("0.27.1", "Qwen/Qwen3-30B-A3B", False),
        ("0.32.0", "Qwen/Qwen3-30B-A3B", True),  # all
    ],
)
def test_which_models_the_second_model_runner_runs(version: str, model: str, runner: bool) -> None:
    assert runner is release(version).runs_v2(load_facts(model))


def test_graphs_count_since_0_21() -> None:
    assert [False, True] == [release(version).graphs_subtracted for version in ("0.20.0", "0.21.0")]
    assert [0.9, 0.92] == [release(version).gpu_memory_utilization for version in ("0.20.0", "0.21.0")]
