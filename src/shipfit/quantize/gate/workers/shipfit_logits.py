"""Reads the logits that llama-perplexity writes (``--save-all-logits``) and compares two models' of one text.

The format is that of tools/perplexity/perplexity.cpp in github.com/ggml-org/llama.cpp. A header: eight letters, tokens
of a window, size of the vocabulary, number of windows, all token ids. Then for each position of the second half of each
window, but the last, the log-probabilities of all tokens in 16 bits: a step and the smallest value in float32, then how
many steps each is above the smallest. The smallest is no more than 16 nats below the largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import torch

MAGIC = b"_logits_"

POSITIONS = 32
"""Positions that are compared at once: 32 of a vocabulary of 262,144 are 34 MB in float32."""

LEAST = -16.0
"""Tokens that the source thinks less likely than e to this take no part: what lies below is not told apart in 16 bits,
and llama-perplexity itself leaves them out of its divergence."""

BLOCK = 2**20


class NotLogitsError(Exception):
    """The bytes are not what llama-perplexity writes, or are of another text."""


class Score(NamedTuple):
    """One window as both models see it; see ``shipfit_bootstrap.Scored``."""

    divergences: list[float]
    agreed: int
    source_loss: float
    artifact_loss: float


@dataclass(frozen=True)
class Logits:
    """A stream of logits, read up to the first window.

    Attributes:
        stream: at the first position.
        vocabulary: how many tokens there are.
        tokens: ids, [windows, tokens].
    """

    stream: BinaryIO
    vocabulary: int
    tokens: torch.Tensor

    def positions(self, count: int) -> torch.Tensor:
        """Log-probabilities of the next positions, [count, vocabulary]."""
        width = 2 * ((self.vocabulary + 1) // 2) + 4  # in units of 16 bits
        rows = torch.frombuffer(bytearray(_read(self.stream, 2 * width * count)), dtype=torch.uint16)
        rows = rows.view(count, width)
        step, least = rows[:, :4].contiguous().view(torch.float32).split(1, dim=1)
        return rows[:, 4 : 4 + self.vocabulary].float() * step + least


def compare(source: BinaryIO, artifact: BinaryIO) -> list[Score]:
    """Compare both models window by window. The artifact's stream is read to its end in any case: its writer waits.

    Raises:
        NotLogitsError: one of the two is no such stream, or they are of different texts.
    """
    try:
        expected, actual = _open(source), _open(artifact)
        if not torch.equal(expected.tokens, actual.tokens) or expected.vocabulary != actual.vocabulary:
            raise NotLogitsError("the artifact cuts the text into other tokens than its source")
        return [_score(expected, actual, tokens) for tokens in expected.tokens]
    finally:
        while artifact.read(BLOCK):
            pass


def _open(stream: BinaryIO) -> Logits:
    if _read(stream, len(MAGIC)) != MAGIC:
        raise NotLogitsError("llama-perplexity wrote no logits")
    length, vocabulary, windows = (int.from_bytes(_read(stream, 4), "little") for _ in range(3))
    tokens = torch.frombuffer(bytearray(_read(stream, 4 * length * windows)), dtype=torch.int32)
    return Logits(stream, vocabulary, tokens.view(windows, length).long())


def _score(source: Logits, artifact: Logits, tokens: torch.Tensor) -> Score:
    following = tokens[len(tokens) // 2 + 1 :]
    divergences: list[float] = []
    agreed, source_loss, artifact_loss = 0, 0.0, 0.0
    for token in following.split(POSITIONS):
        expected, actual = source.positions(len(token)), artifact.positions(len(token))
        terms = (expected.exp() * (expected - actual)).masked_fill_(expected <= LEAST, 0)
        divergences += terms.sum(-1).double().tolist()
        # Not argmax of both: in 16 bits two tokens can share the first place.
        best = expected.argmax(-1, keepdim=True)
        agreed += int((actual.gather(1, best)[:, 0] == actual.amax(-1)).sum())
        source_loss -= expected.gather(1, token[:, None]).double().sum().item()
        artifact_loss -= actual.gather(1, token[:, None]).double().sum().item()
    return Score(divergences, agreed, source_loss, artifact_loss)


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise NotLogitsError("llama-perplexity stopped before the end of its logits")
    return data
