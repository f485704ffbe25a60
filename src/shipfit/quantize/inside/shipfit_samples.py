"""Cuts text into windows of tokens: the same way for calibration and for the gate, with BOS as in serving."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class TooLittleTextError(Exception):
    """The text does not yield as many windows as were asked for; its message is how many it yields."""


def sample_windows(
    tokenizer: Any, texts: Sequence[str], count: int, length: int, seed: int
) -> list[list[int]]:
    """Choose windows of text without overlap.

    Args:
        tokenizer: of transformers.
        texts: paths of UTF-8 files.
        count: how many windows.
        length: tokens of a window, the beginning-of-sequence token included where the model has one.
        seed: of the choice.

    Returns:
        Token ids; each window begins with BOS exactly once if the tokenizer adds one, as it does when serving.

    Raises:
        TooLittleTextError: there are fewer windows than ``count``.
    """
    bos = tokenizer.bos_token_id
    prefix = [bos] if bos is not None and tokenizer("a")["input_ids"][0] == bos else []
    streams = []
    for text in texts:
        ids = tokenizer(Path(text).read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
        streams.append([token for token in ids if token != bos])
    return choose(streams, count, length, prefix, seed)


def choose(
    streams: Sequence[Sequence[int]], count: int, length: int, prefix: list[int], seed: int
) -> list[list[int]]:
    """Cut each stream of token ids into windows that begin with ``prefix``, and choose ``count`` of them."""
    step = length - len(prefix)
    if step < 1:
        raise TooLittleTextError("0")
    windows = [
        [*prefix, *stream[start : start + step]]
        for stream in streams
        for start in range(0, len(stream) - step + 1, step)
    ]
    if len(windows) < count:
        raise TooLittleTextError(str(len(windows)))
    return random.Random(seed).sample(windows, count)  # noqa: S311 - a choice, not a secret
