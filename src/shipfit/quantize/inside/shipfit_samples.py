"""Cuts documents into windows of tokens: the same way for calibration and for the gate, with BOS as in serving.

A file of documents holds one JSON object a line: ``text``; or ``prompt`` and ``completion``; or ``messages``, a list of
``role`` and ``content``. The last two go through the model's own chat template.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any


class TooLittleTextError(Exception):
    """A source does not yield as many windows as were asked of it."""

    field = "samples"
    hint = "add text, or ask for fewer or shorter samples"


class NoChatTemplateError(Exception):
    """Documents are conversations, and the model's tokenizer has no chat template."""

    field = "dataset"
    hint = "name rows with text, or a model with a chat template"


class ChatTemplateError(Exception):
    """The model's chat template refuses a conversation."""

    field = "dataset"
    hint = "mend or remove that document"


@dataclass(frozen=True)
class Window:
    """A piece of text as tokens.

    Attributes:
        ids: of the tokens.
        document: the document that it begins in, as ``SOURCE:LINE``, both from 1. Windows of different documents
            share no text.
    """

    ids: list[int]
    document: str


def sample_windows(
    tokenizer: Any, documents: Sequence[Mapping[str, Any]], count: int, length: int, seed: int
) -> list[Window]:
    """Choose windows of text without overlap.

    Args:
        tokenizer: of transformers.
        documents: one file a source: ``path`` of its documents, and its ``weight`` beside the others.
        count: how many windows; each source gives its share of them by weight.
        length: tokens of a window, the beginning-of-sequence token included where the model has one.
        seed: of the choice.

    Returns:
        The windows of one source after those of another; each begins with BOS exactly once if the tokenizer or its
        chat template adds one, as when serving.

    Raises:
        TooLittleTextError: a source has fewer windows than its share.
        NoChatTemplateError: a document is a conversation, and the tokenizer has no chat template.
        ChatTemplateError: the chat template refuses a document.
    """
    chosen: list[Window] = []
    choice = random.Random(seed)  # noqa: S311 - a choice, not a secret
    wanted = shares(count, [source["weight"] for source in documents])
    for number, (source, share) in enumerate(zip(documents, wanted, strict=True), 1):
        windows = cut(tokenizer, _read(Path(source["path"]), number), length)
        if len(windows) < share:
            raise TooLittleTextError(
                f"{share} samples of {length} tokens are asked for of source {number}, which has"
                f" {len(windows) or 'none'}"
            )
        chosen += choice.sample(windows, share)
    return chosen


def shares(count: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to ``count``, in proportion to ``weights``: the method of largest remainders.

    Of equal remainders the earlier counts first.
    """
    whole = sum(map(Fraction, weights))
    exact = [count * Fraction(weight) / whole for weight in weights]
    parts = [int(each) for each in exact]
    by_remainder = sorted(range(len(weights)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[: count - sum(parts)]:
        parts[place] += 1
    return parts


def cut(tokenizer: Any, documents: Iterable[tuple[str, Mapping[str, Any]]], length: int) -> list[Window]:
    """All windows of some documents, each document a name and its content.

    A document that fills a window is cut from its beginning on. Shorter ones follow each other in a window, which
    begins with a whole one. What is left of a document at the end of a window or of the document is not used, so that
    windows share text with no other document's.
    """
    bos = tokenizer.bos_token_id
    streams = [
        (name, tokenizer(render(tokenizer, name, document), add_special_tokens=False)["input_ids"])
        for name, document in documents
    ]
    adds_bos = bos is not None and (
        tokenizer("a")["input_ids"][0] == bos or any(ids[:1] == [bos] for _, ids in streams)
    )
    prefix = [bos] if adds_bos else []
    step = length - len(prefix)
    if step < 1:
        return []
    windows: list[Window] = []
    begun: list[int] = []
    first = ""
    for name, stream in streams:
        ids = [token for token in stream if token != bos]
        if len(ids) >= step:
            starts = range(0, len(ids) - step + 1, step)
            windows += [Window([*prefix, *ids[start : start + step]], name) for start in starts]
            continue
        first = first if begun else name
        begun += ids
        if len(begun) >= step:
            windows.append(Window([*prefix, *begun[:step]], first))
            begun = []
    return windows


def render(tokenizer: Any, name: str, document: Mapping[str, Any]) -> str:
    """A document as the text that the model would see.

    Raises:
        NoChatTemplateError: it is a conversation, and the tokenizer has no chat template.
        ChatTemplateError: the chat template refuses it.
    """
    if "text" in document:
        return f"{document['text']}\n\n"  # another may follow
    if not getattr(tokenizer, "chat_template", None):
        shape = "messages" if "messages" in document else "prompt and completion"
        raise NoChatTemplateError(f"document {name} holds {shape}, and the model has no chat template")
    messages = document.get("messages") or [
        {"role": "user", "content": document["prompt"]},
        {"role": "assistant", "content": document["completion"]},
    ]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False))
    except Exception as error:  # a template is a program of the model's author
        reason = " ".join(str(error).split())[:200]
        raise ChatTemplateError(f"the model's chat template refuses document {name}: {reason}") from error


def _read(path: Path, source: int) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield f"{source}:{number}", json.loads(line)
