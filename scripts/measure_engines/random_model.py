"""A worker that writes a model of random 16-bit weights, with a tokenizer whose tokens are bytes.

Request: ``config``, a whole config.json but for the tokens that begin and end a text; ``output``, an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast


def main(request: dict[str, Any], report: Callable[[str, float | None], None]) -> dict[str, Any]:
    """Make it; on the GPU where there is one, which is minutes faster."""
    output, config = Path(request["output"]), dict(request["config"])
    report("making the model", None)
    settings = AutoConfig.for_model(config.pop("model_type"), **config, bos_token_id=0, eos_token_id=1)
    torch.manual_seed(1)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(settings, dtype=torch.bfloat16)
    model.save_pretrained(output)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<bos>": 0, "<eos>": 1, **{letter: number for number, letter in enumerate(letters, 2)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>").save_pretrained(
        output
    )
    return {}
