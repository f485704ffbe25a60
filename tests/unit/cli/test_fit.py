from __future__ import annotations

import json

from shipfit.cli import main


def fit(capsys, *flags: str) -> dict[str, dict]:
    """What fits, by model."""
    assert main.run(["fit", *flags, "--json"]) == 0
    return {each["model"]: each["fits"] for each in json.loads(capsys.readouterr().out)["models"]}


def test_fit_shows_the_least_aggressive_precision_of_each_width(capsys) -> None:
    models = fit(capsys, "--gpu", "L40S")
    found = next(fits for fits in models.values() if "16" in fits and "8" in fits)
    assert ("bf16", "fp8-w8a8") == (found["16"]["precision"], found["8"]["precision"])
    assert found["16"]["requests"] <= found["8"]["requests"]
    assert all(fits for fits in models.values())


def test_more_gpus_fit_larger_models(capsys) -> None:
    one, two = (fit(capsys, "--gpu", "L40S", "--gpus", each) for each in ("1", "2"))
    assert "4" not in one.get("meta-llama/Meta-Llama-3-70B", {})
    assert "4" in two["meta-llama/Meta-Llama-3-70B"]


def test_a_longer_context_fits_fewer_requests(capsys) -> None:
    short, long = (fit(capsys, "--gpu", "L40S", "--context", each) for each in ("4096", "16384"))
    for model in set(short) & set(long):
        for width in set(short[model]) & set(long[model]):
            assert long[model][width]["requests"] <= short[model][width]["requests"], model


def test_fit_is_a_table_for_people(capsys) -> None:
    assert main.run(["fit", "--gpu", "Tesla T4", "--gpus", "2"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Requests of 8,192 tokens at once on 2 x T4:")
    assert "16 bits" in text
    assert max(map(len, text.splitlines())) < 140


def test_an_unknown_gpu_is_one_line(capsys) -> None:
    assert main.run(["fit", "--gpu", "L40X"]) == 2
    assert "shipfit: --gpu: no GPU is called 'L40X'" in capsys.readouterr().err
