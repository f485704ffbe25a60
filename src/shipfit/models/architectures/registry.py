"""Which family reads which architecture; one that none reads is refused, never guessed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from shipfit.core.data import read_yaml
from shipfit.core.errors import InputError
from shipfit.models.architectures import (
    compressed,
    delta,
    gemma,
    gpt,
    hybrid,
    kimi,
    latent,
    minimax,
    nemotron_h,
    older,
    uneven,
)
from shipfit.models.architectures.decoder import decode
from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.multimodal import WRAPPERS
from shipfit.models.architectures.tables import DECODERS

Family = Callable[[Draft], None]
"""Adds weights and caches to a draft that has its dimensions."""

_OTHERS: dict[str, Family] = {
    "BambaForCausalLM": hybrid.bamba,
    "BloomForCausalLM": gpt.bloom,
    "ChatGLMForConditionalGeneration": older.chatglm,
    "ChatGLMModel": older.chatglm,
    "DbrxForCausalLM": older.dbrx,
    "DeciLMForCausalLM": uneven.nemotron_nas,
    "DeepseekV2ForCausalLM": latent.decode,
    "DeepseekV3ForCausalLM": latent.decode,
    "DeepseekV32ForCausalLM": latent.decode,
    "DeepseekV4ForCausalLM": compressed.deepseek_v4,
    "FalconForCausalLM": older.falcon,
    "RWForCausalLM": older.falcon,
    "FalconH1ForCausalLM": hybrid.falcon_h1,
    "FalconMambaForCausalLM": hybrid.nothing_but_mamba,
    "Gemma4ForCausalLM": gemma.gemma4,
    "Glm4MoeLiteForCausalLM": latent.decode,
    "GlmMoeDsaForCausalLM": latent.decode,
    "GPT2LMHeadModel": gpt.gpt2,
    "GPTBigCodeForCausalLM": gpt.gpt_bigcode,
    "GPTJForCausalLM": gpt.gpt_j,
    "GraniteMoeHybridForCausalLM": hybrid.granite_hybrid,
    "JambaForCausalLM": hybrid.jamba,
    "KimiLinearForCausalLM": kimi.kimi_linear,
    "Lfm2ForCausalLM": hybrid.lfm2,
    "Lfm2MoeForCausalLM": hybrid.lfm2,
    "Llama4ForCausalLM": uneven.llama4,
    "Mamba2ForCausalLM": hybrid.nothing_but_mamba2,
    "MambaForCausalLM": hybrid.nothing_but_mamba,
    "MiMoV2FlashForCausalLM": uneven.mimo_v2,
    "MiMoV2ForCausalLM": uneven.mimo_v2,
    "MiniMaxForCausalLM": minimax.minimax_m1,
    "MiniMaxM1ForCausalLM": minimax.minimax_m1,
    "MiniMaxText01ForCausalLM": minimax.minimax_m1,
    "MiniMaxM3ForCausalLM": minimax.minimax_m3,
    "MiniMaxM3SparseForCausalLM": minimax.minimax_m3,
    "MistralLarge3ForCausalLM": latent.decode,
    "NemotronHForCausalLM": nemotron_h.nemotron_h,
    "OPTForCausalLM": gpt.opt,
    "Phi3SmallForCausalLM": older.phi3_small,
    "Qwen3NextForCausalLM": delta.qwen3_next,
    "Qwen3_5ForCausalLM": delta.qwen3_5,
    "Qwen3_5MoeForCausalLM": delta.qwen3_5,
    "Step3p5ForCausalLM": uneven.step3p5,
    "Step3p7FlashForCausalLM": uneven.step3p5,
}


@cache
def families() -> dict[str, Family]:
    """The families of language models by the architectures that they read."""
    return {name: _decoder(name) for name in DECODERS} | _OTHERS


def known() -> list[str]:
    """All architectures that are understood."""
    return sorted({*families(), *WRAPPERS})


def family(name: str, source: str) -> Family:
    """What reads an architecture.

    Raises:
        InputError: nothing does.
    """
    found = families().get(name)
    if found is None:
        near = difflib.get_close_matches(name, known(), n=3, cutoff=0)
        raise InputError(
            f"shipfit does not know the architecture {name} and does not guess its size",
            hint=f"the nearest that it knows: {', '.join(near)}; what it would need is the shape of every weight"
            " and what each layer keeps of a token: ask for it with this config.json",
            where=source,
        )
    return found


@cache
def _all_defaults() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_yaml(Path(__file__).with_name("defaults.yaml"))
    return found


def defaults(name: str) -> Mapping[str, Any]:
    """What transformers takes for missing fields of an architecture's configuration."""
    found: Mapping[str, Any] = _all_defaults().get(name, {}).get("fields", {})
    return found


def _decoder(name: str) -> Family:
    decoder = DECODERS[name]
    return lambda draft: decode(draft, decoder)
