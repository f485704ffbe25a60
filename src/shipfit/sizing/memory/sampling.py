"""Sampling in the step that vLLM measures memory by: one word for each of as many sequences as it takes in at once."""

from __future__ import annotations

from shipfit.core.units import GIB
from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.sizing.memory.term import WIDE, Term
from shipfit.sizing.releases import Release
from shipfit.sizing.settings import Settings
from shipfit.sizing.start import Start

_GATHERED_BYTES = 4
"""Bytes of a 16-bit logit while the GPUs' parts are gathered: as they came, and in order."""


def sampling(facts: ModelFacts, gpu: Gpu, settings: Settings, start: Start) -> list[Term]:
    """Logits and what sampling makes of them, while the hidden state of the step's tokens is still there."""
    sequences = min(start.sequences, start.tokens)
    each = start.release.logit_bytes
    if _in_place(facts, gpu, start.release):
        each = max(start.release.v2_logit_bytes, _GATHERED_BYTES if settings.tensor > 1 else 0)
    logits = sequences * facts.vocabulary * each
    formula = f"{sequences:,} sequences x {facts.vocabulary:,} words x {each} bytes"
    if not _in_place(facts, gpu, start.release) and start.release.logit_programs and not gpu.cpu:
        programs = min(start.release.logit_programs, sequences)
        logits += programs * facts.vocabulary * 4
        formula += f" + {programs} programs x {facts.vocabulary:,} words x 4 bytes"
    tokens = start.tokens
    return [
        Term("activation", "logits and sampling", logits / GIB, formula, "vllm/v1/sample/sampler.py"),
        Term(
            "activation",
            "hidden state",
            tokens * facts.hidden * WIDE / GIB,
            f"{tokens:,} tokens x {facts.hidden:,} wide x {WIDE} bytes",
            "vllm/v1/worker/gpu_model_runner.py, profile_run",
        ),
    ]


def _in_place(facts: ModelFacts, gpu: Gpu, release: Release) -> bool:
    """Whether sampling works on the logits themselves, as model runner V2 does; on a processor it does not run."""
    return release.runs_v2(facts) and not gpu.cpu


def kept(facts: ModelFacts, gpu: Gpu, start: Start) -> list[Term]:
    """Counts of the words in every sequence, which model runner V2 keeps whether or not penalties are asked for."""
    each = start.release.v2_penalty_bytes if _in_place(facts, gpu, start.release) else 0
    if not each:
        return []
    return [
        Term(
            "activation",
            "counts for penalties",
            start.sequences * facts.vocabulary * each / GIB,
            f"{start.sequences:,} sequences x {facts.vocabulary:,} words x {each} bytes",
            "vllm/v1/worker/gpu/sample/penalties.py",
        )
    ]
