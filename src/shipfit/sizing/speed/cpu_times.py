"""The times of one replica on a processor: reading and computing at once, whichever takes longer."""

from __future__ import annotations

from shipfit.hardware import Gpu
from shipfit.hardware.gpu import Cpu
from shipfit.precision import Scheme
from shipfit.sizing.speed.efficiencies import Processor
from shipfit.sizing.speed.work import Work


class CpuTimes:
    """The times of one replica, from constants that are worked out once.

    Args:
        work: what a step has to do.
        gpu: the processor.
        cpu: its cores.
        scheme: how the weights are stored.
        cores: of this replica.
        sharers: replicas that share the processor's memory, this one among them.
        layers: decoder layers.
        budget: tokens that a step takes in.
        known: what a processor reaches.
    """

    request_s = 0.0
    crowding = 0.0

    def __init__(
        self,
        work: Work,
        gpu: Gpu,
        cpu: Cpu,
        scheme: Scheme,
        cores: int,
        sharers: int,
        layers: int,
        budget: int,
        known: Processor,
    ) -> None:
        self.budget = budget
        # The probe measured what programs reach, not a label; cores share it with the other replicas' cores.
        bandwidth = min(cpu.core_bandwidth_gb_s * cores, gpu.bandwidth_gb_s / sharers) * 1e9
        core = gpu.tflops["bf16"] / cpu.cores if scheme.group == 0 else cpu.core_tflops
        self._operation_s = 1 / (core * cores * 1e12 * known.compute)
        self._byte_s = 1 / bandwidth
        self._layers_s = layers * known.layer_s
        self._work = work
        self._read = sum(each.bytes for each in (*work.dense, *work.head))
        self._experts = sum(each.bytes for each in work.experts)
        self._token = sum(each.operations for each in (*work.dense, *work.experts))
        self._head = sum(each.operations for each in work.head)

    def step_s(self, batch: float, context: float) -> float:
        """Seconds of a decoding step.

        Args:
            batch: requests in flight.
            context: tokens that each looks back at.
        """
        looking = sum(
            each.reach(context) * each.token_bytes + each.state_bytes for each in self._work.attention
        )
        reading = (self._weights(batch) + batch * looking) * self._byte_s
        computing = (self._token + self._head) * batch * self._operation_s
        return max(reading, computing) + self._layers_s

    def added_s(self, tokens: float, beside: float, together: float = 1) -> float:  # noqa: ARG002
        """Seconds that a prompt adds to steps that decode anyway: all of it, as nothing is left idle.

        Args:
            tokens: of the prompt.
            beside: requests that are decoding.
            together: prompts that the same steps take in, which share little.
        """
        return self.prefill_s(tokens, beside)

    def prefill_s(self, tokens: float, beside: float = 0, context: float = 0) -> float:  # noqa: ARG002
        """Seconds to read a prompt, whatever else is going on.

        Args:
            tokens: of the prompt.
            beside: requests that are decoding.
            context: tokens that each of those looks back at.
        """
        looking = sum(each.pairs(tokens) * each.pair_operations for each in self._work.attention)
        computing = (self._token * tokens + self._head + looking) * self._operation_s
        return max(computing, self._weights(tokens) * self._byte_s) + self._layers_s

    def _weights(self, tokens: float) -> float:
        """Bytes of weights that a step reads."""
        return float(self._read + self._experts * (1 - self._work.idle**tokens))
