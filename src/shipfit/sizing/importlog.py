"""What a start-up log of vLLM says: how it was started, the memory that it measured, how it ended. Pure.

The lines are those of releases 0.8 to 0.32, at the levels that are logged by default and at debug. Where the workers
of a replica each say theirs, the fullest GPU counts, as it does for vLLM itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from shipfit.core.errors import InputError
from shipfit.sizing.settings import Settings

_NUMBER = r"(-?[\d,]*\.?\d+)"
_GIB = _NUMBER + r" ?GiB"


def _last(values: Sequence[float]) -> float:
    return values[-1]


def _first_of(values: Sequence[float]) -> float:
    return values[0]  # a draft model comes after the model itself


# Figure, the text around it, and which of several counts.
_FIGURES: tuple[tuple[str, str, Callable[[Sequence[float]], float]], ...] = (
    ("weights_gib", rf"(?:Model loading|Loading model weights) took {_NUMBER} Gi?B", max),
    ("weights_gib", rf"(?:model weights take|weights memory:) {_GIB}", max),
    ("activation_gib", rf"(?:activation peak memory takes|torch peak memory increase:) {_GIB}", max),
    ("activation_gib", rf"{_GIB} for peak activation", max),
    ("non_torch_gib", rf"(?:non_torch_memory takes|non-torch forward increase memory:) {_GIB}", max),
    ("non_torch_gib", rf"{_GIB} for non-torch memory", max),
    ("without_kv_gib", rf"Total non KV cache memory: {_GIB}", max),
    ("cuda_graph_gib", rf"Graph capturing finished in [\d.]+ secs, took {_GIB}", max),
    ("cuda_graph_gib", rf"CUDA graph pool memory: {_GIB} \(actual\)", max),
    ("cuda_graph_estimate_gib", rf"Estimated CUDA graph memory: {_GIB} total", max),
    ("cuda_graph_estimate_gib", rf"\(actual\), {_GIB} \(estimated\)", max),
    ("kv_cache_gib", rf"Available KV cache memory: {_GIB}", min),
    ("kv_cache_gib", rf"memory reserved for KV Cache is {_GIB}", min),
    ("kv_cache_tokens", rf"KV cache size: {_NUMBER} tokens", min),
    ("gpu_blocks", rf"# (?:GPU|cuda) blocks: {_NUMBER}", min),
    ("max_concurrency", rf"Maximum concurrency for [\d,]+ tokens per request: {_NUMBER}x", min),
    ("max_concurrency_ctx", rf"Maximum concurrency for {_NUMBER} tokens per request", _last),
    ("total_gib", rf"Free memory on device [\w:]*\s?\([\d.]+/{_GIB}\)", _last),
    ("total_gib", rf"total_gpu_memory \({_GIB}\)", _last),
    ("total_gib", rf"has a total capacity of {_GIB}", _last),
    ("max_num_batched_tokens", rf"Chunked prefill is enabled with max_num_batched_tokens={_NUMBER}", _last),
    ("max_model_len", rf"Using max model len {_NUMBER}", _first_of),
)
_PATTERNS = [(name, re.compile(pattern), pick) for name, pattern, pick in _FIGURES]

_VERSION = re.compile(
    r"(?:vLLM (?:API )?server version|LLM engine \(v|█\s+version) ?(\d+\.\d+\.\d+(?:\.?(?:post|rc|dev)\d+)*)"
)
_ENGINE = re.compile(r"Initializing a (V[01]) LLM engine")
_CONFIG = re.compile(r"LLM engine \(v.*?with config: (.*)")
_ARGUMENTS = re.compile(r"(?:non-default args: |\bargs: Namespace)(.*)")
_VALUE = re.compile(r"""['"]?\b(\w+)\b['"]?\s*[=:]\s*(?:'([^']*)'|"([^"]*)"|([^\s,'"{}()\[\]\\]+))""")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")

# What ends a start, how it is called in a row, and the lines that say so; the first that is found counts.
_ENDS = (
    (
        "startup_refused",
        re.compile(r"is less than (?:the )?(?:desired GPU memory utilization|engine's budget)"),
    ),
    ("no_kv_room", re.compile(r"No available memory for the cache blocks")),
    (
        "kv_too_small_for_max_model_len",
        re.compile(r"larger than the (?:available KV cache|maximum number of tokens that can be stored)"),
    ),
    ("oom", re.compile(r"CUDA out of memory|OutOfMemoryError|HIP out of memory")),
    ("config_rejected", re.compile(r"validation errors? for|must be divisible by|is not supported for")),
    ("failed_other", re.compile(r"\b\w*(?:Error|Exception): \S")),
)
_SERVED = re.compile(r"Application startup complete|init engine (?:\(profile|took)")
_CAPTURING = re.compile(r"Capturing CUDA graph")

COLUMNS = (
    "row_id", "model_id", "quantization", "weight_dtype", "tensor_parallel_size", "pipeline_parallel_size",
    "data_parallel_size", "gpu_model", "gpu_total_gib", "gpu_memory_utilization", "max_model_len",
    "max_num_seqs", "max_num_batched_tokens", "kv_cache_dtype", "vllm_version", "engine", "enforce_eager",
    "lora_enabled", "weights_gib_per_gpu", "activation_peak_gib", "cuda_graph_gib",
    "cuda_graph_estimate_gib", "non_torch_gib", "total_non_kv_gib", "kv_cache_gib_per_gpu",
    "kv_cache_tokens", "gpu_blocks", "max_concurrency", "max_concurrency_ctx", "outcome", "outcome_detail",
    "evidence", "source", "source_locator", "notes",
)  # fmt: skip
"""The columns of a row of measured start-ups."""


@dataclass(frozen=True)
class StartupLog:
    """A start-up of vLLM, as its log tells it; None is what the log does not say.

    Attributes:
        version: the release.
        engine: ``V1`` or ``V0``.
        options: how it was started, by the names of vLLM's own arguments; flags that were not given are not there.
        figures: what it measured, GiB, tokens or requests, by the names of ``COLUMNS`` (and ``total_gib``,
            ``without_kv_gib``).
        outcome: how it ended, such as ``served`` or ``oom``; None where the log just stops.
        detail: the line that says so.
    """

    version: str | None
    engine: str | None
    options: dict[str, str]
    figures: dict[str, float]
    outcome: str | None
    detail: str = field(default="")

    @property
    def model(self) -> str | None:
        """The model, as it was named to vLLM."""
        return self.options.get("model") or self.options.get("model_tag")

    @property
    def speculative(self) -> bool:
        """Whether a draft model was loaded with it, which the figures then include."""
        return "speculative_config" in self.options

    def number(self, name: str) -> float | None:
        """A figure, or an option that is a number above zero; None where the log does not say it."""
        if name in self.figures:
            return self.figures[name]
        try:
            value = float(self.options[name])
        except (KeyError, ValueError):
            return None
        return value if 0 < value < math.inf else None

    def whole(self, name: str) -> int | None:
        """The same as a whole number."""
        value = self.number(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool | None:
        """An option that is on or off."""
        value = self.options.get(name)
        return None if value is None else value == "True"


def parse_log(text: str) -> StartupLog:
    """Read a start-up log.

    Raises:
        InputError: it is not one: no line of it names a release, a configuration or measured memory.
    """
    lines = _COLOUR.sub("", text).splitlines()
    version, engine = _first(_VERSION, lines), _first(_ENGINE, lines)
    options = _options(lines)
    figures = _figures(lines)
    if not (version or options.get("model") or "weights_gib" in figures or "kv_cache_gib" in figures):
        raise InputError(
            "is not a start-up log of vLLM: no line names its release, a model or its memory",
            hint="give what vLLM printed from its first line on",
        )
    outcome, detail = _outcome(lines)
    return StartupLog(version, engine, options, figures, outcome, detail)


def log_row(log: StartupLog, gpu: str, source: str) -> dict[str, str]:
    """The row to contribute, by column; empty is what the log does not say.

    Args:
        log: the start-up.
        gpu: the kind of GPU; a log does not name it.
        source: where the log lies.
    """
    options, figures = log.options, log.figures
    quantization = options.get("quantization", "")
    values: dict[str, str | float | None] = {
        "model_id": log.model,
        "quantization": "" if quantization == "None" else quantization,
        "weight_dtype": options.get("dtype", "").removeprefix("torch."),
        **{
            f"{way}_parallel_size": log.whole(f"{way}_parallel_size") or 1
            for way in ("tensor", "pipeline", "data")
        },
        "gpu_model": gpu,
        "gpu_total_gib": figures.get("total_gib"),
        "gpu_memory_utilization": log.number("gpu_memory_utilization"),
        "max_model_len": context_of(log),
        "max_num_seqs": log.whole("max_num_seqs"),
        "max_num_batched_tokens": log.whole("max_num_batched_tokens"),
        "kv_cache_dtype": options.get("kv_cache_dtype"),
        "vllm_version": log.version,
        "engine": log.engine,
        "enforce_eager": options.get("enforce_eager"),
        "lora_enabled": options.get("enable_lora"),
        "weights_gib_per_gpu": figures.get("weights_gib"),
        "activation_peak_gib": figures.get("activation_gib"),
        "total_non_kv_gib": figures.get("without_kv_gib"),
        "kv_cache_gib_per_gpu": figures.get("kv_cache_gib"),
        "outcome": log.outcome,
        "outcome_detail": log.detail[:300],
        "evidence": "raw_log",
        "source": source,
        "notes": "speculative decoding" if log.speculative else "",
    }
    values |= {name: figures[name] for name in COLUMNS if name in figures and name not in values}
    return {name: _text(values.get(name)) for name in COLUMNS}


def log_settings(log: StartupLog) -> Settings:
    """How it was started, as sizing takes it; what the log does not say is left to vLLM's defaults."""
    return Settings(
        tensor=log.whole("tensor_parallel_size") or 1,
        pipeline=log.whole("pipeline_parallel_size") or 1,
        expert_parallel=bool(log.flag("enable_expert_parallel")),
        context=context_of(log),
        max_num_seqs=log.whole("max_num_seqs"),
        max_num_batched_tokens=log.whole("max_num_batched_tokens"),
        utilization=log.number("gpu_memory_utilization"),
        kv_cache="fp8" if log.options.get("kv_cache_dtype", "").startswith("fp8") else "auto",
        eager=bool(log.flag("enforce_eager")),
        version=log.version,
    )


def context_of(log: StartupLog) -> int | None:
    """Tokens of a request that it was started with."""
    for name in ("max_seq_len", "max_model_len", "max_concurrency_ctx"):
        if value := log.whole(name):
            return value
    return None


def _text(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, int | float) else value


def _first(pattern: re.Pattern[str], lines: Iterable[str]) -> str | None:
    return next((match[1] for line in lines if (match := pattern.search(line))), None)


def _options(lines: Sequence[str]) -> dict[str, str]:
    """What the command line gave, then what vLLM made of it, which counts."""
    found: dict[str, str] = {}
    for pattern in (_ARGUMENTS, _CONFIG):
        if words := _first(pattern, lines):
            pairs = {name: a or b or c for name, a, b, c in reversed(_VALUE.findall(words))}
            found |= {name: value for name, value in pairs.items() if value and value != "None"}
    return found


def _figures(lines: Sequence[str]) -> dict[str, float]:
    text = "\n".join(lines)
    found: dict[str, float] = {}
    for name, pattern, pick in _PATTERNS:
        values = [float(value.replace(",", "")) for value in pattern.findall(text)]
        if values and name not in found:
            found[name] = pick(values)
    return found


def _outcome(lines: Sequence[str]) -> tuple[str | None, str]:
    """How it ended, and the line that says so; what goes wrong once it serves is no part of the start."""
    served = next((number for number, line in enumerate(lines) if _SERVED.search(line)), None)
    if served is not None:
        return "served", lines[served].strip()
    for name, pattern in _ENDS:
        for number, line in enumerate(lines):
            if pattern.search(line):
                return (_when(lines[:number]) if name == "oom" else name), line.strip()
    return None, ""


def _when(before: Sequence[str]) -> str:
    """What was going on when memory ran out."""
    said = "\n".join(before)
    if _CAPTURING.search(said):
        return "oom_cuda_graph_capture"
    if "KV cache size" in said:
        return "oom_after_kv_alloc"
    return "oom" if "Model loading took" in said else "oom_on_load"
