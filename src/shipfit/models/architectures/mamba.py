"""State-space layers: their weights, and the state that they keep instead of keys and values.

vllm-project/vllm, vllm/model_executor/layers/mamba: mamba_mixer.py, mamba_mixer2.py, short_conv.py; the shapes and
formats of states: mamba_utils.py (MambaStateShapeCalculator, MambaStateDtypeCalculator).
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown

from shipfit.models.architectures.draft import Draft, Layers
from shipfit.models.facts import Split, State

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}


@dataclass(frozen=True)
class Mamba2:
    """A mixer of Mamba 2 (arXiv:2405.21060).

    Attributes:
        prefix: its name in a checkpoint.
        heads: heads of the state.
        head_width: channels of one.
        groups: sets of B and C that heads share.
        state: numbers of state a channel.
        kernel: inputs that the convolution sees.
        conv_bias: whether the convolution has a bias.
        bias: whether the projections have.
        norm: whether its output is normed.
        state_bytes: bytes of a number of state.
    """

    prefix: str
    heads: int
    head_width: int
    groups: int
    state: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    norm: bool = True
    state_bytes: int = 2

    @property
    def inner(self) -> int:
        """Channels."""
        return self.heads * self.head_width

    @property
    def convolved(self) -> int:
        """Channels that go through the convolution."""
        return self.inner + 2 * self.groups * self.state


def mamba2(draft: Draft, at: Layers, spec: Mamba2) -> None:
    """Adds such mixers and their states to layers."""
    prefix, hidden = spec.prefix, draft.hidden
    rows, module = 2 * spec.inner + spec.heads, (f"{prefix}.in_proj",)
    draft.matrix("mamba.in", (rows, hidden), Split.OUTPUTS, module, at, bias=spec.bias, fused="mamba.in")
    draft.matrix(
        "mamba.groups",  # B and C: divided by groups, of which each GPU has at least one
        (spec.groups * spec.state, hidden),
        Split.KV_HEADS,
        module,
        at,
        each=2,
        bias=spec.bias,
        fused="mamba.in",
        kv_heads=spec.groups,
    )
    convolution(draft, at, spec.convolved, spec.kernel, f"{prefix}.conv1d", bias=spec.conv_bias)
    draft.vector("mamba.decay", spec.heads, (f"{prefix}.A_log",), at, split=Split.OUTPUTS, wide_bytes=4)
    skips = (f"{prefix}.D", f"{prefix}.dt_bias")
    draft.vector("mamba.skip", spec.heads, skips, at, split=Split.OUTPUTS)
    if spec.norm:
        draft.vector("mamba.norm", spec.inner, (f"{prefix}.norm",), at, split=Split.OUTPUTS)
    draft.matrix("mamba.out", (hidden, spec.inner), Split.INPUTS, (f"{prefix}.out_proj",), at, bias=spec.bias)
    draft.state(
        at,
        State(spec.convolved * (spec.kernel - 1), 2),
        State(spec.inner * spec.state, spec.state_bytes),
    )


def mamba1(
    draft: Draft, at: Layers, prefix: str, *, normed: bool = False, bias_key: str = "use_bias"
) -> None:
    """Adds mixers of Mamba (arXiv:2312.00752) and their states to layers.

    Args:
        draft: where to.
        at: the layers.
        prefix: the mixer's name in a checkpoint.
        normed: whether time step, B and C are normed (Jamba).
        bias_key: the field that says whether the projections have a bias.
    """
    fields, hidden = draft.fields, draft.hidden
    state = fields.number("mamba_d_state", "state_size")
    kernel = fields.number("mamba_d_conv", "conv_kernel")
    inner = fields.number("intermediate_size") if not normed else fields.number("mamba_expand") * hidden
    rank_key = "mamba_dt_rank" if normed else "time_step_rank"
    rank = -(-hidden // 16) if fields.raw(rank_key) in (None, "auto") else fields.number(rank_key)
    bias = fields.flag(bias_key)
    conv_bias = fields.flag("mamba_conv_bias" if normed else "use_conv_bias", default=True)
    draft.matrix("mamba.in", (2 * inner, hidden), Split.OUTPUTS, (f"{prefix}.in_proj",), at, bias=bias)
    convolution(draft, at, inner, kernel, f"{prefix}.conv1d", bias=conv_bias)
    draft.matrix("mamba.steps", (rank + 2 * state, inner), Split.INPUTS, (f"{prefix}.x_proj",), at)
    draft.matrix(
        "mamba.step_up", (inner, rank), Split.OUTPUTS, (f"{prefix}.dt_proj",), at, bias=True, quantized=False
    )
    draft.matrix(
        "mamba.decay",
        (inner, state),
        Split.OUTPUTS,
        (f"{prefix}.A_log",),
        at,
        quantized=False,
        wide_bytes=4,
    )
    draft.vector("mamba.skip", inner, (f"{prefix}.D",), at, split=Split.OUTPUTS)
    draft.matrix("mamba.out", (hidden, inner), Split.INPUTS, (f"{prefix}.out_proj",), at, bias=bias)
    if normed:
        draft.vector("mamba.norm", rank, (f"{prefix}.dt_layernorm",), at)
        draft.vector("mamba.norm", state, (f"{prefix}.b_layernorm", f"{prefix}.c_layernorm"), at)
    draft.state(at, State(inner * (kernel - 1), 2), State(inner * state, 2))


def convolution(
    draft: Draft, at: Layers, channels: int, kernel: int, module: str, *, bias: bool, wide_bytes: int = 2
) -> None:
    """Adds a convolution over the last few inputs, one filter a channel."""
    draft.matrix(
        "convolution",
        (channels, kernel),
        Split.OUTPUTS,
        (module,),
        at,
        bias=bias,
        quantized=False,
        wide_bytes=wide_bytes,
    )


def short_convolution(draft: Draft, at: Layers, prefix: str, kernel: int, *, bias: bool) -> None:
    """Adds gated short convolutions (LFM2) and their states to layers."""
    hidden = draft.hidden
    draft.matrix("conv.in", (3 * hidden, hidden), Split.OUTPUTS, (f"{prefix}.in_proj",), at, bias=bias)
    convolution(draft, at, hidden, kernel, f"{prefix}.conv", bias=bias)
    draft.matrix("conv.out", (hidden, hidden), Split.INPUTS, (f"{prefix}.out_proj",), at, bias=bias)
    draft.state(at, State(hidden * (kernel - 1), 2))


def number_bytes(draft: Draft, *keys: str) -> int:
    """Bytes of a number of state, by the first of some fields that says its format; the model's own where none does.

    Raises:
        InputError: it is no format that states have.
    """
    for key in keys:
        named = draft.fields.raw(key)
        if named is not None:
            if not isinstance(named, str) or named not in _BYTES:
                draft.fields.refuse(key, f"is {shown(named)}, not one of {', '.join(_BYTES)}")
            return _BYTES[named]
    return 2
