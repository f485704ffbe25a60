"""Whether a recipe's artifact will be served where the pipeline says, by the same plan that a deployment gets.

An artifact's layout is the recipe's: its groups, its zero points, its act order. Act order is of two kinds. Either the
columns with the largest activations are quantized first and every input stays in its group: llm-compressor's
``static`` (also called ``weight``), GPTQModel's ``act_group_aware``; a kernel sees nothing of it. Or groups are made of
the inputs in that order (``desc_act`` of AutoGPTQ, ``group`` of llm-compressor), and a kernel must look each input's
group up: kernels.yaml says which do. vLLM 0.32.0 refuses those as it reads the configuration, on GPUs and on the CPU
alike (quantization/utils/gptq_utils.py, compressed_tensors.py); before, Marlin took them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from shipfit.core.errors import VerdictError
from shipfit.hardware import gpu, gpus
from shipfit.models import ModelFacts, Quantization, Weight
from shipfit.precision import Layout, choose, scheme
from shipfit.quantize.engines import Engine
from shipfit.sizing import Pool, make_plan
from shipfit.spec import Deployment, Pipeline, Serving, blame
from shipfit.spec.base import API_VERSION
from shipfit.spec.precision import Precision


def serving_objection(pipeline: Pipeline, serving: Serving, engine: Engine, facts: ModelFacts) -> str | None:
    """The reason why a recipe's artifact cannot be served as ``serving`` asks; None if it can.

    Args:
        pipeline: the spec.
        serving: of it.
        engine: with one of its recipes.
        facts: of the source.

    Raises:
        InputError: the GPU is not known.
    """
    with blame(pipeline, "serving", "hardware", "gpu"):
        kind = gpu(serving.hardware.gpu)
    wanted = Deployment(
        apiVersion=API_VERSION,
        kind="Deployment",
        name=pipeline.name,
        model=pipeline.source,
        precision=Precision(engine.recipe["precision"]),
        hardware=[serving.hardware],
        promise=serving.promise,
        replicas=1,
    )
    try:
        make_plan(wanted, artifact_facts(facts, engine), [Pool(kind, (serving.hardware.count,))])
    except VerdictError as error:
        return error.message
    return None


def objection_anywhere(engine: Engine) -> str | None:
    """Why vLLM serves a recipe's artifact on no GPU at all; None where it does on one, or another server takes it."""
    if engine.declared.writes == "gguf":
        return None
    reasons = [choose(layout_of(engine), kind).reason for kind in gpus()]
    (commonest, _), *_ = Counter(reasons).most_common()
    return None if None in reasons else commonest


def layout_of(engine: Engine) -> Layout:
    """How a recipe's artifact stores weights, as far as kernels care."""
    recipe, usual = engine.recipe, scheme(engine.recipe["precision"]).layout
    return replace(
        usual,
        group=0 if engine.one_scale else recipe.get("group_size", usual.group),
        symmetric=recipe.get("symmetric", usual.symmetric),
        act_order=engine.declared.reorders and recipe.get("act_order", False),
        method=engine.declared.method,
    )


def artifact_facts(facts: ModelFacts, engine: Engine) -> ModelFacts:
    """The facts of a recipe's artifact; those of its source where it stays in 16 bits or is a GGUF."""
    made, layout = scheme(engine.recipe["precision"]), layout_of(engine)
    if made.bits >= 16 or engine.declared.writes == "gguf":
        return facts
    form = replace(
        made.format,
        group=layout.group,
        zero_bits=0 if layout.symmetric else int(made.bits),
    )
    left = engine.recipe.get("ignore", [])
    return replace(
        facts,
        weights=tuple(
            replace(each, format=form, stored=None) if each.quantized and not is_ignored(each, left) else each
            for each in facts.weights
        ),
        quantization=Quantization(
            layout.method, made.name, layout.group, symmetric=layout.symmetric, act_order=layout.act_order
        ),
    )


def is_ignored(weight: Weight, patterns: Sequence[str]) -> bool:
    """Whether a recipe ignores a matrix in every layer, by the names that a model of text alone gives it."""
    names = [f"model.layers.{layer}.{module}" for layer in weight.layers for module in weight.modules]
    return all(
        any(re.match(each[3:], name) if each.startswith("re:") else each == name for each in patterns)
        for name in names
    )
