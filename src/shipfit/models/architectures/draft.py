"""A model's weights and caches as they are put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from shipfit.models.architectures.fields import Fields
from shipfit.models.facts import Cache, CacheKind, Experts, Split, State, Weight

Layers = tuple[int, ...]
"""Decoder layers, counted from 0."""


@dataclass
class Draft:
    """What a family of architectures fills in.

    Attributes:
        fields: of the language model.
        outer: of the whole configuration: the same, where the language model is no section of it.
        layers: decoder layers.
        hidden: width of the residual stream.
        heads: query heads; of most layers, where they differ.
        kv_heads: key and value heads, likewise.
        head_width: numbers of one head.
        weights: so far.
        caches: so far.
        experts: the mixture of experts, if any.
    """

    fields: Fields
    outer: Fields
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_width: int
    weights: list[Weight] = field(default_factory=list)
    caches: list[Cache] = field(default_factory=list)
    experts: Experts | None = None

    @property
    def every(self) -> Layers:
        """All decoder layers."""
        return tuple(range(self.layers))

    @property
    def vocabulary(self) -> int:
        """Tokens the model knows: rows of the embedding."""
        fields = self.fields
        return fields.number("padded_vocab_size" if fields.has("padded_vocab_size") else "vocab_size")

    def matrix(
        self,
        name: str,
        shape: tuple[int, int],
        split: Split,
        modules: tuple[str, ...],
        at: Layers | None,
        *,
        each: int | None = None,
        active: int | None = None,
        bias: bool = False,
        quantized: bool = True,
        fused: str | None = None,
        kv_heads: int | None = None,
        absorbed: bool = False,
        looked_up: bool = False,
        wide_bytes: int = 2,
    ) -> None:
        """Adds a kind of matrix, and its bias.

        Args:
            name: what it is.
            shape: outputs and inputs of one.
            split: as tensor parallelism divides it.
            modules: its names in a checkpoint.
            at: the layers that have it, so that nothing is added where there are none; None: outside of the layers.
            each: how many a layer has; None: one for each of the modules.
            active: how many of these a token passes through.
            bias: whether each has one.
            quantized: as in ``Weight``, and so are all further ones.
        """
        count = len(modules) if each is None else each
        rows, columns = shape
        if not count or not rows or not columns or at == ():
            return
        self.weights.append(
            Weight(
                name,
                rows,
                columns,
                split,
                at or (),
                count,
                active,
                quantized,
                looked_up,
                wide_bytes,
                modules,
                fused,
                kv_heads,
                absorbed,
            )
        )
        if bias:
            self.vector(
                f"{name}_bias",
                rows,
                tuple(f"{module}.bias" for module in modules),
                at,
                split=Split.NONE if split is Split.INPUTS else split,
                each=count,
                active=active,
                kv_heads=kv_heads,
            )

    def vector(
        self,
        name: str,
        width: int,
        modules: tuple[str, ...],
        at: Layers | None,
        *,
        split: Split = Split.NONE,
        each: int | None = None,
        active: int | None = None,
        kv_heads: int | None = None,
        wide_bytes: int = 2,
    ) -> None:
        """Adds a kind of vector: norms, biases and the like, which nothing quantizes."""
        count = len(modules) if each is None else each
        if count and width and at != ():
            self.weights.append(
                Weight(
                    name,
                    width,
                    1,
                    split,
                    at or (),
                    count,
                    active,
                    modules=modules,
                    kv_heads=kv_heads,
                    wide_bytes=wide_bytes,
                )
            )

    def norms(self, modules: tuple[str, ...], at: Layers | None, *, bias: bool = False) -> None:
        """Adds norms of the residual stream."""
        name = "last_norm" if at is None else "norms"
        self.vector(name, self.hidden, modules, at)
        if bias:
            self.vector(name, self.hidden, tuple(f"{module}.bias" for module in modules), at)

    def ends(
        self,
        *,
        embedding: str = "model.embed_tokens",
        head: str = "lm_head",
        norm: str = "model.norm",
        width: int | None = None,
        norm_bias: bool = False,
        head_bias: bool = False,
    ) -> None:
        """Adds the embedding, the output head where it is another matrix, and the last norm.

        Args:
            embedding: its name in a checkpoint; so are ``head`` and ``norm``.
            width: columns of both; None: the residual stream's.
            norm_bias: whether the norm has a bias.
            head_bias: whether the head has one.
        """
        shape, tied = (self.vocabulary, width or self.hidden), self.fields.flag("tie_word_embeddings")
        self.matrix(
            "embedding", shape, Split.OUTPUTS, (embedding,), None, quantized=False, looked_up=not tied
        )
        if not tied:
            self.matrix("head", shape, Split.OUTPUTS, (head,), None, quantized=False)
        if head_bias:
            self.vector("head", self.vocabulary, (f"{head}.bias",), None, split=Split.OUTPUTS)
        if norm:
            self.norms((norm,), None, bias=norm_bias)

    def cache(
        self,
        kind: CacheKind,
        at: Layers,
        *,
        heads: int | None = None,
        kv_heads: int | None = None,
        widths: tuple[int, int] | None = None,
        window: int | None = None,
        index_bytes: int = 0,
        shared: Layers = (),
    ) -> None:
        """Adds what layers of a kind keep; nothing where there are none.

        Args:
            kind: how it grows.
            at: the layers.
            heads: query heads; None: the model's; so are ``kv_heads`` and ``widths`` of a key and a value.
            window: tokens kept, where not all are.
            index_bytes: bytes a token beside keys and values.
            shared: of ``at``, those that read an earlier layer's.
        """
        if at:
            key, value = widths or (self.head_width, self.head_width)
            self.caches.append(
                Cache(
                    kind,
                    at,
                    self.heads if heads is None else heads,
                    self.kv_heads if kv_heads is None else kv_heads,
                    key,
                    value,
                    window,
                    index_bytes,
                    shared_layers=shared,
                )
            )

    def state(self, at: Layers, *states: State) -> None:
        """Adds the state that layers keep of a request; nothing where there are none."""
        if at:
            self.caches.append(Cache(CacheKind.STATE, at, states=states))
