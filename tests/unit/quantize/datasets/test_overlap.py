"""The gate's text without that of the calibration."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.datasets.overlap import WORDS, overlapping, without_overlap


def words(prefix: str, count: int = 40) -> str:
    return " ".join(f"{prefix}{number}" for number in range(count))


def left(held_out: dict[str, object], *calibration: dict[str, object]) -> list[dict[str, object]]:
    return without_overlap([[held_out]], calibration)[0].documents


A, B, C = words("a"), words("b"), words("c")


def test_a_text_that_is_calibrated_on_is_dropped_whatever_its_case_and_punctuation() -> None:
    changed = A.upper().replace(" ", ",  ")
    (cleaned,) = without_overlap([[{"text": changed}, {"text": B}]], [{"text": f"{C} {A} {C}"}])
    assert [{"text": B}] == cleaned.documents
    assert (1, 0) == (cleaned.dropped, cleaned.trimmed)
    assert "1 of 2 documents are in the calibration text too" == cleaned.loss


def test_of_a_long_text_only_the_paragraphs_that_overlap_go() -> None:
    (cleaned,) = without_overlap([[{"text": f"{A}\n\n{B}\n \n{C}"}]], [{"text": B}])
    assert [{"text": f"{A}\n\n{C}"}] == cleaned.documents
    assert "0 of 1 documents and parts of 1 more are in the calibration text too" == cleaned.loss


def test_a_quotation_costs_no_passage() -> None:
    quoting = {"text": f"{words('x', 100)} {words('a', 15)}"}
    assert [quoting] == left(quoting, {"text": A})
    assert [] == left({"text": f"{words('x', 50)} {words('a', 15)}"}, {"text": A})


def test_short_paragraphs_go_with_their_neighbours_and_short_documents_by_the_whole() -> None:
    titled = {"text": f"Chapter 1\n\n{B}\n\nThe end"}
    assert [titled] == left(titled, {"text": f"Chapter 1\n\n{A}\n\nThe end"})
    assert [] == left({"text": "Water boils."}, {"text": "water boils"})
    assert [] == left({"text": "Water boils."}, {"text": f"{A}\n\nWater boils!\n\n{B}"})
    assert [{"text": "Water boils."}] == left({"text": "Water boils."}, {"text": f"{A} water boils"})


def test_where_no_spaces_part_words_a_copied_passage_is_found_in_new_text() -> None:
    copied, new = (
        "水在一百度时沸腾而在零度时结冰这是人人皆知的事",
        "山上的树木在秋天变红叶子落满了小路行人很少",
    )
    text = {"text": f"{new}{copied}"}
    assert [text] == left(text, {"text": "河里的鱼在清晨游得最快渔夫都知道这一点所以早起"})
    assert [] == left(text, {"text": f"从前有人说过{copied}，后来大家都信了。"})


def test_conversations_are_compared_without_the_system_and_with_any_other_shape() -> None:
    system = {"role": "system", "content": C}
    held_out = {"messages": [system, {"role": "user", "content": A}, {"role": "assistant", "content": B}]}
    assert [held_out] == left(held_out, {"messages": [system, {"role": "user", "content": words("d")}]})
    assert [] == left(held_out, {"prompt": A, "completion": B})
    assert [] == left({"prompt": A, "completion": B}, {"text": f"{A}\n{B}"})


@given(st.lists(st.integers(1, 3), max_size=60), st.lists(st.integers(1, 3), max_size=60))
def test_the_share_that_overlaps_is_that_of_a_plain_search(text: list[int], other: list[int]) -> None:
    """With three words only, so that runs repeat and begin within each other."""
    from shipfit.quantize.datasets.overlap import _runs

    runs = {tuple(other[start : start + WORDS]) for start in range(len(other) - WORDS + 1)}
    covered = {
        place
        for start in range(len(text) - WORDS + 1)
        if tuple(text[start : start + WORDS]) in runs
        for place in range(start, start + WORDS)
    }
    if len(text) < WORDS or len(other) < WORDS:  # compared by the whole
        covered = set(range(len(text))) if text and text == other else set()
    expected = len(covered) / len(text) if text else 0.0
    assert expected == overlapping(text, set(_runs(other)))
