"""AutoGPTQ without a GPU: its environment installs, its worker starts, and it quantizes nothing here.

What it made elsewhere is read and served: see test_gptqmodel.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shipfit.core.worker import WorkerError
from shipfit.environments import Accelerator, local_accelerator

pytestmark = pytest.mark.integration


@pytest.mark.skipif(local_accelerator() is Accelerator.CUDA, reason="it quantizes on this machine")
def test_it_installs_and_wants_cuda_to_quantize(calibrate: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(WorkerError, match="requires CUDA") as caught:
        calibrate("auto-gptq", "gptq-w4a16")
    assert caught.value.kind == "OSError"
