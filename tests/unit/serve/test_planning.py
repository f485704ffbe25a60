from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.serve.planning import plan_deployment, pools_at_hand
from shipfit.spec import Deployment, Pipeline, load


@pytest.mark.parametrize(
    ("name", "precision", "gpu", "gpus"),
    [
        ("llama-3.3-70b", "gptq-w4a16", "A100-SXM4-80GB", 1),
        ("llama-3.1-8b", "fp8-w8a8", "L40S", 1),
        ("qwen3-30b-a3b", "bf16", "H100-SXM5-80GB", 4),
    ],
)
def test_production_examples_plan(repository: Path, name: str, precision: str, gpu: str, gpus: int) -> None:
    plan = plan_deployment(load(repository / "deploy" / "production" / f"{name}.yaml", Deployment))
    assert (precision, gpu, gpus) == (plan.precision, plan.gpu, plan.tensor_parallel * plan.replicas)
    assert plan.speed is not None
    assert not plan.speed.overloaded


def test_every_artifact_of_the_examples_has_its_pipeline(repository: Path) -> None:
    files = set((repository / "deploy").glob("*/*.yaml")) - set(
        (repository / "deploy").glob("*/*.values.yaml")
    )
    assert len(files) > 3
    for file in files:
        deployment = load(file, Deployment)
        if reference := deployment.artifact_reference:
            pipeline = load(repository / "pipelines" / f"{reference[0]}.yaml", Pipeline)
            assert reference == (pipeline.name, pipeline.channel)
            # In the cluster for tests that pipeline publishes to a store that pods reach.
            assert deployment.store == pipeline.store or file.parent.name == "test-cluster"
            assert deployment.model == pipeline.source
            assert plan_deployment(deployment).precision == pipeline.recipe.precision


def test_an_unknown_gpu_is_named_with_file_line_and_field(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text.replace("gpu: L40S", "gpu: L40X"))
    with pytest.raises(InputError) as caught:
        plan_deployment(load(tmp_path / "d.yaml", Deployment))
    expected = f"{tmp_path}/d.yaml:9: hardware[0].gpu: no GPU is called 'L40X'; did you mean L40?"
    assert expected == str(caught.value)


def test_a_promise_beyond_the_model_is_named_with_its_field(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text.replace("context: 16384", "context: 200000"))
    with pytest.raises(
        InputError, match=r"promise.context: is 200,000, and .* holds 131,072 tokens; lower it"
    ):
        plan_deployment(load(tmp_path / "d.yaml", Deployment))


def test_hardware_is_asked_for(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text.replace("hardware:\n  - gpu: L40S\n    count: 1\n", ""))
    with pytest.raises(
        InputError, match="hardware: is missing; name the GPUs at hand, or plan with --cluster"
    ):
        plan_deployment(load(tmp_path / "d.yaml", Deployment))


def test_gpus_lie_in_machines_of_the_usual_size(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    for lines, machines in (("count: 12", (8, 4)), ("count: 12\n    per_machine: 4", (4, 4, 4))):
        (tmp_path / "d.yaml").write_text(text.replace("count: 1\n", f"{lines}\n"))
        (pool,) = pools_at_hand(load(tmp_path / "d.yaml", Deployment))
        assert machines == pool.machines


def test_prices_are_found_beside_the_deployment(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text + "prices: prices.yaml\n")
    prices = "apiVersion: shipfit/v1\nkind: PriceList\nname: p\ncurrency: USD\nprices:\n  - {gpu: NVIDIA-L40S, hour: 2}\n"
    (tmp_path / "prices.yaml").write_text(prices)
    cost = plan_deployment(load(tmp_path / "d.yaml", Deployment)).cost
    assert cost is not None
    assert ("USD", 2.0) == (cost.currency, cost.hour)
    (tmp_path / "prices.yaml").write_text(prices.replace("NVIDIA-L40S", "L40X"))
    with pytest.raises(InputError, match=r"prices.yaml:6: prices\[0\].gpu: no GPU is called 'L40X'"):
        plan_deployment(load(tmp_path / "d.yaml", Deployment))


def test_a_gpu_has_one_price_whatever_it_is_called(repository: Path, tmp_path: Path) -> None:
    text = (repository / "deploy" / "production" / "llama-3.1-8b.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text + "prices: prices.yaml\n")
    (tmp_path / "prices.yaml").write_text(
        "apiVersion: shipfit/v1\nkind: PriceList\nname: p\ncurrency: USD\n"
        "prices:\n  - {gpu: NVIDIA-L40S, hour: 2}\n  - {gpu: L40S, hour: 3}\n"
    )
    with pytest.raises(InputError, match=r"prices.yaml:7: prices\[1\].gpu: is L40S once more; keep one"):
        plan_deployment(load(tmp_path / "d.yaml", Deployment))
