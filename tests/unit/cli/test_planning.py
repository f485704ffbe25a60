from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.cli import main

SIZE = ["size", "--model", "meta-llama/Llama-3.1-8B", "--gpu", "L40S", "--precision", "fp8-w8a8"]
KEYS = {
    "model", "precision", "gpu", "gpus", "weights_gib", "activation_gib", "cuda_graph_gib", "non_torch_gib", "kv_cache_gib", "kv_cache_tokens",
    "max_concurrency", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "fits", "reasons",
    "ttft_ms", "tpot_ms", "output_tokens_per_s", "max_request_rate",
}  # fmt: skip
WORKLOAD = ["--input-tokens", "2000", "--output-tokens", "200"]


def size(capsys, *flags: str, code: int = 0) -> dict[str, Any]:
    """The facts of one configuration."""
    assert code == main.run([*SIZE, *flags, "--json"])
    return json.loads(capsys.readouterr().out)


def test_size_says_what_fits(capsys) -> None:
    facts = size(capsys, "--context", "8192")
    assert set(facts) == KEYS
    assert facts["fits"] is True
    assert 8.4 < facts["weights_gib"] < 8.6
    assert (None, None) == (facts["ttft_ms"], facts["max_request_rate"])


def test_size_prints_its_facts_and_exits_1_where_it_does_not_fit(capsys) -> None:
    words = [word.replace("fp8-w8a8", "bf16").replace("L40S", "T4") for word in SIZE]
    assert main.run([*words, "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["fits"] is False
    assert "does not fit 1 x T4: bf16 needs compute capability" in err
    assert err.count("\n") == 1


def test_size_without_a_precision_takes_that_of_the_checkpoint(capsys) -> None:
    assert main.run([*SIZE[:-2], "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["precision"] == "bf16"
    assert 14.9 < facts["weights_gib"] < 15.1
    words = ["size", "--model", "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "--gpu", "L40S", "--json"]
    assert main.run(words) == 0
    assert 8.4 < json.loads(capsys.readouterr().out)["weights_gib"] < 8.6


def test_size_by_memory_alone(capsys) -> None:
    words = [
        "size",
        "--model",
        "meta-llama/Llama-3.1-8B",
        "--gpu-memory-gib",
        "40",
        "--context",
        "8192",
        "--json",
    ]
    assert main.run(words) == 0
    assert json.loads(capsys.readouterr().out)["weights_gib"] > 14


def test_size_replaces_the_usable_memory_of_a_gpu(capsys) -> None:
    own, more = (size(capsys, "--context", "8192", *flags) for flags in ([], ["--gpu-memory-gib", "46.42"]))
    assert more["kv_cache_gib"] - own["kv_cache_gib"] == pytest.approx(2 * 0.92, abs=0.05)


def test_size_takes_vllms_settings(capsys) -> None:
    flags = ["--max-num-seqs", "64", "--max-num-batched-tokens", "4096", "--gpu-memory-utilization", "0.9"]
    facts = size(capsys, "--context", "8192", *flags)
    assert (64, 4096) == (facts["max_num_seqs"], facts["max_num_batched_tokens"])
    halved = size(capsys, "--context", "8192", *flags, "--kv-cache-dtype", "fp8")
    assert halved["kv_cache_tokens"] == pytest.approx(2 * facts["kv_cache_tokens"], rel=0.01)
    assert size(capsys, "--context", "8192", *flags, "--enforce-eager")["cuda_graph_gib"] == 0
    split = size(capsys, "--context", "8192", *flags, "--gpus", "2", "--pipeline", "2")
    assert split["weights_gib"] < facts["weights_gib"] / 2.5
    assert size(capsys, "--context", "8192", "--vllm-version", "0.11.0")["max_num_seqs"] == 256


def test_size_gives_the_speed_of_a_workload(capsys) -> None:
    one = size(capsys, *WORKLOAD)
    assert one["max_model_len"] == 2208  # input and output, in whole blocks of 16
    assert one["output_tokens_per_s"] < 1000 / one["tpot_ms"]
    eight = size(capsys, *WORKLOAD, "--concurrency", "8")
    assert eight["tpot_ms"] > one["tpot_ms"]
    assert eight["output_tokens_per_s"] > one["output_tokens_per_s"]
    rated = size(capsys, *WORKLOAD, "--request-rate", "0.5")
    assert rated["output_tokens_per_s"] == pytest.approx(100)
    tight = size(capsys, *WORKLOAD, "--request-rate", "0.5", "--tpot-ms", str(one["tpot_ms"] * 1.2))
    assert 0 < tight["max_request_rate"] < rated["max_request_rate"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("L40S", "L40X"), "--gpu: no GPU is called 'L40X'; did you mean L40?"),
        (("fp8-w8a8", "fp7"), "--precision: no precision is called 'fp7'"),
        (("meta-llama/Llama-3.1-8B", "./nothing"), "nothing/config.json: there is no such file"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(change: tuple[str, str], words: str, capsys) -> None:
    assert main.run([word.replace(*change) for word in SIZE]) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--gpus", "0"], "'--gpus': Input should be"),
        (["--context", "-1"], "'--context': Input should be"),
        (["--gpu-memory-utilization", "1.5"], "Input should be"),
        (["--max-num-batched-tokens", "99999999999"], "Input should be"),
        (["--kv-cache-dtype", "fp4"], "'fp4' is not one of"),
        (["--context", "200000"], "--context: is 200,000, and meta-llama/Llama-3.1-8B holds 131,072 tokens"),
        (["--vllm-version", "0.1"], "--vllm-version: vLLM 0.1 is older than every release"),
        (["--vllm-version", "new"], "--vllm-version: 'new' is no release of vLLM"),
        (["--input-tokens", "10"], "--output-tokens: is missing; --input-tokens describes a workload"),
        (["--ttft-ms", "10"], "--input-tokens: is missing; --ttft-ms describes a workload"),
    ],
)
def test_absurd_flags_are_refused_in_one_line(flags: list[str], words: str, capsys) -> None:
    assert main.run([*SIZE, *flags]) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--gpu: is missing; name a GPU, or give --gpu-memory-gib"),
        (["--gpu-memory-gib", "40", *WORKLOAD], "--gpu: is missing; speed needs more than the memory"),
    ],
)
def test_a_gpu_is_asked_for_where_it_is_needed(flags: list[str], words: str, capsys) -> None:
    assert main.run(["size", "--model", "meta-llama/Llama-3.1-8B", *flags]) == 2
    assert words in capsys.readouterr().err


def test_plan_is_json_on_request_and_a_table_else(repository: Path, capsys) -> None:
    file = str(repository / "deploy" / "production" / "llama-3.3-70b.yaml")
    assert main.run(["plan", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "gptq-w4a16"
    assert main.run(["plan", file]) == 0
    text = capsys.readouterr().out
    assert "in gptq-w4a16 on 1 x A100-SXM4-80GB" in text
    assert "rejected" in text
    assert "expected loss of quality" in text


def test_plan_explains_the_memory_of_one_gpu(repository: Path, tmp_path: Path, capsys) -> None:
    file = str(repository / "deploy" / "production" / "llama-3.3-70b.yaml")
    page = tmp_path / "plan.html"
    assert main.run(["plan", file, "--explain", "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "79.15 GiB of one A100-SXM4-80GB" in text
    assert "██ weights" in text
    assert "weights, embedding: 128,256 x 8,192 at 16 bits" in text
    assert "<svg" in page.read_text()


def test_plan_takes_prices_from_a_file(repository: Path, tmp_path: Path, capsys) -> None:
    file = str(repository / "deploy" / "production" / "llama-3.1-8b.yaml")
    prices = tmp_path / "prices.yaml"
    text = "apiVersion: shipfit/v1\nkind: PriceList\nname: own\ncurrency: EUR\nprices:\n  - {gpu: L40S, hour: 1.5}\n"
    prices.write_text(text)
    assert main.run(["plan", file, "--prices", str(prices), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["hour"] == 1.5
    prices.write_text(text.replace("L40S", "L4"))
    assert main.run(["plan", file, "--prices", str(prices)]) == 2
    assert f"{prices}:5: prices: has none for L40S, which is at hand; add it" in capsys.readouterr().err
    prices.write_text(text.replace("1.5", "-1"))
    assert main.run(["plan", file, "--prices", str(prices)]) == 2
    assert f"{prices}:6: prices[0].hour: must be greater than 0, not -1" in capsys.readouterr().err


def test_gpus_lists_the_catalogue(capsys) -> None:
    assert main.run(["gpus", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)["gpus"]}
    assert listed["L40S"]["memory_gib"] == 44.39
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


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere/plan.html", "shipfit: --html: there is no folder "), (".", "is a folder; name a file in it")],
)
def test_a_page_that_cannot_be_written_is_said(
    name: str, words: str, repository: Path, tmp_path: Path, capsys
) -> None:
    file = repository / "deploy" / "production" / "llama-3.1-8b.yaml"
    assert main.run(["plan", str(file), "--html", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["size", "--model", "bundled:gemma-3-270m", "--gpus", "999"],
            "--gpus: is 999, and this machine has",
        ),
        (["size", "--model", "bundled:gemma-3-270m", "--pipeline", "2"], "--pipeline: is for GPUs"),
        (["fit", "--gpus", "999"], "--gpus: is 999, and this machine has"),
    ],
)
def test_a_processor_has_so_many_cores_and_no_stages(flags: list[str], words: str, capsys) -> None:
    assert main.run([*flags, "--gpu", "cpu"]) == 2
    assert f"shipfit: {words}" in capsys.readouterr().err


def test_size_keeps_vllms_batch_whatever_concurrency_is_asked_for(capsys) -> None:
    few = size(capsys, "--context", "2048", "--concurrency", "4")
    assert size(capsys, "--context", "2048") == few
    assert main.run([*SIZE, "--context", "64", "--concurrency", "300"]) == 1
    line = "vLLM takes in 256 requests at once (max_num_seqs), and 300 are asked for"
    assert line in capsys.readouterr().err
