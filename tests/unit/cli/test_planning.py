from __future__ import annotations

import json
from pathlib import Path

import pytest

from shipfit.cli import main

SIZE = ["size", "--model", "meta-llama/Llama-3.1-8B", "--gpu", "L40S", "--precision", "fp8-w8a8"]
KEYS = {
    "weights_gib", "activation_gib", "cuda_graph_gib", "non_torch_gib", "kv_cache_gib", "kv_cache_tokens",
    "max_concurrency", "fits", "reasons",
}  # fmt: skip


def test_size_says_what_fits(capsys) -> None:
    assert main.run([*SIZE, "--context", "8192", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) >= KEYS
    assert facts["fits"] is True
    assert 8.4 < facts["weights_gib"] < 8.6


def test_size_prints_its_facts_and_exits_1_where_it_does_not_fit(capsys) -> None:
    words = [word.replace("fp8-w8a8", "bf16").replace("L40S", "T4") for word in SIZE]
    assert main.run([*words, "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["fits"] is False
    assert "does not fit 1 x T4: bf16 needs compute capability" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("L40S", "L40X"), "--gpu: no GPU is called 'L40X'; did you mean L40?"),
        (("fp8-w8a8", "fp7"), "no precision is called 'fp7'"),
        (("meta-llama/Llama-3.1-8B", "./nothing"), "nothing/config.json: there is no such file"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(change: tuple[str, str], words: str, capsys) -> None:
    assert main.run([word.replace(*change) for word in SIZE]) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("flags", [["--gpus", "0"], ["--context", "-1"], ["--gpu-memory-utilization", "1.5"]])
def test_absurd_numbers_are_refused(flags: list[str], capsys) -> None:
    assert main.run([*SIZE, *flags]) == 2
    assert "Input should be" in capsys.readouterr().err


def test_plan_is_json_on_request_and_a_table_else(repository: Path, capsys) -> None:
    file = str(repository / "deploy" / "production" / "llama-3.3-70b.yaml")
    assert main.run(["plan", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "gptq-w4a16"
    assert main.run(["plan", file]) == 0
    text = capsys.readouterr().out
    assert "in gptq-w4a16 on 1 x A100-SXM4-80GB" in text
    assert "rejected" in text


def test_gpus_lists_the_catalogue(capsys) -> None:
    assert main.run(["gpus", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)["gpus"]}
    assert listed["L40S"]["memory_gib"] == 44.42
    assert main.run(["gpus"]) == 0
    assert "H200-SXM-141GB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("gpu: cpu", "gpu: A100-90GB"), "10: hardware[0].gpu: no GPU is called 'A100-90GB'; did you mean"),
        (("count: 2", "count: 4096"), "11: hardware[0].count: is 4096, and this machine has"),
        (
            ("model: bundled:gemma-3-270m", "model: bundled:gemma-4"),
            "6: model: no bundled model is called 'gemma-4'",
        ),
        (
            ("context: 1024", "context: 99999"),
            "13: promise.context: is 99,999, and bundled:gemma-3-270m holds 32,768",
        ),
    ],
)
def test_a_wrong_value_in_a_deployment_names_its_line(
    change, words: str, repository: Path, tmp_path: Path, capsys
) -> None:
    text = (repository / "deploy" / "demo" / "gemma-3-270m.yaml").read_text()
    file = tmp_path / "wrong.yaml"
    file.write_text(text.replace(*change))
    assert main.run(["plan", str(file)]) == 2
    assert f"shipfit: {file}:{words}" in capsys.readouterr().err
