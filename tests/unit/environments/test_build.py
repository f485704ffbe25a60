from __future__ import annotations

import pytest

from shipfit.core.errors import InputError
from shipfit.environments import Accelerator, local_accelerator


def test_a_driver_without_gpus_is_told_which_build_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPFIT_ACCELERATOR", "cuda")
    assert local_accelerator() is Accelerator.CUDA
    monkeypatch.setenv("SHIPFIT_ACCELERATOR", "rocm")
    with pytest.raises(InputError, match="SHIPFIT_ACCELERATOR: is 'rocm'; set it to cpu or cuda"):
        local_accelerator()
