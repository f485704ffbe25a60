"""Follows the engine at its work: which layer, which sample, what it only logs, and which layers no token reached."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import torch
from compressed_tensors.utils import match_named_modules
from llmcompressor.observers import Observer
from llmcompressor.utils.pytorch.module import infer_sequential_targets
from loguru import logger
from shipfit_checks import Fault

Report = Callable[[str, float | None], None]

_SINGULAR = "Failed to invert hessian"
_UNSMOOTHED = re.compile(r"Skipping smooth_layer (\S+), (no activations|NaN or inf outputs)")


class Watch:
    """Hooks on a model while it is quantized: a context.

    Args:
        model: what is quantized.
        layers: those to be quantized, by name.
        samples: of the calibration; 0 for none.
        rounds: how often the engine goes through all blocks.
        passes: of every sample through a block in a round.
        report: told of progress.
        share: fractions of the whole time at which quantization begins and ends.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        layers: dict[str, torch.nn.Module],
        *,
        samples: int,
        rounds: int,
        passes: int,
        report: Report,
        share: tuple[float, float],
    ) -> None:
        self._layers, self._samples, self._report = layers, samples, report
        self._rounds, self._passes = rounds, passes
        self._begin, self._end = share
        self._blocks = [block for _, block in match_named_modules(model, infer_sequential_targets(model))]
        self._tokens: Counter[str] = Counter()
        self._faults: list[Fault] = []
        self._layer = ""
        self._block = self._seen = self._round = 0
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        self._hooks.callback(logger.remove, logger.add(self._hear, level="INFO"))
        if self._samples:
            handles = [
                block.register_forward_pre_hook(self._enter(number), with_kwargs=True)
                for number, block in enumerate(self._blocks)
            ]
            handles += [
                layer.register_forward_pre_hook(self._count(name), with_kwargs=True)
                for name, layer in self._layers.items()
            ]
        else:
            handles = [torch.nn.modules.module.register_module_forward_pre_hook(self._observe)]
        for handle in handles:
            self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def faults(self) -> Iterator[Fault]:
        """What was seen."""
        yield from self._faults
        if self._samples:
            for name in self._layers:
                if not self._tokens[name]:
                    yield {"kind": "never-routed", "layer": name, "detail": "no calibration token reached it"}

    def _enter(self, number: int) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if number != self._block:
                self._round += number < self._block
                self._block, self._seen = number, 0
            self._seen += _first(args, kwargs).shape[0]
            sample = (self._seen - 1) % self._samples + 1
            self._tell(f"layer {number + 1} of {len(self._blocks)}, sample {sample} of {self._samples}")

        return hook

    def _count(self, name: str) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._tokens[name] += _first(args, kwargs).shape[:-1].numel()

        return hook

    def _observe(self, module: torch.nn.Module, _args: Any) -> None:
        """Without calibration every layer's weights are looked at once, and that is all."""
        if isinstance(module, Observer):
            self._seen += 1
            part = min(self._seen / len(self._layers), 1)
            self._report(f"layer {self._seen} of {len(self._layers)}", self._fraction(part))

    def _hear(self, message: Any) -> None:
        text = message.record["message"]
        if text.startswith("Quantizing "):
            self._layer = text.split()[1]
            self._tell(f"layer {self._layer}")
        elif text.startswith(_SINGULAR):
            detail = "rounded to nearest: its Hessian has no inverse"
            self._faults.append({"kind": "rounded", "layer": self._layer, "detail": detail})
        elif found := _UNSMOOTHED.match(text):
            detail = f"rounded without AWQ's scales: {found[2]}"
            self._faults.append({"kind": "rounded", "layer": found[1], "detail": detail})

    def _tell(self, text: str) -> None:
        inside = min(self._seen / (self._passes * self._samples), 1)
        done = self._round + (self._block + inside) / len(self._blocks)
        self._report(text, self._fraction(min(done / self._rounds, 1)))

    def _fraction(self, part: float) -> float:
        return self._begin + (self._end - self._begin) * part


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """A module's input, however it was passed."""
    tensor: torch.Tensor = args[0] if args else next(iter(kwargs.values()))
    return tensor
