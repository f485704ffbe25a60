"""What goes along with a job, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.quantize.cluster import parcel
from shipfit.quantize.cluster.parcel import pack, variables
from shipfit.spec import Pipeline, load
from shipfit.spec.pipeline import Tasks

_SPEC = """\
apiVersion: shipfit/v1
kind: Pipeline
name: tiny
source: {source}
recipe: {{precision: gptq-w4a16}}
calibration:
  dataset: [{dataset}]
gate:
  dataset: [bundled:alice29]
{store}
"""


def pipeline(
    folder: Path,
    source: str = "org/name",
    dataset: str = "bundled:lcet10",
    store: str = "store: s3://models/prod",
) -> Pipeline:
    file = folder / "pipelines" / "tiny.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(_SPEC.format(source=source, dataset=dataset, store=store))
    return load(file, Pipeline)


def test_the_file_alone_where_it_names_nothing_here(tmp_path: Path) -> None:
    packed = pack(pipeline(tmp_path, source="s3://models/tiny", dataset="/shared/a.jsonl"))
    assert (Path("tiny.yaml"),) == packed.files
    assert Path("tiny.yaml") == packed.file


def test_what_it_names_here_goes_along_at_the_same_places(tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    for name in ("config.json", ".hidden"):
        (tmp_path / "models" / "tiny" / name).touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "text.jsonl").write_text("{}")
    packed = pack(pipeline(tmp_path, source="../models/tiny", dataset="text.jsonl"))
    assert Path("pipelines/tiny.yaml") == packed.file
    expected = {"models/tiny/config.json", "pipelines/text.jsonl", "pipelines/tiny.yaml"}
    assert expected == set(map(str, packed.files))
    copy = tmp_path / "copy"
    packed.copy_to(copy)
    assert expected == {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    before = packed.digest
    (tmp_path / "pipelines" / "text.jsonl").write_text("{ }")
    assert before != packed.digest


def test_questions_of_an_own_task_go_along(tmp_path: Path) -> None:
    spec = pipeline(tmp_path)
    folder = tmp_path / "pipelines" / "tasks"
    folder.mkdir()
    (tmp_path / "shared.jsonl").write_text("{}")
    (folder / "questions.jsonl").write_text("{}")
    (folder / "own.yaml").write_text(
        f"task: own\ndata_files: [questions.jsonl, {tmp_path / 'shared.jsonl'}]\n"
    )
    gate = spec.gate.model_copy(update={"tasks": Tasks(names=["tasks/own.yaml"])})
    packed = pack(spec.model_copy(update={"gate": gate}))
    assert {"tiny.yaml", "tasks/own.yaml", "tasks/questions.jsonl"} == set(map(str, packed.files))


def test_a_cluster_does_not_reach_the_embedded_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny\.yaml: store: is not set, and the embedded store is out"):
        pack(pipeline(tmp_path, store=""))


def test_a_file_that_is_not_there_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny\.yaml:7: there is no .*gone\.jsonl; mend the path"):
        pack(pipeline(tmp_path, dataset="gone.jsonl"))


def test_what_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MOST", 10)
    with pytest.raises(InputError, match="put models and datasets into an object store"):
        pack(pipeline(tmp_path))


def test_only_the_keys_of_stores_that_it_names_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_KEY", "HF_TOKEN", "OTHER"):
        monkeypatch.setenv(name, "value")
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert {"AWS_ACCESS_KEY_ID": "value", "HF_TOKEN": "value"} == variables(pipeline(tmp_path))
    assert {"HF_TOKEN": "value"} == variables(pipeline(tmp_path, store="store: file:///shared"))
