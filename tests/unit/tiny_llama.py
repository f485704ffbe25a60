"""A Llama that is small, and that nobody has the weights of: what its config.json says."""

from __future__ import annotations

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 320,
    "max_position_embeddings": 128,
    "torch_dtype": "bfloat16",
}
