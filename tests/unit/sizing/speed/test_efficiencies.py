from __future__ import annotations

import pytest

from shipfit.hardware import gpu, gpus
from shipfit.sizing.speed.efficiencies import efficiencies


@pytest.mark.parametrize(
    ("name", "generation"),
    [
        ("T4", "ampere"),  # older than all that was measured
        ("A100-SXM4-80GB", "ampere"),
        ("L40S", "ada"),
        ("A10G", "ampere"),
        ("H100-SXM5-80GB", "hopper"),
        ("B300-SXM-288GB", "blackwell"),
        ("RTX-5090", "blackwell-rtx"),
        ("Gaudi-3", "hopper"),
    ],
)
def test_a_generation_that_was_not_measured_takes_the_figures_of_the_one_before(
    name: str, generation: str
) -> None:
    known = efficiencies()
    assert known.generations[generation] is known.generation(gpu(name))


@pytest.mark.parametrize(
    ("version", "since"),
    [(None, "0.19.0"), ("0.6.3", "0.0.0"), ("0.8.0", "0.8.0"), ("0.18.1", "0.8.0"), ("0.32.0", "0.19.0")],
)
def test_a_release_takes_the_figures_of_the_newest_that_is_not_newer(version: str | None, since: str) -> None:
    assert since == efficiencies().release(version).since


def test_every_generation_knows_every_kind_of_kernel() -> None:
    known = efficiencies()
    kinds = {"wide", "weight-only", "fp8", "fp8-block", "int8", "fp4"}
    assert [kinds] * len(known.generations) == [set(each.kernels) for each in known.generations.values()]
    assert all(known.generation(each) for each in gpus())
