from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipfit.core.errors import InputError
from shipfit.spec import Deployment, Pipeline, PriceList, blame, load, locate
from shipfit.spec.base import Document

DEPLOYMENT = """\
apiVersion: shipfit/v1
kind: Deployment
name: demo
model: bundled:gemma-3-270m
hardware:
  - gpu: cpu
promise:
  context: 1024
  concurrency: 4
"""

PIPELINE = """\
apiVersion: shipfit/v1
kind: Pipeline
name: demo
source: bundled:gemma-3-270m
recipe:
  precision: gptq-w4a16
calibration:
  dataset: [a.txt]
gate:
  dataset: [b.txt]
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(folder: Path, text: str | bytes, kind: type[Deployment] | type[Pipeline] = Deployment) -> str:
    with pytest.raises(InputError) as caught:
        load(written(folder, text), kind)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_spec_is_read_with_its_defaults(tmp_path: Path) -> None:
    spec = load(written(tmp_path, DEPLOYMENT), Deployment)
    assert ("demo", 1, None) == (spec.model_name, spec.hardware[0].count, spec.precision)
    assert spec.path == tmp_path / "spec.yaml"
    assert spec.resolve("a/../b.jinja") == tmp_path / "b.jinja"


def test_a_mounted_config_map_is_named_as_it_was_given(tmp_path: Path) -> None:
    """Kubernetes mounts a file as a link to one in a dated folder, which changes with the ConfigMap."""
    dated = tmp_path / "..2026_11_27_11_21_21.1"
    dated.mkdir()
    written(dated, DEPLOYMENT)
    (tmp_path / "..data").symlink_to(dated.name)
    (tmp_path / "spec.yaml").symlink_to("..data/spec.yaml")
    spec = load(tmp_path / "spec.yaml", Deployment)
    assert locate(spec, "promise") == f"{tmp_path}/spec.yaml:7"
    assert spec.resolve("b.jinja") == dated / "b.jinja"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("promise:", "promiss:"),
            "spec.yaml:7: promiss: is not a known key (and 1 more); did you mean promise?",
        ),
        (
            ("  context: 1024", "  contxt: 1024"),
            "spec.yaml:8: promise.contxt: is not a known key (and 1 more); did you mean context?",
        ),
        (
            ("  - gpu: cpu", "  - gpu: cpu\n    cout: 2"),
            "spec.yaml:7: hardware[0].cout: is not a known key; did you mean count?",
        ),
        (
            ("context: 1024", "context: many"),
            "spec.yaml:8: promise.context: must be a valid integer, unable to parse string as an integer, not 'many'",
        ),
        (
            ("concurrency: 4", "concurrency: 0"),
            "spec.yaml:9: promise.concurrency: must be greater than 0, not 0",
        ),
        (("  concurrency: 4\n", ""), "spec.yaml:7: promise.concurrency: is missing; add it"),
        (("kind: Deployment", "kind: Pipeline"), "spec.yaml:2: kind: is 'Pipeline'; write kind: Deployment"),
        (
            ("apiVersion: shipfit/v1\n", ""),
            "spec.yaml:1: apiVersion: is missing; write apiVersion: shipfit/v1",
        ),
        (
            ("name: demo", "name: demo\nname: two"),
            "spec.yaml:4: is not valid YAML: name stands twice; mend that line",
        ),
        (("name: demo", "name: [demo"), "spec.yaml:4: is not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_with_file_line_and_field(tmp_path: Path, change, expected: str) -> None:
    assert complaint(tmp_path, DEPLOYMENT.replace(*change)).startswith(expected)


def test_a_workload_must_fit_the_promise(tmp_path: Path) -> None:
    workload = "workload: {request_rate: 1, input_tokens: 1000, output_tokens: 25}\n"
    assert "(1000 + 25) exceed promise.context (1024)" in complaint(tmp_path, DEPLOYMENT + workload)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("recipe:", "choose: least-loss-that-fits\nrecipe:"), "recipes and choose belong together"),
        (("recipe:", "recipes: [{precision: bf16}]\nrecipe:"), "recipes: has only 1; name at least 2"),
        (
            ("recipe:", "recipes: [{precision: bf16}, {precision: fp16}]\nrecipe:"),
            "name either recipe, or recipes",
        ),
    ],
)
def test_a_pipeline_has_one_recipe_or_a_choice(tmp_path: Path, change, words: str) -> None:
    assert words in complaint(tmp_path, PIPELINE.replace(*change), Pipeline)


def test_a_choice_says_what_is_to_fit(tmp_path: Path) -> None:
    recipes = "recipes: [{precision: bf16}, {precision: fp16}]\nchoose: least-loss-that-fits\n"
    start = PIPELINE.index("recipe:")
    end = PIPELINE.index("calibration:")
    assert "needs serving" in complaint(tmp_path, PIPELINE[:start] + recipes + PIPELINE[end:], Pipeline)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a mapping"),
        (b"- a\n", "is not a mapping"),
        (b"name: caf\xe9\n", "spec.yaml:1: is not UTF-8 text"),
        (b"#" * (2**20 + 1), "which no spec is"),
        (b"a: \x00", "is not valid YAML"),
        (b"? [a, b]\n: 1\n", "unhashable key"),
    ],
)
def test_what_is_no_spec_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in complaint(tmp_path, content)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    written(tmp_path, DEPLOYMENT)
    with pytest.raises(InputError, match=r"no such file; did you mean .*spec\.yaml\?"):
        load(tmp_path / "spce.yaml", Deployment)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load(tmp_path, Deployment)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner)
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["name", "model", "hardware", "promise", "slo", "workload", "router", "replicas"]),
    tree=TREES,
)
def test_whatever_stands_in_a_field_is_read_or_refused_in_one_line(
    tmp_path: Path, key: str, tree: object
) -> None:
    values = yaml.safe_load(DEPLOYMENT) | {key: tree}
    path = written(tmp_path, yaml.safe_dump(values, allow_unicode=True))
    try:
        load(path, Deployment)
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("deploy/*/*.yaml", Deployment),
        ("deploy/prices.example.yaml", PriceList),
        ("pipelines/*.yaml", Pipeline),
    ],
)
def test_every_file_that_ships_is_valid(repository: Path, pattern: str, kind: type[Document]) -> None:
    files = [
        file for file in repository.glob(pattern) if not file.name.endswith(".values.yaml")
    ]  # those are Helm's
    assert files
    for file in files:
        load(file, kind)


def test_a_value_that_is_found_wrong_later_is_traced_to_its_line(tmp_path: Path) -> None:
    spec = load(written(tmp_path, DEPLOYMENT), Deployment)
    with pytest.raises(InputError) as caught, blame(spec, "hardware", 0, "gpu"):
        raise InputError("no GPU is called 'cpu'", hint="name another")
    expected = f"{tmp_path}/spec.yaml:6: hardware[0].gpu: no GPU is called 'cpu'; name another"
    assert str(caught.value) == expected


def test_an_error_that_names_another_file_is_left_alone(tmp_path: Path) -> None:
    spec = load(written(tmp_path, DEPLOYMENT), Deployment)
    with pytest.raises(InputError, match=r"^config\.json: is broken$"), blame(spec, "model"):
        raise InputError("is broken", where="config.json")


PRICES = """\
apiVersion: shipfit/v1
kind: PriceList
name: own
currency: USD
prices:
  - {gpu: L40S, hour: 1.5}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("1.5", "0"), "6: prices[0].hour: must be greater than 0, not 0"),
        (("1.5", ".inf"), "6: prices[0].hour: must be a finite number, not inf"),
        (("USD", "dollars"), "4: currency: String should match pattern"),
        (("- {gpu", "- {gpu: L40S, hour: 2}\n  - {gpu"), "5: prices: L40S stands 2 times; keep one"),
        (("hour", "our"), "6: prices[0].our: is not a known key (and 1 more); did you mean hour?"),
    ],
)
def test_a_wrong_price_names_its_line(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    path = written(tmp_path, PRICES.replace(*change))
    with pytest.raises(InputError) as caught:
        load(path, PriceList)
    assert f"{path}:{words}" in str(caught.value)


WORKLOAD = "workload: {request_rate: 1, input_tokens: 10, output_tokens: 10}\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("request_rate: 1", "request_rate: .inf"),
            "workload.request_rate: must be a finite number, not inf",
        ),
        (
            ("request_rate: 1", "request_rate: .nan"),
            "workload.request_rate: must be a finite number, not nan",
        ),
        (
            ("gpu: cpu", "gpu: cpu\n    count: 100000000"),
            "hardware[0].count: must be less than or equal to 16384",
        ),
        (("hardware:\n  - gpu: cpu", "hardware: []"), "hardware: is empty; add at least one"),
        (("hardware:\n  - gpu: cpu", "hardware: 5"), "hardware: must be a valid list, not 5"),
    ],
)
def test_absurd_numbers_and_empty_lists_are_refused(
    change: tuple[str, str], words: str, tmp_path: Path
) -> None:
    assert words in complaint(tmp_path, (DEPLOYMENT + WORKLOAD).replace(*change))
