"""Models that take images too: a language model in a section of the configuration, and a tower beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shipfit.models.architectures.draft import Draft
from shipfit.models.architectures.fields import Fields
from shipfit.models.architectures.towers import google, kimi, llama, others, qwen

Tower = Callable[[Draft, Fields], None]


@dataclass(frozen=True)
class Wrapper:
    """A model around a language model.

    Attributes:
        language: the language model's architecture; empty: its section names it.
        tower: adds the tower.
    """

    language: str
    tower: Tower


WRAPPERS: dict[str, Wrapper] = {
    "Gemma3ForConditionalGeneration": Wrapper("Gemma3ForCausalLM", google.gemma3),
    "Gemma4ForConditionalGeneration": Wrapper("Gemma4ForCausalLM", google.gemma4),
    "Glm4vForConditionalGeneration": Wrapper("Glm4ForCausalLM", others.glm4v),
    "Glm4vMoeForConditionalGeneration": Wrapper("Glm4MoeForCausalLM", others.glm4v),
    "Idefics3ForConditionalGeneration": Wrapper("LlamaForCausalLM", others.idefics3),
    "InternVLChatModel": Wrapper("", others.intern_vit),
    "InternVLForConditionalGeneration": Wrapper("", others.intern_vit),
    "KimiK25ForConditionalGeneration": Wrapper("DeepseekV3ForCausalLM", kimi.moonvit),
    "KimiK3ForConditionalGeneration": Wrapper("KimiLinearForCausalLM", kimi.moonvit),
    "KimiVLForConditionalGeneration": Wrapper("DeepseekV3ForCausalLM", kimi.moonvit),
    "Llama4ForConditionalGeneration": Wrapper("Llama4ForCausalLM", llama.llama4),
    "MiniMaxM3SparseForConditionalGeneration": Wrapper("MiniMaxM3SparseForCausalLM", kimi.minimax_m3),
    "Mistral3ForConditionalGeneration": Wrapper("MistralForCausalLM", llama.pixtral),
    "Qwen2VLForConditionalGeneration": Wrapper("Qwen2ForCausalLM", qwen.qwen2_vl),
    "Qwen2_5_VLForConditionalGeneration": Wrapper("Qwen2ForCausalLM", qwen.qwen2_5_vl),
    "Qwen3VLForConditionalGeneration": Wrapper("Qwen3ForCausalLM", qwen.qwen3_vl),
    "Qwen3VLMoeForConditionalGeneration": Wrapper("Qwen3MoeForCausalLM", qwen.qwen3_vl),
    "Qwen3_5ForConditionalGeneration": Wrapper("Qwen3_5ForCausalLM", qwen.qwen3_vl),
    "Qwen3_5MoeForConditionalGeneration": Wrapper("Qwen3_5MoeForCausalLM", qwen.qwen3_vl),
    "SmolVLMForConditionalGeneration": Wrapper("LlamaForCausalLM", others.idefics3),
}
"""By the name in ``architectures``."""

SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")
"""What the language model's section may be called."""
