"""From a row to what is sized: the model's facts, the kind of GPU, the precision and the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.sizing.rows import Row
from benchmarks.sizing.scores import Label
from shipfit.core.data import read_yaml
from shipfit.core.errors import ShipfitError
from shipfit.hardware import Gpu, gpu
from shipfit.models import ModelFacts, catalogue, load_facts
from shipfit.precision import Scheme, scheme
from shipfit.sizing.settings import Settings

_FILE = Path(__file__).with_name("spellings.yaml")
_REMARK = re.compile(r"\s*\(.*|;.*")
_PRECISION_WORDS = re.compile(
    r"[-_.](unsloth|bnb|fp8|nvfp4|mxfp4|awq|gptq|autoround|int[48]|[48]bit|quantized|dynamic|static|block|w\d+a\d+)"
    r"(?=$|[-_.])",
    re.IGNORECASE,
)


_ROUNDING_GIB = 0.5


class UnscorableError(Exception):
    """A row that nothing can be predicted for; its text says why."""


@dataclass(frozen=True)
class Subject:
    """What a row is about.

    Attributes:
        facts: the model.
        gpu: the kind of GPU.
        scheme: how its weights are stored.
        settings: how it was started.
        assumed: what the row does not say; figures that depend on it are not counted.
        beside: what the weights depend on too: what else vLLM loads with the model, of a size that the row does not
            say (vllm/worker/model_runner.py, load_model), and models that were told by their weights.
    """

    facts: ModelFacts
    gpu: Gpu
    scheme: Scheme
    settings: Settings
    assumed: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def label(self, table: str, row: Row, release: str | None, engine: str = "vllm") -> Label:
        """The same in words, for tables."""
        settings = self.settings
        stages = f" PP {settings.pipeline}" if settings.pipeline > 1 else ""
        return Label(
            table=table,
            number=row.number,
            model=row.text("model_id") or "",
            family=re.sub(r"For[A-Z]\w+$", "", self.facts.architecture),
            gpu=self.gpu.name,
            split=f"TP {settings.tensor}{stages}{' EP' if settings.expert_parallel else ''}",
            precision=self.scheme.name,
            release=release or "?",
            engine=engine,
        )


def memory_subject(row: Row) -> Subject:
    """What a start-up attempt is about.

    Raises:
        UnscorableError: the row does not say enough, or what it says is not known.
    """
    words = " ".join(filter(None, (row.text("quantization"), row.text("weight_dtype"))))
    facts, precision = _model(row.text("model_id") or "", words)
    tensor = row.whole("tensor_parallel_size")
    if tensor is None:
        raise UnscorableError("the tensor-parallel size is not said")
    found, named = _gpu(row.text("gpu_model"), row.figure("gpu_total_gib"))
    least = _least_utilization(row)
    said = row.figure("gpu_memory_utilization")
    settings = Settings(
        tensor=tensor,
        pipeline=row.whole("pipeline_parallel_size") or 1,
        context=row.whole("max_model_len"),
        max_num_seqs=row.whole("max_num_seqs"),
        max_num_batched_tokens=row.whole("max_num_batched_tokens"),
        utilization=max(filter(None, (said, least)), default=None),
        kv_cache="fp8" if (row.text("kv_cache_dtype") or "").startswith("fp8") else "auto",
        eager=row.text("enforce_eager") == "True",
        version=_release(row.text("vllm_version")) or _spellings()["releases"].get(int(row.number)),
    )
    known = {
        "the GPU's kind": named,
        "utilization": said if settings.utilization == said else None,
        "release": row.text("vllm_version"),
    }
    assumed = tuple(name for name, value in known.items() if not value)
    return Subject(facts, found, precision, settings, assumed, _beside(row))


def _least_utilization(row: Row) -> float | None:
    """The share of the GPU that a row's own figures add up to; None where that is no more than the share it names.

    Without it, a row that misquotes its ``gpu_memory_utilization`` has more KV cache than there was room for.
    """
    columns = ("weights_gib_per_gpu", "activation_peak_gib", "non_torch_gib", "kv_cache_gib_per_gpu")
    parts = [row.figure(column) for column in columns]
    total, said = row.figure("gpu_total_gib"), row.figure("gpu_memory_utilization")
    known = [part for part in parts if part is not None]
    if total is None or said is None or len(known) < len(parts):
        return None
    return sum(known) / total if sum(known) > said * total + _ROUNDING_GIB else None


def speed_subject(row: Row) -> Subject:
    """What a measurement of speed is about.

    Raises:
        UnscorableError: the row does not say enough, or what it says is not known.
    """
    words, _plus, kv_cache = (row.text("precision") or "").partition(" + ")
    facts, precision = _model(row.text("model_id") or "", words)
    found, _named = _gpu(row.text("gpu"), None)
    options = _options(row.text("settings") or "")
    settings = Settings(
        tensor=row.whole("tp") or int(options.get("tp", 1)),
        pipeline=row.whole("pp") or int(options.get("pp", 1)),
        expert_parallel=(row.whole("moe_ep") or 1) > 1 or "enable-expert-parallel" in options,
        context=_whole(options.get("max-model-len")),
        max_num_batched_tokens=_whole(options.get("max-num-batched-tokens")),
        kv_cache="fp8"
        if _narrow_cache(row) or "fp8" in kv_cache + options.get("kv-cache-dtype", "")
        else "auto",
        version=_vllm_release(row),
    )
    return Subject(facts, found, precision, settings)


def _vllm_release(row: Row) -> str | None:
    """The release of vLLM; where a row does not name it, the newest of the day that it was measured on."""
    if row.text("engine") != "vllm":
        return None
    day = (row.text("settings") or "").removeprefix("measured ")
    return _release(row.text("engine_version")) or _spellings()["measured"].get(day)


def _narrow_cache(row: Row) -> bool:
    """Whether a row of aiconfigurator's, which says nothing of the KV cache, kept it in FP8.

    Its 8-bit and 4-bit rows did: 70B on one H200 held 32 requests of 9,216 tokens and not 64, and with 16 bits it
    would hold 17 (MiniMax-M2.5 on four H100 likewise). Those with weights alone in 4 bits did not.
    """
    return row.text("group") == "A_aic_silicon" and row.text("precision") in ("fp8", "fp8_block", "nvfp4")


def _beside(row: Row) -> tuple[str, ...]:
    notes = (row.text("notes") or "").lower()
    found = [what for word, what in _spellings()["beside"].items() if word.lower() in notes]
    if row.text("lora_enabled") == "True":
        found.append("slots for LoRA adapters")
    if re.search(r"\bclass\b", row.text("model_id") or ""):
        found.append("the model, told by its weights")
    return tuple(dict.fromkeys(found))


def _model(text: str, words: str) -> tuple[ModelFacts, Scheme]:
    """The facts of a model as a row names it, and the precision that it was served in."""
    plain = _REMARK.sub("", text).strip()
    spelled = _spellings()["models"].get(f"{plain} {words}") or _spellings()["models"].get(plain, plain)
    checkpoint = f"{spelled}-{words}"  # as organisations call the quantized checkpoints of their own models
    name = _known(checkpoint) or _known(spelled) or _known(_PRECISION_WORDS.sub("", spelled))
    if name is None:
        raise UnscorableError(f"unknown model: {text}")
    facts = _facts(name)
    wanted = _precision(f"{words} {spelled}")
    if facts.quantization is not None:
        own = facts.quantization.precision
        if own is None:
            raise UnscorableError(f"no precision for a checkpoint in {facts.quantization.method}")
        if _precision(words) in (None, own, *_SAME.get(own, ())):
            return facts, scheme(own)
        facts = _unquantized(facts)
    if wanted is None:
        return facts, scheme("fp16" if facts.dtype == "float16" else "bf16")
    return facts, scheme(wanted)


_SAME = {
    # what rows call another checkpoint's format by, when they say less than its configuration does
    "fp8-block": ("fp8-w8a8", "bf16", "fp16"),
    "fp8-w8a8": ("bf16", "fp16"),
    "int8-w8a8": ("bf16", "fp16", "fp8-w8a8"),
    "awq-w4a16": ("gptq-w4a16", "bf16", "fp16"),
    "gptq-w4a16": ("awq-w4a16", "bf16", "fp16"),
    "mxfp4": ("nvfp4", "bf16", "fp16"),
    "nvfp4": ("bf16", "fp16"),
    "bnb-nf4": ("bf16", "fp16"),
}


def _unquantized(facts: ModelFacts) -> ModelFacts:
    """Another checkpoint of the same model, for what is served in another precision than the known one."""
    weights = tuple(replace(weight, format=None, stored=None) for weight in facts.weights)
    return replace(facts, quantization=None, weights=weights)


def _known(text: str) -> str | None:
    """The catalogue's name of a model: exactly, in other letters' case, or without the organisation."""
    small = text.lower()
    last = small.rsplit("/", 1)[-1]
    names = [name for entry in catalogue.entries() for name in entry.names]
    exact = [name for name in names if name == text]
    cased = [name for name in names if name.lower() == small]
    short = [name for name in names if name.lower().rsplit("/", 1)[-1] == last]
    return next(iter(exact + cased + short), None)


@cache
def _facts(name: str) -> ModelFacts:
    try:
        return load_facts(name)
    except ShipfitError as error:
        unknown = re.search(r"does not know the architecture \w+", str(error))
        raise UnscorableError(f"shipfit {unknown[0]}" if unknown else str(error)) from None


def _precision(words: str) -> str | None:
    small = words.lower()
    return next((name for word, name in _spellings()["precisions"].items() if word in small), None)


def _gpu(text: str | None, measured_gib: float | None) -> tuple[Gpu, bool]:
    """The kind of GPU, and whether the row names it: where it does not, its memory is all that is known of it."""
    if text:
        plain = _REMARK.sub("", text).lower()
        plain = re.sub(r"^(a single |\d+ × )| class$| gpus?( on a single node)?\.?$", "", plain)
        plain = re.sub(r" gpus?( on a single node)?\.?$", "", plain).strip(" .")
        for name in (text, _spellings()["gpus"].get(plain, plain)):
            try:
                return gpu(name), True
            except ShipfitError:
                continue
    if measured_gib is None:
        raise UnscorableError(f"unknown GPU: {text}" if text else "the GPU is not said")
    return _by_memory(measured_gib), False


def _by_memory(gib: float) -> Gpu:
    return Gpu(
        name=f"{gib:g}-GiB",
        memory_gb=gib * 1.1,
        usable_gib=gib,
        bandwidth_gb_s=1,
        tflops={"bf16": 1},
        capability=8.0,
        source="as the row measured it",
    )


def _release(text: str | None) -> str | None:
    return text if text and text[0].isdigit() else None


def _options(command: str) -> dict[str, str]:
    """The options of a ``vllm serve`` command."""
    words = command.split()
    short = {"tensor-parallel-size": "tp", "pipeline-parallel-size": "pp"}
    return {
        short.get(word.lstrip("-"), word.lstrip("-")): value
        for word, value in zip(words, [*words[1:], ""], strict=False)
        if word.startswith("-")
    }


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


@cache
def _spellings() -> dict[str, Any]:
    values: dict[str, Any] = read_yaml(_FILE)
    return values
