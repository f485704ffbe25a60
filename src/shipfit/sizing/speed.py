"""The speed of one replica: prefill bound by compute, decode by memory bandwidth.

The roofline model (Williams, Waterman, Patterson, "Roofline", 2009; for transformers: Pope et al., arXiv:2211.05102):

    step(batch) = max(bytes read / bandwidth, operations / compute) + overhead of each layer + all-reduces
    prefill(n)  = max(operations / compute, bytes read / bandwidth) + overhead of each layer + all-reduces

Every replica gets an equal share of the requests. How many are in flight follows from Little's law (in flight =
rate x time of a request), and how long a request takes from how many are in flight; the fixed point of both is
searched. Efficiencies are few, named and below; all times in seconds, all functions are pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipfit.hardware import Gpu
from shipfit.models import ModelFacts
from shipfit.precision import Scheme
from shipfit.sizing.memory import kv_heads_per_gpu, weight_bytes

BANDWIDTH_SHARE = 0.8
"""Share of the label's memory bandwidth that decoding reaches."""
COMPUTE_SHARE = 0.5
"""Share of the label's dense throughput that prefill reaches."""
LAYER_S = 40e-6
"""Seconds a layer takes beyond its arithmetic, with CUDA graphs: kernels that are too small to fill a GPU."""
ALL_REDUCE_S = 14e-6
"""Seconds of an all-reduce of a few kilobytes: latency, not bandwidth. Two a layer."""
REQUEST_S = 0.06
"""Seconds from a request's arrival to its first token beyond the GPU's work: HTTP, tokens, scheduling."""
# These five, by hand, on measured times of 70B and 8B in FP8 and NVFP4 on one, two, four, eight H200 and B200, 4 to 64
# requests in flight (github.com/ai-dynamo/aiconfigurator, systems/silicon_sample.csv): of 417 decode times the median
# error is 11%, and 90% of the rows lie within 34%; of 72 first tokens with at most 8 in flight, 15% and 39%. The 8B
# rows are the worst, predicted 2 times too slow: their checkpoint keeps the KV cache in FP8, which is not modelled yet.

CPU_COMPUTE_SHARE = 0.4
"""The same share of a processor. Prefill of 16 to 900 tokens of a 270M model on one Zen 4 core: 130 of 332 GFLOP/s in
bf16, 70 of 166 with 4-bit weights, which are widened to 32 bits first."""
CPU_LAYER_S = 1.6e-3
"""Seconds a layer takes beyond its arithmetic, without graphs: the same core and model, 29 ms a step beyond the
reading of the weights for 18 layers, the engine's own work between steps among them."""

_WIDE = 2
_ROUNDS = 100  # of the fixed point; each halves the distance


@dataclass(frozen=True)
class Replica:
    """What a replica consists of.

    Attributes:
        facts: the model.
        scheme: how its weights are stored.
        gpu: the kind of GPU.
        gpus: tensor-parallel size; cores of a processor.
        sharers: replicas that share a processor's memory, this one among them; 1 for GPUs.
    """

    facts: ModelFacts
    scheme: Scheme
    gpu: Gpu
    gpus: int
    sharers: int = 1

    @property
    def split(self) -> int:
        """How many parts the weights lie in."""
        return 1 if self.gpu.cpu else self.gpus

    @property
    def bandwidth(self) -> float:
        """Bytes a second that each part of the weights is read with."""
        if self.gpu.cpu:
            # The probe measured what programs reach, not a label; cores share it with the other replicas' cores.
            own = self.gpu.cpu.core_bandwidth_gb_s * self.gpus
            return min(own, self.gpu.bandwidth_gb_s / self.sharers) * 1e9
        return self.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH_SHARE

    @property
    def compute(self) -> float:
        """Operations a second of all parts together; a format that is not there is computed in 16 bits."""
        rates = self.gpu.tflops
        if self.gpu.cpu:
            cores = rates["bf16"] / self.gpu.cpu.cores if self.scheme.group == 0 else self.gpu.cpu.core_tflops
            return cores * self.gpus * 1e12 * CPU_COMPUTE_SHARE
        rate = rates.get(self.scheme.compute) or rates.get("bf16") or rates.get("fp16") or max(rates.values())
        return rate * 1e12 * COMPUTE_SHARE * self.gpus

    @property
    def overhead(self) -> float:
        """Seconds of a step beyond arithmetic, reading and sending."""
        if self.gpu.cpu:
            return self.facts.layers * CPU_LAYER_S
        waits = 2 * ALL_REDUCE_S if self.gpus > 1 else 0.0
        return self.facts.layers * (LAYER_S + waits)


@dataclass(frozen=True)
class Speed:
    """What a user of the deployment sees, on average.

    Attributes:
        ttft_s: seconds to the first token.
        tpot_s: seconds a token after the first.
        tokens_per_s: output tokens a second, of all replicas together.
        in_flight: requests in flight in each replica.
        overloaded: whether requests arrive faster than they are answered; the times are then those of a full
            replica, and the queue in front of it grows without end.
    """

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    in_flight: float
    overloaded: bool


def step_s(replica: Replica, batch: float, context: float) -> float:
    """Seconds of one decoding step.

    Args:
        replica: where.
        batch: requests in flight; a mean, so not always whole.
        context: tokens that each has in the KV cache.
    """
    facts = replica.facts
    reading = (_read_bytes(replica, batch) + batch * _kv_read_bytes(replica, context)) / replica.bandwidth
    computing = 2 * facts.active_parameters * batch / replica.compute
    return max(reading, computing) + replica.overhead


def prefill_s(replica: Replica, tokens: int) -> float:
    """Seconds to read a prompt, alone.

    Args:
        replica: where.
        tokens: of the prompt.
    """
    facts = replica.facts
    head = facts.vocabulary * facts.hidden  # only the last token's output is wanted
    linear = 2 * ((facts.active_parameters - head) * tokens + head)
    # scores and weighted values: 2 x 2 operations a pair of tokens and head width; half of the pairs are in the past
    attention = 2 * tokens**2 * facts.heads * facts.head_dim * facts.layers
    reading = _read_bytes(replica, tokens) / replica.bandwidth
    sending = 0.0
    if replica.split > 1 and replica.gpu.link:
        # a ring sends 2 (n-1)/n of the data each way (Patarasuk, Yuan, 2009); the label counts both ways together
        share = 2 * (replica.gpus - 1) / replica.gpus
        one_way = replica.gpu.link.gb_s / 2 * 1e9 * BANDWIDTH_SHARE
        sending = 2 * facts.layers * tokens * facts.hidden * _WIDE * share / one_way
    return max((linear + attention) / replica.compute, reading) + sending + replica.overhead


def serve(replica: Replica, replicas: int, rate: float, tokens_in: int, tokens_out: int, seats: int) -> Speed:
    """The speed under Poisson arrivals.

    Args:
        replica: one of the replicas.
        replicas: how many there are.
        rate: requests a second, over all of them.
        tokens_in: of a prompt.
        tokens_out: of an answer.
        seats: requests that a replica takes in at once.
    """
    own = rate / replicas
    prefill = prefill_s(replica, tokens_in)
    context = tokens_in + tokens_out / 2
    in_flight = 0.0
    for _ in range(_ROUNDS):
        ttft, tpot = _times(replica, min(max(in_flight, 1.0), seats), context, prefill, own)
        wanted = own * (ttft + tpot * (tokens_out - 1))
        in_flight = min((in_flight + wanted) / 2, 1e6)
    overloaded = in_flight > seats or own * prefill >= 1
    served = min(in_flight, seats) / (ttft + tpot * (tokens_out - 1)) * replicas if overloaded else rate
    return Speed(ttft, tpot, served * tokens_out, in_flight, overloaded)


def _times(
    replica: Replica, batch: float, context: float, prefill: float, rate: float
) -> tuple[float, float]:
    """TTFT and TPOT with so many requests in flight.

    Prefills of others take their share of the time, so that every step is longer by it; a new request waits for the
    step that is under way and for prefills before its own (M/D/1: Kleinrock, "Queueing Systems", 1975).
    """
    busy = min(rate * prefill, 0.95)
    tpot = step_s(replica, batch, context) / (1 - busy)
    waiting = busy * prefill / (2 * (1 - busy))
    under_way = tpot / 2 if rate * tpot > 0 and batch > 1 else 0.0
    return prefill + waiting + under_way + (0.0 if replica.gpu.cpu else REQUEST_S), tpot


def _read_bytes(replica: Replica, tokens: float) -> float:
    """Bytes of weights that a step reads on each GPU; of the experts, those that any of its tokens passes through."""
    facts = replica.facts
    total = weight_bytes(facts, replica.scheme, replica.split)
    for weight in facts.weights:
        converted = weight.quantized or (replica.scheme.embeddings and weight.looked_up)
        one = (
            replica.scheme.matrix_bytes(weight.rows, weight.columns)
            if converted
            else (weight.rows * weight.columns * _WIDE)
        )
        if weight.looked_up:
            total -= one * weight.count / replica.split
        elif facts.experts and weight.name.startswith("experts."):
            untouched = (1 - facts.experts.per_token / facts.experts.count) ** tokens
            total -= one * weight.count * untouched / replica.split
    return max(total, 0.0)


def _kv_read_bytes(replica: Replica, context: float) -> float:
    """Bytes of one request's KV cache that a step reads on each GPU; windowed layers read no more than the window."""
    facts = replica.facts
    layer = 2 * kv_heads_per_gpu(facts, replica.split) * facts.head_dim * _WIDE
    window = min(context, facts.sliding_window or context)
    return layer * ((facts.layers - facts.sliding_layers) * context + facts.sliding_layers * window)
