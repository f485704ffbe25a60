from __future__ import annotations

from shipfit.models import catalogue, load_facts, parse


def test_every_entry_is_understood_and_names_its_source() -> None:
    names = [name for entry in catalogue.entries() for name in entry.names]
    assert len(names) == len(set(names))
    for entry in catalogue.entries():
        assert len(entry.source) > 20
        for name in entry.names:
            assert parse(name).name in name
            facts = load_facts(name)
            assert (name, entry.source) == (facts.name, facts.source)


def test_a_model_is_found_by_each_of_its_names() -> None:
    own, other = catalogue.find("Qwen/Qwen2-7B-Instruct"), catalogue.find("Qwen/Qwen2.5-7B-Instruct")
    assert own is not None
    assert own == other
    assert catalogue.find("Qwen--Qwen2-7B-Instruct") is None  # a file's name is no name
    assert catalogue.find("../catalogue") is None
