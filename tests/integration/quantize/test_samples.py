"""Sampling with a real tokenizer and a real chat template, in an engine's environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.progress import NoProgress
from shipfit.core.worker import run_worker
from shipfit.environments import ensure
from shipfit.models import bundled
from shipfit.quantize.engines import INSIDE

pytestmark = pytest.mark.integration

# As Gemma's own: turns, BOS first, and no conversation but one that alternates.
TEMPLATE = """\
{{ bos_token }}{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}\
<start_of_turn>{{ message['role'] }}
{{ message['content'] | trim }}<end_of_turn>
{% endfor %}"""

WORKER = """
from shipfit_samples import sample_windows
from transformers import AutoTokenizer

def main(request, report):
    tokenizer = AutoTokenizer.from_pretrained(request["model"])
    return {"answers": [answer(tokenizer, **case) for case in request["cases"]]}

def answer(tokenizer, template, **asked):
    tokenizer.chat_template = template
    try:
        windows = sample_windows(tokenizer, seed=0, **asked)
    except Exception as error:
        return {"kind": type(error).__name__, "field": error.field, "text": str(error)}
    return {"ids": [window.ids for window in windows], "text": [tokenizer.decode(window.ids) for window in windows]}
"""

QUESTION = {"role": "user", "content": "Where does water boil?"}
ANSWER = {"role": "assistant", "content": "At 100 degrees Celsius."}
TURNS = (
    "<bos><start_of_turn>user\nWhere does water boil?<end_of_turn>\n"
    "<start_of_turn>assistant\nAt 100 degrees Celsius.<end_of_turn>\n"
)


def test_text_and_conversations_become_what_the_model_sees(tmp_path: Path) -> None:
    def case(document: dict[str, Any], length: int, template: str | None = TEMPLATE) -> dict[str, Any]:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text(json.dumps(document) + "\n")
        documents = [{"path": str(path), "weight": 1}]
        return {"template": template, "documents": documents, "count": 1, "length": length}

    cases = [
        case({"text": "Water boils at"}, 4, None),
        case({"messages": [QUESTION, ANSWER]}, 24),
        case({"prompt": QUESTION["content"], "completion": ANSWER["content"]}, 24),
        case({"messages": [QUESTION, ANSWER]}, 24, None),
        case({"messages": [ANSWER, QUESTION]}, 24),
        case({"text": "Water boils."}, 100, None),
    ]
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    answers = run_worker(
        ensure("llm-compressor").python,
        script,
        {"model": str(bundled.folder("gemma-3-270m", NoProgress())), "cases": cases},
        doing="sampling",
        log=tmp_path / "worker.log",
        report=lambda text, fraction: None,
        modules=INSIDE,
    )["answers"]
    assert [[2, 17390, 104264, 657]] == answers[0]["ids"]
    assert [TURNS] == answers[1]["text"]
    assert answers[1] == answers[2]
    assert 1 == answers[1]["ids"][0].count(2)
    assert [
        {
            "kind": "NoChatTemplateError",
            "field": "dataset",
            "text": "document 1:1 holds messages, and the model has no chat template",
        },
        {
            "kind": "ChatTemplateError",
            "field": "dataset",
            "text": "the model's chat template refuses document 1:1: Roles must alternate",
        },
        {
            "kind": "TooLittleTextError",
            "field": "samples",
            "text": "1 samples of 100 tokens are asked for of source 1, which has none",
        },
    ] == answers[3:]
