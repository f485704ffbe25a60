"""A model's folder as transformers 4 reads it: what transformers 5 writes anew, that one takes for something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class UnknownRotaryError(Exception):
    """The positions of the model cannot be described to transformers 4."""


def legacy_view(source: Path, view: Path) -> Path:
    """Make ``view``, an empty folder, the source in the words of transformers 4; weights are links.

    Without it, transformers 4 computes positions with its own default, 10,000, in place of the model's base, and does
    not know the tokenizer's class. It says neither.

    Raises:
        UnknownRotaryError: kinds of layers differ in their positions, which transformers 4 has no common words for.
    """
    for file in source.iterdir():
        (view / file.name).symlink_to(file.resolve())
    _rewrite(view / "config.json", _config)
    _rewrite(view / "tokenizer_config.json", _tokenizer)
    return view


def _rewrite(link: Path, change: Any) -> None:
    if link.exists():
        content = change(json.loads(link.read_text(encoding="utf-8")))
        link.unlink()
        link.write_text(json.dumps(content), encoding="utf-8")


def _config(config: dict[str, Any]) -> dict[str, Any]:
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    rotary = config.pop("rope_parameters", None)
    if rotary:
        if "rope_type" not in rotary:
            raise UnknownRotaryError("rope_parameters that differ between kinds of layers")
        if rotary.get("rope_theta") is not None:
            config["rope_theta"] = rotary.pop("rope_theta")
        config["rope_scaling"] = None if rotary["rope_type"] == "default" else rotary
    return config


def _tokenizer(config: dict[str, Any]) -> dict[str, Any]:
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    return config
