"""The names of precisions, in the order of the rule: the least aggressive first."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """How weights and activations are stored. Declared from least to most aggressive."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP8_W8A8 = "fp8-w8a8"
    INT8_W8A8 = "int8-w8a8"
    INT8_W8A16 = "int8-w8a16"
    FP8_BLOCK = "fp8-block"
    GPTQ_W4A16 = "gptq-w4a16"
    AWQ_W4A16 = "awq-w4a16"
    NVFP4 = "nvfp4"
    MXFP4 = "mxfp4"
    BNB_NF4 = "bnb-nf4"
    GGUF_Q8_0 = "gguf-q8_0"
    GGUF_Q6_K = "gguf-q6_k"
    GGUF_Q5_K_M = "gguf-q5_k_m"
    GGUF_Q4_K_M = "gguf-q4_k_m"
    GGUF_Q2_K = "gguf-q2_k"
