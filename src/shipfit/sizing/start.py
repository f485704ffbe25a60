"""What vLLM makes of the settings when it starts: its release's defaults fill what they leave open."""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.sizing.releases import Release, release
from shipfit.sizing.settings import Settings


@dataclass(frozen=True)
class Start:
    """How a replica runs.

    Attributes:
        release: the release of vLLM.
        context: tokens of a request.
        tokens: tokens that a step takes in (``max_num_batched_tokens``).
        sequences: requests that a step takes in (``max_num_seqs``).
    """

    release: Release
    context: int
    tokens: int
    sequences: int


def start(facts: ModelFacts, gpu: Gpu, settings: Settings) -> Start:
    """How a replica runs with these settings.

    A step takes in what the settings say, else what vLLM decides itself (vllm/engine/arg_utils.py,
    _set_default_max_num_seqs_and_batched_tokens_args).

    Args:
        facts: the model.
        gpu: the kind of GPU.
        settings: how the replica is started.

    Raises:
        InputError: the version in the settings is not known.
    """
    engine = release(settings.version)
    context = settings.context or facts.max_position_embeddings
    own = engine.batch(gpu, context)
    sequences = settings.max_num_seqs
    tokens = settings.max_num_batched_tokens
    if tokens is None:
        tokens = min(own.max_num_batched_tokens, (sequences or own.max_num_seqs) * context)
    return Start(engine, context, tokens, min(own.max_num_seqs, tokens) if sequences is None else sequences)
