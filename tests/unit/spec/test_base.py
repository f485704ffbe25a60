from pydantic import Field

from shipfit.spec.base import Section


class Inner(Section):
    """A part."""

    size: int = 1


class Outer(Section):
    """A whole."""

    plain: int
    """Said below, in
    two lines."""
    stated: int = Field(description="Said beside.")
    """Said below."""
    inner: Inner = Inner()
    """Said of a section."""
    silent: int = 0


class Derived(Outer):
    plain: int
    more: int
    """Said of more."""


def described(model: type[Section]) -> dict[str, str | None]:
    return {name: each.get("description") for name, each in model.model_json_schema()["properties"].items()}


def test_what_stands_below_a_field_is_its_description() -> None:
    expected = {
        "plain": "Said below, in\ntwo lines.",
        "stated": "Said beside.",
        "inner": "Said of a section.",
        "silent": None,
    }
    assert expected == described(Outer)


def test_descriptions_are_inherited() -> None:
    assert described(Outer) | {"more": "Said of more."} == described(Derived)


def test_the_source_is_not_read_where_no_schema_is_asked_for() -> None:
    made = type("Made", (Section,), {"__annotations__": {"size": int}})  # has no source
    assert 1 == made(size=1).size
