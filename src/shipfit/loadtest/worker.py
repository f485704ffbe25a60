"""Makes the prompts of a load test; runs in guidellm's environment, which has ``tokenizers``.

Synthetic text of guidellm itself would load transformers and the tokenizer anew in several processes: seconds of
a test that may last twenty. Words are drawn from the model's own vocabulary, so that a prompt has exactly the tokens
asked for, and no two prompts share a beginning that a prefix cache could answer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

_SPACE_MARKS = "▁Ġ"  # SentencePiece and byte-level BPE
_MIN_WORDS = 50
_ATTEMPTS = 20


def main(request: dict[str, Any], report: Callable[..., None]) -> dict[str, Any]:
    """Write one JSON line a request, as guidellm's ``json_file`` data with ``relative_timestamp`` wants it.

    Args:
        request: ``tokenizer`` (path of tokenizer.json), ``path`` to write, ``due`` (seconds), ``input_tokens``
            (special tokens that the tokenizer adds are counted), ``output_tokens``, ``seed``.
    """
    tokenizer = Tokenizer.from_file(request["tokenizer"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    words = _words(tokenizer)
    source = random.Random(request["seed"])  # noqa: S311 - prompts, not secrets; must be repeatable
    counts = []
    with Path(request["path"]).open("w", encoding="utf-8") as stream:
        for due in request["due"]:
            text, count = _prompt(tokenizer, words, source, request["input_tokens"])
            counts.append(count)
            row = {
                "prompt": text,
                "prompt_tokens_count": count,
                "output_tokens_count": request["output_tokens"],
                "relative_timestamp": due,
            }
            stream.write(json.dumps(row) + "\n")
    report(f"{len(counts)} prompts")
    return {"fewest": min(counts), "most": max(counts)}


def _words(tokenizer: Tokenizer) -> list[str]:
    """Plain words that are one token each, in an order that does not depend on hashing."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    marked = [token[1:] for token in vocabulary if token[0] in _SPACE_MARKS and len(token) > 3]
    words = sorted({word for word in marked if word.isascii() and word.isalpha() and word.islower()})
    if len(words) < _MIN_WORDS:  # a vocabulary of whole words or of pieces without marks
        words = sorted(word for word in vocabulary if word.isascii() and word.isalnum())
    if not words:
        raise ValueError("the model's vocabulary has no plain word to make prompts of")
    return words


def _prompt(tokenizer: Tokenizer, words: list[str], source: random.Random, tokens: int) -> tuple[str, int]:
    """Text of ``tokens`` tokens, or as near as words come, and how many it has."""
    chosen = [source.choice(words) for _ in range(max(1, tokens - len(tokenizer.encode("").ids)))]
    for _ in range(_ATTEMPTS):
        text = " ".join(chosen)
        count = len(tokenizer.encode(text).ids)
        if count == tokens or (count > tokens and len(chosen) == 1):
            break
        if count > tokens:
            del chosen[max(1, len(chosen) - (count - tokens)) :]
        else:
            chosen += [source.choice(words) for _ in range(tokens - count)]
    return text, count
