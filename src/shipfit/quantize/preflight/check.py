"""The preflight of one recipe: every reason not to begin, and what it needs beside what there is."""

from __future__ import annotations

from shipfit.core import process
from shipfit.core.errors import EnvironmentFailure, InputError
from shipfit.core.progress import Progress
from shipfit.environments import Accelerator
from shipfit.hardware import CPU, gpu
from shipfit.models import ModelFacts
from shipfit.precision import scheme
from shipfit.quantize.engines import Engine, who_makes
from shipfit.quantize.preflight.calibration import Needs, needs
from shipfit.quantize.preflight.serving import is_ignored, objection_anywhere, serving_objection
from shipfit.spec import Pipeline, Precision, Recipe, blame

_TOKENS_AN_EXPERT = 64
"""Calibration tokens that each expert should see on average; with fewer, some see none at all."""

_SERVING_GIB = 2.0
"""What the serving engine takes of a GPU in the gate beside weights: 1 GiB of KV cache (gate/workers/generation.py),
CUDA's context, and the activations of a few short prompts."""

_DRIVER_TIMEOUT_S = 30.0

_REFERENCE = "H100-SXM5-80GB"
"""The GPU that times are told of: the one that they were measured on."""


def require_possible(pipeline: Pipeline, recipe: Recipe, engine: Engine, facts: ModelFacts) -> None:
    """Refuse one recipe of a pipeline that cannot go well whatever the machine; nothing of the model is read for it.

    Args:
        pipeline: the spec.
        recipe: one of its recipes.
        engine: that makes it.
        facts: of the source.

    Raises:
        InputError: the source, the recipe or the calibration cannot go together, or not be served as asked.
    """
    check_model(pipeline, recipe, engine, facts)
    check_samples(pipeline, facts)
    if pipeline.gate.tasks and engine.declared.writes == "gguf":
        with blame(pipeline, "gate", "tasks"):
            raise InputError(
                f"cannot be run on what {engine.name} writes",
                hint="leave them out; the gate's other measurements hold",
            )
    if pipeline.recipe:  # of several, those that cannot be served are left out and told of
        _require_serving(pipeline, recipe, engine, facts)


def preflight(
    pipeline: Pipeline, engine: Engine, facts: ModelFacts, progress: Progress, *, here: bool
) -> Needs:
    """Find out what one recipe of a pipeline will take, and say it.

    The host's memory is checked by the cluster, which knows its nodes, and its disks by ``require_disk``.

    Args:
        pipeline: the spec.
        engine: that makes the recipe.
        facts: of the source.
        progress: told what it will take.
        here: whether all of it happens on this machine, so that its GPUs count.

    Raises:
        EnvironmentFailure: this machine's GPUs have too little memory.
    """
    on_gpu = engine.accelerator is Accelerator.CUDA
    answers = pipeline.gate.generation is not None and engine.declared.writes == "safetensors"
    tflops = gpu(_REFERENCE if on_gpu else CPU).tflops["bf16"]
    needed = needs(facts, engine, pipeline.calibration, tflops, gpu=on_gpu, answers=answers)
    if here and on_gpu and (largest := _largest_gpu()) is not None:
        if needed.gpu_gib > largest:
            needed = needs(
                facts, engine, pipeline.calibration, tflops, gpu=True, answers=answers, offload=True
            )
        shorter = "take fewer or shorter samples, another recipe"
        _require_gpu("calibrating takes", needed.gpu_gib, largest, shorter)
        if answers:
            served = needed.disk_gib + _SERVING_GIB
            without = "set gate.generation to null, choose another recipe"
            _require_gpu("the gate's answers in the serving engine take", served, largest, without)
    if deprecated := engine.declared.deprecated:
        progress.note(f"{engine.name} is deprecated: {deprecated.why}; use {deprecated.successor}")
    if warning := _unseen_experts(pipeline, engine, facts):
        progress.note(warning)
    progress.note(_said(engine, needed))
    return needed


def _require_serving(pipeline: Pipeline, recipe: Recipe, engine: Engine, facts: ModelFacts) -> None:
    if objection := objection_anywhere(engine):
        with blame(pipeline, *pipeline.at(recipe)):
            raise InputError(f"vLLM serves on no GPU what {engine.name} makes of it: {objection}")
    if pipeline.serving and (objection := serving_objection(pipeline, pipeline.serving, engine, facts)):
        with blame(pipeline, "serving"):
            raise InputError(
                f"an artifact in {recipe.precision} could not be served there: {objection}",
                hint="choose another recipe or other hardware",
            )


def check_model(pipeline: Pipeline, recipe: Recipe, engine: Engine, facts: ModelFacts) -> None:
    """Refuse a source that the engine does not know, that is quantized already, or whose matrices have other widths.

    Raises:
        InputError: names file, line and field.
    """
    known = engine.declared.model_types
    with blame(pipeline, "source"):
        if known is not None and facts.model_type not in known:
            others = who_makes(recipe.precision, facts.model_type)
            raise InputError(
                f"{engine.name} does not know {facts.model_type}, the model type of {pipeline.source}",
                hint=f"use {' or '.join(others) or 'another source'}; {engine.name} knows: {', '.join(known)}",
            )
        if facts.quantization and recipe.precision not in (Precision.BF16, Precision.FP16):
            raise InputError(
                f"{pipeline.source} is quantized already ({facts.quantization.method})",
                hint="name the model that it was made from",
            )
    own, ignored = engine.recipe.get("group_size"), engine.recipe.get("ignore", [])
    group = own if isinstance(own, int) else _fixed_group(recipe)
    if group > 0:
        with blame(pipeline, *pipeline.at(recipe), "group_size" if own else "precision"):
            for weight in facts.weights:
                if weight.quantized and weight.columns % group and not is_ignored(weight, ignored):
                    raise InputError(
                        f"{weight.name} has {weight.columns} inputs, which groups of {group} do not divide",
                        hint="choose group_size: -1, or ignore that layer" if own else "ignore that layer",
                    )


def _fixed_group(recipe: Recipe) -> int:
    """Inputs that share a scale where the precision alone says how many. Blocks of rows, too, are padded."""
    form = scheme(recipe.precision)
    return form.group if form.block_rows == 1 else 0


def check_samples(pipeline: Pipeline, facts: ModelFacts) -> None:
    """Refuse samples longer than the model's context.

    Raises:
        InputError: names file, line and field.
    """
    longest = facts.max_position_embeddings
    calibration = pipeline.calibration
    for part, tokens in (
        ("calibration", calibration.tokens if calibration else 0),
        ("gate", pipeline.gate.tokens),
    ):
        if tokens > longest:
            with blame(pipeline, part, "tokens"):
                raise InputError(
                    f"is {tokens:,}, and {pipeline.source} holds {longest:,} tokens", hint="lower it"
                )


def _unseen_experts(pipeline: Pipeline, engine: Engine, facts: ModelFacts) -> str | None:
    """What to say where experts will see too little of the calibration text; None elsewhere."""
    calibration = pipeline.calibration
    if not (facts.experts and engine.calibrates and calibration):
        return None
    each = calibration.samples * calibration.tokens * facts.experts.per_token / facts.experts.count
    if each >= _TOKENS_AN_EXPERT:
        return None
    return (
        f"each of {facts.experts.count} experts will see about {each:,.0f} calibration tokens, and some perhaps"
        f" none: {_TOKENS_AN_EXPERT * facts.experts.count // facts.experts.per_token:,} tokens in all are wise"
    )


def _largest_gpu() -> float | None:
    """Memory of this machine's largest GPU in GiB, by its driver; None where that says nothing."""
    words = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = process.run(words, doing="asking for the GPUs' memory", timeout=_DRIVER_TIMEOUT_S)
    except EnvironmentFailure:
        return None
    return max((int(mib) / 1024 for mib in told if mib.strip().isdecimal()), default=None)


def _require_gpu(what: str, gib: float, largest: float, instead: str) -> None:
    if gib > largest:
        raise EnvironmentFailure(
            f"{what} about {gib:,.1f} GiB of a GPU, and the largest here has {largest:,.1f}",
            hint=f"{instead}, or a larger GPU by --address",
        )


def _said(engine: Engine, needed: Needs) -> str:
    parts = [f"{needed.host_gib:,.1f} GiB of memory ({needed.gate_gib:,.1f} in the gate)"]
    if needed.gpu_gib:
        parts.append(f"{needed.gpu_gib:,.1f} GiB of a GPU")
    parts.append(f"{needed.disk_gib:,.2f} GiB of disk")
    time = f"{needed.seconds / 60:,.0f} min" if needed.seconds >= 90 else f"{needed.seconds:,.0f} s"
    parts.append(f"{time} on an H100" if needed.gpu_gib else time)
    kept = ", with its samples in the host's memory" if needed.offloaded else ""
    return f"{engine.name} {engine.recipe['precision']} will take about {', '.join(parts)}{kept}"
