from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.hardware import Gpu, anonymous, catalogue, gpu, gpus
from shipfit.hardware.gpu import UNMEASURED_SHARE

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
DIVISIBLE = [each.name for each in gpus() if each.mig]


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHIPFIT_CONFIG_DIR", str(tmp_path))
    _forget()
    yield
    _forget()


def _forget() -> None:
    catalogue._by_name.cache_clear()
    catalogue._by_words.cache_clear()


def test_names_labels_and_sources_are_there_and_differ() -> None:
    names = [each.name for each in gpus()]
    labels = [each.label for each in gpus() if each.label]
    assert len(names) == len(set(names)) >= 45
    assert len(labels) == len(set(labels))
    assert all(each.source for each in gpus())


@pytest.mark.parametrize("each", gpus(), ids=lambda each: each.name)
def test_the_figures_make_sense(each: Gpu) -> None:
    assert (each.usable_gib is None) == (each.usable_source is None)
    assert 0.85 < each.memory_gib / each.memory_gb <= 1
    assert 100 < each.bandwidth_gb_s < 10_000
    assert each.node in (1, 2, 4, 8)
    assert max(each.tflops.values()) < 20_000
    if each.link:
        assert 16 <= each.link.gb_s <= 2000
    if each.vendor == "nvidia":
        assert each.capability is not None
        assert ("bf16" in each.tflops) == (each.capability >= 8)
        assert ("fp8" in each.tflops) == (each.capability >= 8.9)
        assert ("fp4" in each.tflops) == (each.capability >= 10)
        assert each.label is not None


NVIDIA = [
    "T4",
    "V100",
    "A10",
    "A10G",
    "A30",
    "A40",
    "A100",
    "L4",
    "L40",
    "L40S",
    "H20",
    "H100",
    "H200",
    "GH200",
]
BLACKWELL = ["B200", "B300", "GB200", "GB300"]
CARDS = ["RTX-3090", "RTX-4090", "RTX-5090", "RTX-A6000", "RTX-6000-Ada", "RTX-PRO-6000"]
OTHERS = ["MI250", "MI300X", "MI325X", "MI355X", "Gaudi-2", "Gaudi-3", "TPU-v5e", "TPU-v5p", "TPU-v6e"]


@pytest.mark.parametrize("name", NVIDIA + BLACKWELL + CARDS + OTHERS)
def test_what_people_ask_for_is_there(name: str) -> None:
    assert gpu(name).memory_gib > 10


def test_nothing_measured_is_less_than_what_is_assumed_elsewhere() -> None:
    measured = [each.usable_gib / each.memory_gb for each in gpus() if each.usable_gib]
    assert UNMEASURED_SHARE == pytest.approx(min(measured), abs=0.001)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("a100 sxm4 80gb", "A100-SXM4-80GB"),
        ("NVIDIA-A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("NVIDIA-A100-80GB-PCIe", "A100-PCIE-80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("NVIDIA A100 SXM 80GB", "A100-SXM4-80GB"),
        ("A100 80GB", "A100-SXM4-80GB"),
        ("A100 40GB", "A100-SXM4-40GB"),
        ("A100 PCIe", "A100-PCIE-80GB"),
        ("A100", "A100-SXM4-80GB"),
        ("Tesla T4", "T4"),
        ("nvidia-tesla-t4", "T4"),
        ("Tesla-V100-SXM2-32GB", "V100-SXM2-32GB"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA-L40S-SHARED", "L40S"),
        ("RTX 3090", "RTX-3090"),
        ("RTX4090", "RTX-4090"),
        ("NVIDIA-GeForce-RTX-5090", "RTX-5090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"),
        ("RTX PRO 6000 Blackwell", "RTX-PRO-6000-Server"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition", "RTX-PRO-6000-Workstation"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition", "RTX-PRO-6000-Max-Q"),
        ("H100-80GB", "H100-SXM5-80GB"),
        ("H100 80GB", "H100-SXM5-80GB"),
        ("h100_sxm", "H100-SXM5-80GB"),
        ("nvidia-h100-mega-80gb", "H100-SXM5-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"),
        ("NVIDIA-H100-PCIe", "H100-PCIE-80GB"),
        ("NVIDIA-H100-NVL", "H100-NVL-94GB"),
        ("H100", "H100-SXM5-80GB"),
        ("h200_sxm", "H200-SXM-141GB"),
        ("NVIDIA-H200", "H200-SXM-141GB"),
        ("b200_sxm", "B200-SXM-180GB"),
        ("b300_sxm", "B300-SXM-288GB"),
        ("NVIDIA-GH200-480GB", "GH200-96GB"),
        ("AMD_Instinct_MI300X_OAM", "MI300X"),
        ("Gaudi3", "Gaudi-3"),
        ("A6000", "RTX-A6000"),
    ],
)
def test_a_gpu_is_found_by_every_spelling(spelling: str, name: str) -> None:
    assert name == gpu(spelling).name


@pytest.mark.parametrize("each", gpus(), ids=lambda each: each.name)
def test_every_name_label_and_alias_means_its_own_gpu(each: Gpu) -> None:
    for spelling in (each.name, each.label, *each.aliases):
        assert spelling is None or each.name == gpu(spelling).name


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("L40X", "did you mean L40?"),
        ("H100X", "did you mean H100-SXM5-80GB"),
        ("RTX 6000", "did you mean RTX-6000-Ada or RTX-PRO-6000-Server or RTX-PRO-6000-Workstation"),
        ("qqq", "shipfit gpus lists those there are"),
        ("A100:9g.9gb", "it has 1g.10gb"),
        ("T4:1g.5gb", "it cannot be divided by MIG"),
    ],
)
def test_an_unknown_gpu_names_the_nearest(wrong: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        gpu(wrong)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "spelling",
    [
        "A100-SXM4-80GB:3g.40gb",
        "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb",
        "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-SHARED",
    ],
)
def test_a_mig_profile_is_a_gpu_of_its_own(spelling: str) -> None:
    part = gpu(spelling)
    assert part.name == "A100-SXM4-80GB:3g.40gb"
    assert part.memory_gib == 39.25
    assert part.bandwidth_gb_s == 2039 / 2
    assert part.tflops["bf16"] == pytest.approx(312 * 42 / 108)
    assert part.resource == "nvidia.com/mig-3g.40gb"
    assert part.link is None
    assert part.part_of == "A100-SXM4-80GB"


@pytest.mark.parametrize("name", DIVISIBLE)
def test_the_smallest_mig_profiles_together_are_no_more_than_the_gpu(name: str) -> None:
    whole = gpu(name)
    for profile, mig in whole.mig.items():
        part = whole.partition(profile)
        instances = 8 // mig.eighths
        assert 0 < part.memory_gib * instances <= whole.memory_gib * 1.002
        assert part.bandwidth_gb_s * instances <= whole.bandwidth_gb_s
        assert part.tflops["fp16"] <= whole.tflops["fp16"]


@pytest.mark.parametrize(
    ("gib", "like"), [(15, "T4"), (22, "L4"), (44, "L40S"), (79.2, "H100-SXM5-80GB"), (180, "B200-SXM-180GB")]
)
def test_a_gpu_of_which_only_the_memory_is_known_stands_on_a_like_one(gib: float, like: str) -> None:
    found = anonymous(gib)
    assert found.anonymous
    assert gib == found.memory_gib
    assert found.capability == gpu(like).capability
    assert like in found.source


@pytest.mark.parametrize("gib", [0, -1, float("nan"), 1e9])
def test_nonsense_is_no_memory(gib: float) -> None:
    with pytest.raises(InputError, match="is no GPU's memory"):
        anonymous(gib)


def test_users_add_their_own(tmp_path: Path) -> None:
    (tmp_path / "gpus.yaml").write_text(OWN + OWN.split("gpus:\n")[1].replace("X1", "L4"))
    assert gpu("X1").memory_gib == pytest.approx(64 * 0.919)
    assert gpu("L4").memory_gb == 64  # replaces shipfit's own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("memory_gb: 64", "memory_gb: -1"), "gpus.yaml:6: gpus[0].memory_gb: must be greater than 0"),
        (("memory_gb", "memory_gib"), "gpus.yaml:6: gpus[0].memory_gib: is not a known key"),
        (("    capability: 9.0\n", ""), "has a capability"),
        (("capability: 9.0", "capability: 9.0\n    vendor: google"), "has a capability"),
        (("{bf16: 100}", "{}"), "tflops is empty"),
        (("memory_gb: 64", "memory_gb: 64\n    mig: {1g.8gb: {eighths: 1, sms: 1}}"), "sms says how many"),
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
