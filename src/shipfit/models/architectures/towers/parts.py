"""What towers for images are made of. Engines leave them in 16 bits, and tools do not quantize them."""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.models.architectures.draft import Draft
from shipfit.models.facts import Split


@dataclass(frozen=True)
class Encoder:
    """A tower's blocks of attention and a feed-forward network.

    Attributes:
        prefix: their name in a checkpoint.
        blocks: how many.
        width: of their stream.
        inner: inner width of the feed-forward network.
        attended: width of all heads together; 0: as wide as the stream.
        gated: whether the feed-forward network is gated.
        bias: whether matrices have biases.
        qkv_bias: whether query, key and value have; None: as all.
        norms: norms in a block.
        norm_bias: whether these have a bias.
        head_norms: numbers in the norms of queries and keys together.
        split: whether tensor parallelism divides them.
    """

    prefix: str
    blocks: int
    width: int
    inner: int
    attended: int = 0
    gated: bool = False
    bias: bool = True
    qkv_bias: bool | None = None
    norms: int = 2
    norm_bias: bool = True
    head_norms: int = 0
    split: bool = True


def encoder(draft: Draft, spec: Encoder) -> None:
    """Adds a tower's blocks."""
    heads = spec.attended or spec.width
    outputs, inputs = (Split.OUTPUTS, Split.INPUTS) if spec.split else (Split.NONE, Split.NONE)
    sides = 2 if spec.gated else 1
    qkv_bias = spec.bias if spec.qkv_bias is None else spec.qkv_bias
    shapes = (
        ("attention.qkv", (heads, spec.width), outputs, 3, qkv_bias),
        ("attention.output", (spec.width, heads), inputs, 1, spec.bias),
        ("feed_forward.up", (spec.inner, spec.width), outputs, sides, spec.bias),
        ("feed_forward.down", (spec.width, spec.inner), inputs, 1, spec.bias),
    )
    for name, shape, split, each, bias in shapes:
        block(draft, name, shape, split, f"{spec.prefix}.*", spec.blocks * each, bias=bias)
    count = spec.norms * (2 if spec.norm_bias else 1)
    vector(draft, "norms", spec.width, f"{spec.prefix}.*", count * spec.blocks)
    vector(draft, "head_norms", spec.head_norms, f"{spec.prefix}.*", spec.blocks)


def block(
    draft: Draft,
    name: str,
    shape: tuple[int, int],
    split: Split,
    module: str,
    each: int = 1,
    *,
    bias: bool = False,
) -> None:
    """Adds matrices of a tower."""
    draft.matrix(
        f"vision.{name}", shape, split, (module,), None, each=each, bias=bias, quantized=False, looked_up=True
    )


def vector(draft: Draft, name: str, width: int, module: str, each: int = 1) -> None:
    """Adds vectors of a tower."""
    draft.vector(f"vision.{name}", width, (module,), None, each=each)


def linear(draft: Draft, name: str, shape: tuple[int, int], module: str, *, bias: bool = False) -> None:
    """Adds a matrix that every GPU has in full."""
    block(draft, name, shape, Split.NONE, module, bias=bias)
