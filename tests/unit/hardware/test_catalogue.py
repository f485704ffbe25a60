from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import catalogue, gpu, gpus

OWN = """\
apiVersion: shipfit/v1
kind: GpuCatalogue
name: ours
gpus:
  - name: X1
    memory_gb: 64
    bandwidth_gb_s: 1000
    tflops: {bf16: 100}
    capability: 9.0
    source: our own board
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHIPFIT_CONFIG_DIR", str(tmp_path))
    catalogue._by_name.cache_clear()
    yield
    catalogue._by_name.cache_clear()


def test_every_gpu_makes_sense_and_names_its_sources() -> None:
    names = [each.name for each in gpus()]
    assert len(names) == len(set(names)) >= 15
    for each in gpus():
        assert each.source
        assert (each.usable_gib is None) == (each.usable_source is None)
        assert 0.85 < each.memory_gib / each.memory_gb <= 1
        assert 100 < each.bandwidth_gb_s < 10_000
        assert each.capability is not None
        assert ("bf16" in each.tflops) == (each.capability >= 8)
        assert ("fp8" in each.tflops) == (each.capability >= 8.9)
        assert ("fp4" in each.tflops) == (each.capability >= 10)
        assert each.tflops["fp16"] < each.tflops["int8"]


@pytest.mark.parametrize(
    "spelling", ["A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB", "a100-sxm4-80gb", "A100 SXM4 80GB"]
)
def test_a_gpu_is_found_by_name_and_by_label(spelling: str) -> None:
    assert gpu(spelling).name == "A100-SXM4-80GB"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("L40X", "did you mean L40?"),
        ("H100", "did you mean H100-PCIE-80GB or H100-SXM5-80GB or H100-NVL-94GB?"),
        ("qqq", "shipfit gpus lists those there are"),
    ],
)
def test_an_unknown_gpu_names_the_nearest(wrong: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        gpu(wrong)
    assert words in str(caught.value)


def test_users_add_their_own(tmp_path: Path) -> None:
    (tmp_path / "gpus.yaml").write_text(OWN + OWN.split("gpus:\n")[1].replace("X1", "L4"))
    assert gpu("X1").memory_gib == pytest.approx(64 * 0.92)
    assert gpu("L4").memory_gb == 64  # replaces shipfit's own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("memory_gb: 64", "memory_gb: -1"), "gpus.yaml:6: gpus[0].memory_gb: must be greater than 0"),
        (("memory_gb", "memory_gib"), "gpus.yaml:6: gpus[0].memory_gib: is not a known key"),
        (("    capability: 9.0\n", ""), "a GPU has a capability"),
        (("{bf16: 100}", "{}"), "tflops is empty"),
        (
            ("memory_gb: 64", "memory_gb: 64\n    usable_gib: 65"),
            "usable_gib (65.0) is more than memory_gb (64.0)",
        ),
    ],
)
def test_a_mistake_in_the_users_file_is_one_line(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    (tmp_path / "gpus.yaml").write_text(OWN.replace(*change))
    with pytest.raises(InputError) as caught:
        gpus()
    assert words in str(caught.value)
    assert str(tmp_path / "gpus.yaml") in str(caught.value)
