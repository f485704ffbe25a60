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
