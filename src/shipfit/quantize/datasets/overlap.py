"""Takes out of the gate's text what is in the calibration text too.

Two texts overlap where 13 words in a row are the same, without case and punctuation: Brown et al. 2020, "Language
Models are Few-Shot Learners", arXiv:2005.14165, appendix C. A passage stays if it is clean in the sense of Touvron et
al. 2023, "Llama 2", arXiv:2307.09288, appendix A.6: less than a fifth of its words lie in such a run, so that a quoted
sentence or a common instruction does not cost the whole passage.

Where a script puts no spaces between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese), each letter counts as one.

A passage is a paragraph of a text, together with its neighbours where it has fewer than 13 words, and the whole of a
conversation, without what the system says in it: that is often the same in all of them. A document of fewer than 13
words overlaps with a passage that has just the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shipfit.quantize.datasets.model import Document

WORDS = 13
"""Length of a run: N of the paper's N-grams."""
CLEAN = 0.2
"""Share of overlapping words below which a passage is clean."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_BREAK = re.compile(r"\n\s*\n")
# Rabin's fingerprint of a run, rolled on word by word: the chance that any two of a million differing runs share one is
# 2e-7 at a modulus of 2**61 - 1.
_MODULUS = 2**61 - 1
_BASE = 1_000_003
_UNKNOWN = 1  # not 0: zeros at the beginning of a run would not change its fingerprint
_OUT = pow(_BASE, WORDS, _MODULUS)


@dataclass(frozen=True)
class Cleaned:
    """The gate's documents of one source after the cleaning.

    Attributes:
        documents: those that are left, or what is left of them.
        dropped: how many have nothing left.
        trimmed: how many have lost a part.
    """

    documents: list[Document]
    dropped: int
    trimmed: int

    @property
    def loss(self) -> str:
        """What was taken out, as a clause; empty where nothing was."""
        if not self.dropped and not self.trimmed:
            return ""
        whole = len(self.documents) + self.dropped
        parts = f" and parts of {self.trimmed} more" if self.trimmed else ""
        return f"{self.dropped} of {whole} documents{parts} are in the calibration text too"


def without_overlap(sources: Sequence[Sequence[Document]], calibration: Iterable[Document]) -> list[Cleaned]:
    """The gate's documents without the passages that overlap with the calibration text.

    Memory is a few hundred bytes for each word of ``sources``; ``calibration`` is read once, document by document.
    """
    vocabulary: dict[str, int] = {}
    wanted: set[int] = set()
    some_short = False
    for passage in (each for documents in sources for document in documents for each in _passages(document)):
        words = _known(passage, vocabulary)
        wanted.update(_runs(words))
        some_short = some_short or len(words) < WORDS
    shared: set[int] = set()
    for document in calibration:
        whole = _whole(document)
        for text in (whole, *(_BREAK.split(whole) if some_short else ())):
            shared.update(
                wanted.intersection(_runs([vocabulary.get(word, _UNKNOWN) for word in _words(text)]))
            )
    return [_clean(documents, vocabulary, shared) for documents in sources]


def overlapping(words: Sequence[int], shared: set[int]) -> float:
    """Share of a passage's words that lie in a run of ``shared``."""
    covered, end = 0, 0
    for start, run in enumerate(_runs(words)):
        if run in shared:
            stop = min(start + WORDS, len(words))
            covered += stop - max(start, end)
            end = stop
    return covered / len(words) if words else 0.0


def _clean(documents: Sequence[Document], vocabulary: dict[str, int], shared: set[int]) -> Cleaned:
    left: list[Document] = []
    dropped = trimmed = 0
    for document in documents:
        passages = _passages(document)
        kept = [each for each in passages if overlapping(_known(each, vocabulary), shared) < CLEAN]
        if len(kept) == len(passages):
            left.append(document)
        elif kept:
            left.append({"text": "\n\n".join(kept)})
            trimmed += 1
        else:
            dropped += 1
    return Cleaned(left, dropped, trimmed)


def _passages(document: Document) -> list[str]:
    """What is kept or dropped as one."""
    if "text" not in document:
        return [_whole(document)]
    passages: list[str] = []
    begun: list[str] = []
    for paragraph in _BREAK.split(document["text"]):
        begun.append(paragraph)
        if sum(len(_words(each)) for each in begun) >= WORDS:
            passages.append("\n\n".join(begun))
            begun = []
    if begun and passages:
        passages[-1] = "\n\n".join([passages[-1], *begun])
    elif begun:
        passages.append("\n\n".join(begun))
    return passages


def _whole(document: Document) -> str:
    if "text" in document:
        return str(document["text"])
    if "messages" in document:
        said = [each for each in document["messages"] if each["role"] not in ("system", "developer")]
        return "\n\n".join(each["content"] for each in said)
    return f"{document['prompt']}\n\n{document['completion']}"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _known(text: str, vocabulary: dict[str, int]) -> list[int]:
    """The words as numbers above that of unknown ones; new ones join the vocabulary."""
    return [vocabulary.setdefault(word, len(vocabulary) + _UNKNOWN + 1) for word in _words(text)]


def _runs(words: Sequence[int]) -> list[int]:
    """A fingerprint for each run of WORDS words, or of all where there are fewer; none of nothing."""
    value = 0
    for word in words[:WORDS]:
        value = (value * _BASE + word) % _MODULUS
    runs = [value] if words else []
    for new, old in zip(words[WORDS:], words, strict=False):
        value = (value * _BASE + new - old * _OUT) % _MODULUS
        runs.append(value)
    return runs
