"""Runs benchmarks of lm-evaluation-harness on the artifact and on its source: the same questions, the same seeds.

Runs in the lm-eval environment. Request: ``source``, ``revision``, ``artifact``, ``baselines``, ``seed``, ``tasks``
(``names``: tasks of the harness or task files; ``limit``); see ``shipfit.quantize.gate.measurements``. Questions of the
harness's own tasks come from the hub or its cache; a task file may name local ones, seen from its own folder.

A task's score is the mean over its questions of one metric: ``acc_norm`` where it has that, else the first of its
metrics that is such a mean and better when higher, with the task's first filter. What is made of the scores:
``shipfit_recovery``. A GGUF gives no figure: ``details.skipped`` says why.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shipfit_kept import Kept
from shipfit_recovery import Scores, recovery

Report = Callable[[str, float | None], None]

PREFERRED = "acc_norm"
"""What leaderboards report of tasks that have both: the length of a choice does not decide
(github.com/EleutherAI/lm-evaluation-harness, docs/task_guide.md)."""

PART = 8
"""Requests between two lines of progress."""

FIELD = "gate.tasks.names"


class BadTaskError(Exception):
    """A task that cannot be run; the message says which and why.

    Args:
        hint: what to do about it.
    """

    field = FIELD

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Ask both; the artifact first: which questions there are decides whether the source answered them before."""
    if not any(Path(request["artifact"]).glob("*.safetensors")):
        return {
            "figures": {},
            "intervals": {},
            "details": {"skipped": "the benchmarks read safetensors only"},
        }
    os.environ.pop("HF_HUB_OFFLINE", None)  # the models are folders; the questions may be on the hub
    names, limit = request["tasks"]["names"], request["tasks"]["limit"]
    report("reading the questions", 0.0)
    tasks = load_tasks(names)
    actual = answer(tasks, Path(request["artifact"]), limit, _scaled(report, "artifact", 0.0, 0.5))
    kept = Kept(request["baselines"], "tasks", determines(request, actual))
    expected = kept.read()
    if expected is None:
        expected = answer(tasks, Path(request["source"]), limit, _scaled(report, "source", 0.5, 1.0))
        kept.keep(expected)
    scores = {
        name: Scores(expected[name]["scores"], asked["scores"], asked["chance"])
        for name, asked in actual.items()
    }
    result = recovery(scores, request["seed"])
    for name, told in result["details"]["tasks"].items():
        told["metric"] = actual[name]["metric"]
    result["details"]["versions"] = {
        package: version(package) for package in ("lm_eval", "torch", "transformers")
    }
    return result


def determines(request: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """All that the source's answers depend on."""
    return {
        "revision": request["revision"],
        "questions": {name: [task["metric"], task["questions"]] for name, task in asked.items()},
        "versions": {package: version(package) for package in ("lm_eval", "torch", "transformers")},
    }


def load_tasks(names: Sequence[str]) -> dict[str, Any]:
    """The tasks with their questions, as the harness takes them; groups are taken apart.

    Raises:
        BadTaskError: there is no such task, or its questions cannot be read.
    """
    from lm_eval.defaults import DEFAULT_OTHER_SEED
    from lm_eval.tasks import TaskManager

    # The harness's own 14,000 take seconds to look through: not where only files are named.
    manager = TaskManager(include_defaults=not all(_is_alone(name) for name in names))
    for name in names:
        if name not in manager.task_index and not Path(name).is_file():
            near = difflib.get_close_matches(name, manager.all_tasks)
            raise BadTaskError(
                f"lm-evaluation-harness {version('lm_eval')} has no task {name}, and there is no such file",
                f"did you mean {' or '.join(near)}?" if near else "name one of its tasks, or a task file",
            )
    loaded = {}
    for name in names:
        try:
            with contextlib.chdir(Path(name).parent if Path(name).is_file() else "."):
                loaded.update(manager.load([name])["tasks"])
        except Exception as error:  # the harness, its YAML or datasets: whatever it is, the task is to blame
            reason = str(error).strip().splitlines()
            raise BadTaskError(
                f"the questions of {name} cannot be read: {reason[0] if reason else type(error).__name__}",
                "mend the task file, or fetch its questions where there is a network",
            ) from error
    for task in loaded.values():
        if task.config.num_fewshot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    return loaded


def _is_alone(name: str) -> bool:
    """Whether it is a task file that needs none of the harness's own tasks, as a group may."""
    path = Path(name)
    return path.is_file() and not any(line.startswith("group:") for line in path.read_text().splitlines())


def answer(tasks: dict[str, Any], folder: Path, limit: int | None, report: Report) -> dict[str, Any]:
    """What one model answers, by task: ``metric``, ``chance``, and ``questions`` with their ``scores``."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from shipfit_models import load_model
    from transformers import AutoTokenizer

    class Watched(HFLM):  # type: ignore[misc]
        """Tells of progress as requests are answered."""

        def loglikelihood(self, requests: list[Any], **options: Any) -> list[Any]:
            return in_parts(super().loglikelihood, requests, report, options)

        def loglikelihood_rolling(self, requests: list[Any], **options: Any) -> list[Any]:
            return in_parts(super().loglikelihood_rolling, requests, report, options)

        def generate_until(self, requests: list[Any], **options: Any) -> list[Any]:
            return in_parts(super().generate_until, requests, report, options)

    report("loading", 0.0)
    model = Watched(load_model(folder), tokenizer=AutoTokenizer.from_pretrained(folder), batch_size=1)
    results = evaluate(model, {"tasks": tasks}, limit=limit, bootstrap_iters=0)
    answered = {name: told(task, results["samples"][name]) for name, task in tasks.items()}
    del model
    gc.collect()
    return answered


def in_parts(
    ask: Callable[..., list[Any]], requests: list[Any], report: Report, options: dict[str, Any]
) -> list[Any]:
    """All answers, asked for a few at a time."""
    answers: list[Any] = []
    for start in range(0, len(requests), PART):
        report(f"request {start + 1} of {len(requests)}", start / len(requests))
        answers += ask(requests[start : start + PART], **options)
    return answers


def told(task: Any, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A task's answers in the form that is kept.

    Raises:
        BadTaskError: none of its metrics is a mean over questions.
    """
    first = [sample for sample in samples if sample["filter"] == samples[0]["filter"]]
    metric = choose_metric(task, first[0])
    choices = task.OUTPUT_TYPE == "multiple_choice"
    return {
        "metric": metric,
        "questions": [
            f"{sample['doc_hash']} {sample['prompt_hash']} {sample['target_hash']}" for sample in first
        ],
        "scores": [float(sample[metric]) for sample in first],
        "chance": sum(1 / len(sample["arguments"]) for sample in first) / len(first) if choices else 0.0,
    }


def choose_metric(task: Any, sample: dict[str, Any]) -> str:
    """The metric that is the task's score; see above."""
    from lm_eval.api.metrics import mean

    means = [
        name
        for name, aggregation in task.aggregation().items()
        if aggregation is mean
        and task.higher_is_better().get(name)
        and isinstance(sample.get(name), int | float)
    ]
    if not means:
        raise BadTaskError(
            f"no metric of {task.task_name} is a mean over its questions that is better when higher",
            "leave the task out",
        )
    return PREFERRED if PREFERRED in means else means[0]


def _scaled(report: Report, whose: str, begun: float, done: float) -> Report:
    return lambda text, fraction: report(f"{whose}, {text}", begun + (done - begun) * (fraction or 0.0))
