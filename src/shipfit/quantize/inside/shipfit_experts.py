"""Loads models with every expert's matrices as linear layers, which is how llm-compressor quantizes and saves them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from llmcompressor.modeling.moe.linearize import load_quantizable_moe


@contextmanager
def linear_experts() -> Iterator[None]:
    """Make ``AutoModelForCausalLM.from_pretrained`` do so; models without experts are loaded as ever."""
    # As it replaces the experts' class, transformers looks into all its modules, and these names of image processors
    # would import torchvision, which text does without.
    for name in [name for name in sys.modules if name.startswith("transformers.") and name.endswith("_fast")]:
        if "image_processing" in name:
            del sys.modules[name]
    with load_quantizable_moe():
        yield
