"""AutoGPTQ without a GPU: its environment installs, its worker starts, and it quantizes nothing here.

What it made elsewhere is read and served: see test_gptqmodel.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from shipfit.core.process import child_environment
from shipfit.core.worker import WorkerError
from shipfit.environments import Accelerator, embedded, ensure, local_accelerator
from shipfit.quantize.engines import INSIDE

pytestmark = pytest.mark.integration

_BIASES = """
import runpy, sys
from types import SimpleNamespace
import torch
from auto_gptq.nn_modules.qlinear.qlinear_cuda_old import QuantLinear
worker = runpy.run_path(sys.argv[1])
layers = torch.nn.ModuleDict({name: QuantLinear(4, 32, 32, 32, True) for name in ("with", "without")})
worker["drop_biases"](SimpleNamespace(model=layers), ["with", "without"], {"with.bias"})
assert [name for name in layers.state_dict() if name.endswith("bias")] == ["with.bias"]
"""

_UNREACHED = """
import runpy, sys
import torch
worker = runpy.run_path(sys.argv[1])
experts = torch.nn.ModuleDict({name: torch.nn.Linear(4, 4) for name in ("reached", "empty", "skipped")})
unreached = worker["watch"](experts, list(experts))
experts["reached"](torch.ones(2, 4))
experts["empty"](torch.ones(0, 4))
assert unreached == {"empty", "skipped"}, unreached
assert "skipped" == worker["never_routed"]("skipped")["layer"]
"""


@pytest.mark.skipif(local_accelerator() is Accelerator.CUDA, reason="it quantizes on this machine")
def test_it_installs_and_wants_cuda_to_quantize(calibrate: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(WorkerError, match="requires CUDA") as caught:
        calibrate("auto-gptq", "gptq-w4a16")
    assert caught.value.kind == "OSError"


@pytest.mark.parametrize("code", [_BIASES, _UNREACHED], ids=["no invented biases", "experts without a token"])
def test_what_the_engine_does_without_a_word(code: str) -> None:
    script = embedded("pipelines", "engines", "auto-gptq", "worker.py")
    done = subprocess.run(
        [ensure("auto-gptq").python, "-c", code, script],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"PYTHONPATH": str(INSIDE)}),
    )
    assert done.returncode == 0, done.stderr[-3000:]
