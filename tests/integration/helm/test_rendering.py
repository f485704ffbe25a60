"""The charts as Helm 4 and 3 render them, and what linters, their own tests and Kubernetes' schemas say of that."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipfit.serve import arguments
from tests.integration.helm import schemas
from tests.integration.helm.charts import (
    CHART,
    HELMS,
    KUBERNETES,
    REQUANTIZATION,
    SCENARIOS,
    each_chart,
    each_scenario,
    manifests,
    needs,
    objects,
    pods,
    rayjobs,
    run,
    scenario,
    scenarios,
)
from tests.integration.kubernetes import needs_cluster

pytestmark = pytest.mark.integration

NOT_ASKED_OF_THE_CHARTS = {  # checks of kube-score, and why they are left out
    "container-image-pull-policy": "images are pinned by release and digest: what is there need not be pulled again",
    "container-ephemeral-storage-request-and-limit": "the weights lie on a volume with a limit of its own",
    "deployment-has-host-podantiaffinity": "topology spread constraints do it, and say how much",
    "deployment-replicas": "how many replicas serve is what the plan finds",
}


@needs(*HELMS)
@pytest.mark.parametrize("program", HELMS)
@each_chart
def test_lint_finds_nothing(chart: Path, program: str) -> None:
    for values in scenarios(chart):
        said = run(program, "lint", chart, "--strict", "--kube-version", KUBERNETES, "--values", values)
        assert "0 chart(s) failed" in said
        assert "[WARNING]" not in said


@needs("helm-unittest")
@each_chart
def test_the_charts_own_tests_pass(chart: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(chart, tmp_path / chart.name)  # it leaves a folder for snapshots
    assert re.search(r"Tests: +[1-9]\d+ passed", run("helm-unittest", copy))


@needs(*HELMS)
@each_scenario
def test_helm_4_and_3_render_the_same(values: Path) -> None:
    def sorted_objects(program: str) -> list[str]:
        return sorted(
            json.dumps(each, sort_keys=True) for each in objects(manifests(values, program=program))
        )

    assert sorted_objects("helm") == sorted_objects("helm3")


@needs("helm")
@each_scenario
def test_each_object_is_this_releases_alone(values: Path) -> None:
    seen = set()
    for each in objects(manifests(values)):
        key = (each["kind"], each["metadata"]["name"])
        assert key not in seen
        seen.add(key)
        # Rights beyond the namespace are named after it: another one may have a release of this name.
        beyond = each["apiVersion"].startswith("rbac.") and each["metadata"]["name"].startswith("llm-prod-")
        assert beyond or each["metadata"]["namespace"] == "llm"


def documents(values: Path) -> list[dict[str, Any]]:
    """The objects that a scenario comes to: those that Helm makes, and those that its pods will."""
    rendered = manifests(values)
    return [*objects(rendered), *rayjobs(rendered)]


@pytest.fixture(scope="session")
def schema_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Schemas of every kind in any scenario, from the cluster's own description of itself."""
    kinds = {(each["apiVersion"], each["kind"]) for values in SCENARIOS for each in documents(values)}
    openapi = json.loads(run("kubectl", "get", "--raw", "/openapi/v2"))
    definitions = json.loads(run("kubectl", "get", "customresourcedefinitions", "--output=json"))["items"]
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, openapi, definitions, kinds)
    return folder


@needs_cluster
@needs("helm", "kubeconform")
@each_scenario
def test_kubernetes_schemas_hold(values: Path, schema_folder: Path) -> None:
    location = f"{schema_folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    said = run(
        *("kubeconform", "-strict", "-summary", "-schema-location", location),
        stdin=yaml.safe_dump_all(documents(values)),
    )
    assert "Invalid: 0, Errors: 0, Skipped: 0" in said


@needs_cluster
@needs("helm", "kubeconform")
@pytest.mark.parametrize(
    ("values", "kind", "mistake"),
    [
        (
            scenario("autoscaling"),
            "Deployment",
            lambda each: each["spec"]["template"]["spec"].update(serviceLinks=False),
        ),
        (scenario("autoscaling"), "ScaledObject", lambda each: each["spec"].update(minReplicas=1)),
        (scenario("gpu", REQUANTIZATION), "RayJob", lambda each: each["spec"].update(deadlineSeconds=1)),
    ],
)
def test_the_schemas_see_a_mistake(values: Path, kind: str, mistake: Any, schema_folder: Path) -> None:
    wrong = next(each for each in documents(values) if each["kind"] == kind)
    mistake(wrong)
    location = f"{schema_folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    with pytest.raises(pytest.fail.Exception, match="not allowed"):
        run("kubeconform", "-strict", "-schema-location", location, stdin=json.dumps(wrong))


@needs("helm", "kube-score")
@each_scenario
def test_the_policy_linter_finds_nothing(values: Path) -> None:
    unseen = map(json.dumps, pods(documents(values)))
    left_out = [word for name in NOT_ASKED_OF_THE_CHARTS for word in ("--ignore-test", name)]
    run(
        "kube-score",
        "score",
        *("--kubernetes-version", f"v{KUBERNETES.rpartition('.')[0]}", "--exit-one-on-warning"),
        "--ignore-container-cpu-limit",  # a limit would throttle what a node has idle
        *left_out,
        "-",
        stdin="\n---\n".join([manifests(values), *unseen]),
    )


@needs("helm-docs")
@each_chart
def test_the_readme_is_up_to_date(chart: Path) -> None:
    said = run("helm-docs", "--dry-run", "--chart-search-root", chart, "--log-level", "error")
    assert said.strip() == (chart / "README.md").read_text().strip()
    assert "|  |" not in said  # a value without a comment


@pytest.mark.parametrize(
    ("chart", "some"),
    [
        (CHART, {"", ".modelDefaults.engine", ".router.service", ".drain"}),
        (REQUANTIZATION, {"", ".pipelineDefaults.workers", ".ray.head", ".serviceAccounts.decide"}),
    ],
    ids=["llm-serving", "llm-requantization"],
)
def test_the_schema_and_the_values_have_the_same_keys(chart: Path, some: set[str]) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    compared = list(compare({"global": {}, **values}, schema, schema["$defs"], ""))
    assert [each for each in compared if each[1]] == []
    assert some <= {path for path, _ in compared}


def compare(
    values: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any], path: str
) -> Iterator[tuple[str, set[str]]]:
    """Each object of the values that the schema closes: its path, and the keys that only one of the two has."""
    if reference := schema.get("$ref"):
        schema = definitions[reference.rpartition("/")[2]]
    if not values or schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return  # empty: what may be in it is told in the comment; or any key may be
    yield path, values.keys() ^ schema["properties"].keys()
    for name in values.keys() & schema["properties"].keys():
        if isinstance(values[name], dict):
            yield from compare(values[name], schema["properties"][name], definitions, f"{path}.{name}")


@each_chart
def test_the_chart_is_of_this_shipfit(chart: Path) -> None:
    import shipfit

    assert yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"] == shipfit.__version__


def test_the_engine_is_of_the_release_that_plans_are_made_for(repository: Path) -> None:
    versions = (repository / "src/shipfit/environments/versions.txt").read_text()
    tag = yaml.safe_load((CHART / "values.yaml").read_text())["engine"]["image"]["tag"]
    assert f"vllm=={tag.removeprefix('v')}\n" in versions


@needs("helm")
def test_replicas_are_told_what_local_ones_are() -> None:
    rendered = objects(manifests(scenario("hub")))
    (replica,) = (
        each for each in rendered if each["kind"] == "Deployment" and "qwen" in each["metadata"]["name"]
    )
    (container,) = replica["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert told.items() >= arguments._ALWAYS.items()
    assert container["args"][:2] == ["-m", arguments.MODULE]
