from __future__ import annotations

import json
from pathlib import Path

from shipfit.models import catalogue, load_facts, parse


def test_every_entry_is_understood_and_names_its_source() -> None:
    names = [name for entry in catalogue.entries() for name in entry.names]
    assert len(names) == len(set(names))
    for entry in catalogue.entries():
        assert len(entry.source) > 20
        for name in entry.names:
            assert parse(name).name in name
            facts = load_facts(name)
            assert (name, entry.source, entry.checked) == (facts.name, facts.source, facts.checked)


def test_what_was_not_checked_says_so_and_is_little() -> None:
    unchecked = [entry for entry in catalogue.entries() if not entry.checked]
    assert 0 < len(unchecked) < 30
    for entry in catalogue.entries():
        assert ("not checked against its config.json" in entry.source) is not entry.checked


def test_what_was_checked_says_where() -> None:
    for entry in catalogue.entries():
        if entry.checked:
            assert any(
                word in entry.source for word in ("github.com/", "huggingface.co/", "add up to", "package")
            )


def test_a_model_is_found_by_each_of_its_names() -> None:
    own, other = catalogue.find("Qwen/Qwen2-7B-Instruct"), catalogue.find("Qwen/Qwen2.5-7B-Instruct")
    assert own is not None
    assert own == other
    assert catalogue.find("Qwen") is None  # a publisher is no model
    assert catalogue.find("../catalogue") is None


def test_fine_tunes_by_others_are_found_in_the_file_of_the_model() -> None:
    tuned, own = catalogue.find("lmsys/vicuna-7b-v1.5"), catalogue.find("meta-llama/Llama-2-7b-hf")
    assert tuned is not None
    assert tuned == own


def test_what_a_folder_says_goes_before_the_catalogue(tmp_path: Path) -> None:
    entry = catalogue.find("OpenGVLab/InternVL3-8B")
    assert entry is not None
    assert not load_facts("OpenGVLab/InternVL3-8B").checked
    (tmp_path / "config.json").write_text(json.dumps(entry.config))
    assert load_facts(str(tmp_path)).checked
