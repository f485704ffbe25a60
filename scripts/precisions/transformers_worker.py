"""Goes on from a prompt, greedily, with a model that nothing on this machine serves; weights become 16-bit ones.

Runs in llm-compressor's environment (``shipfit.core.launcher``). Request: ``artifact`` (its folder), ``prompt``,
``tokens`` (of the answer, at most). Result: ``answer``, ``engine`` (what gave it).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from shipfit_models import load_model


def main(request: dict[str, Any], report: Callable[[str, float | None], None]) -> dict[str, Any]:
    """Ask the artifact."""
    folder = Path(request["artifact"])
    report("loading", 0.0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = load_model(folder)
    asked = tokenizer(request["prompt"], return_tensors="pt")
    report("answering", 0.5)
    with torch.inference_mode():
        ids = model.generate(**asked, max_new_tokens=request["tokens"], do_sample=False)
    answer = tokenizer.decode(ids[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    return {"answer": answer, "engine": f"transformers {transformers.__version__}"}
