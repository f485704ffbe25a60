"""Evidence: what the workers answer, merged, and as the manifest keeps it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipfit.artifacts.manifest import GateResult
from shipfit.quantize.gate import Evidence, from_result, merge, to_result

numbers = st.floats(allow_nan=False, allow_infinity=False)
names = st.text("abc_", min_size=1, max_size=8)
evidences = st.builds(
    Evidence,
    figures=st.dictionaries(names, numbers, max_size=4),
    intervals=st.dictionaries(names, st.tuples(numbers, numbers), max_size=4),
    details=st.dictionaries(names, st.dictionaries(names, st.lists(st.integers(-9, 9))), max_size=3),
)


@given(evidences, st.dictionaries(names, numbers), st.booleans())
def test_the_manifest_gives_the_evidence_back(
    evidence: Evidence, limits: dict[str, float], passed: bool
) -> None:
    kept = GateResult.model_validate_json(to_result(evidence, limits, passed=passed).model_dump_json())
    assert from_result(kept) == evidence
    assert kept.limits == limits
    assert kept.passed is passed


def test_answers_are_merged(answers: dict[str, Any]) -> None:
    answers["quantize"]["faults"] = [{"kind": "rounded", "layer": "a", "detail": "b"}]
    evidence = merge(answers)
    assert evidence.figures["faults"] == 1.0
    assert evidence.figures["structure_faults"] == 0.0
    assert evidence.figures["mean_kl"] == 0.05
    assert evidence.intervals["mean_kl"] == (0.04, 0.06)
    assert set(evidence.details) == {"quantize", "structure", "distribution"}
    assert evidence.faults == [{"kind": "rounded", "layer": "a", "detail": "b"}]
    assert evidence.text == {"documents_sha256": "a" * 64, "samples": 8, "tokens": 256, "seed": 0}
    assert evidence.skipped == {}


def test_nothing_measured_is_nothing_known() -> None:
    evidence = merge({})
    assert evidence == Evidence()
    assert evidence.text is None
    assert evidence.faults == []
