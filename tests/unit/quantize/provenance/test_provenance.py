"""A card that the hub's tools read, a bill of materials that its schema takes, and the source's licence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from shipfit.artifacts import Dataset, Engine, FileEntry, GateResult, ManifestDraft, Source, Staged
from shipfit.quantize.provenance import licence_of, write_provenance

DIGEST = "a" * 64


@pytest.fixture
def draft() -> ManifestDraft:
    return ManifestDraft(
        name="demo",
        fingerprint="b" * 64,
        source=Source(model="google/gemma-3-270m", revision="abc"),
        recipe={
            "precision": "gptq-w4a16",
            "engine": "llm-compressor",
            "group_size": 128,
            "ignore": ["lm_head"],
        },
        engine=Engine(name="llm-compressor", version="0.13.0", lock_sha256=DIGEST),
        dataset=Dataset(calibration_sha256=DIGEST, gate_sha256="c" * 64),
        gate=GateResult(
            passed=True,
            figures={"mean_kl": 0.05, "positions": 100.0},
            intervals={"mean_kl": (0.04, 0.06)},
            limits={"max_mean_kl": 0.1},
            details={"distribution": {"resampled": "windows"}},
        ),
        choice=[
            {"recipe": "a", "figures": {"mean_kl": 0.05}, "weight_bytes": 10, "reason": "chosen"},
            {"recipe": "b", "figures": {}, "weight_bytes": 0, "reason": "cannot be served there"},
        ],
        source_bytes=2_000_000,
    )


@pytest.fixture
def staged() -> Staged:
    files = [
        FileEntry(path="README.md", bytes=10, sha256="e" * 64),
        FileEntry(path="model.safetensors", bytes=1_000_000, sha256=DIGEST),
    ]
    return Staged(name="demo", fingerprint="b" * 64, upload="d" * 32, files=files)


def test_the_bill_of_materials_keeps_to_its_schema(
    tmp_path: Path, draft: ManifestDraft, staged: Staged
) -> None:
    (tmp_path / "gate.html").write_text("the page")
    write_provenance(tmp_path, draft, staged, "gemma")
    text = (tmp_path / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert bom["metadata"]["component"]["licenses"] == [{"license": {"name": "gemma"}}]
    assert [each["name"] for each in bom["components"]] == [
        "README.md",
        "gate.html",
        "model.safetensors",
        "calibration text",
        "held-out text",
    ]
    card, page, weights, *_ = (each["hashes"][0]["content"] for each in bom["components"])
    assert (
        card == hashlib.sha256((tmp_path / "README.md").read_bytes()).hexdigest()
    )  # not that of the source's
    assert page == hashlib.sha256(b"the page").hexdigest()
    assert weights == DIGEST


def test_the_same_artifact_has_the_same_bill(tmp_path: Path, draft: ManifestDraft, staged: Staged) -> None:
    bills = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_provenance(tmp_path / name, draft, staged, None)
        bills.append((tmp_path / name / "bom.cdx.json").read_text())
    assert bills[0] == bills[1]


def test_the_card_says_what_it_was_made_of_and_what_it_lost(
    tmp_path: Path, draft: ManifestDraft, staged: Staged
) -> None:
    write_provenance(tmp_path, draft, staged, "gemma")
    card = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "gemma"
    assert front["base_model"] == "google/gemma-3-270m"
    assert "| mean_kl | 0.05 | 0.04 to 0.06 | max 0.1 |" in card
    assert "2 MB of weights became 1 MB" in card
    assert "(intervals: 95%, by bootstrap over windows)" in card
    assert "| b |  | 0 | cannot be served there |" in card


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "---\nlicense: apache-2.0\n---\n# x"}, "apache-2.0"),
        ({"README.md": "---\nlicense: other\nlicense_name: llama4\n---\n"}, "llama4"),
        ({"README.md": "---\nlicense: other\n---\n", "LICENSE": "text"}, "see LICENSE"),
        ({"README.md": "---\nlicense: [a\n---\n"}, None),
        ({"README.md": "no front matter"}, None),
        ({}, None),
    ],
)
def test_the_licence_is_what_the_sources_files_say(
    tmp_path: Path, files: dict[str, str], expected: str | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert expected == licence_of(tmp_path)
