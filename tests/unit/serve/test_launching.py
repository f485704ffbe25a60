from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.core.progress import NoProgress
from shipfit.environments import embedded
from shipfit.serve.folder import Folder
from shipfit.serve.launching import _middleware, prepare
from shipfit.sizing import Plan
from shipfit.spec import Deployment, load


def test_a_replica_that_spans_machines_is_nothing_for_this_one(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(
        "apiVersion: shipfit/v1\nkind: Deployment\nname: chat\nmodel: org/model\nacross_machines: true\n"
        "promise: {context: 512, concurrency: 1}\n"
    )
    across = plan.model_copy(update={"gpu": "L4", "pipeline_parallel": 2, "machines": 2})
    with pytest.raises(InputError, match="lets a replica span 2 machines, and this is one") as caught:
        prepare(load(file, Deployment), across, Folder(tmp_path), NoProgress())
    assert "across_machines" in str(caught.value)


def test_replicas_import_a_copy_and_leave_the_chart_as_it_is(tmp_path: Path) -> None:
    chart = embedded("helm", "llm-serving", "files")
    before = sorted(chart.rglob("*"))
    modules = _middleware(Folder(tmp_path))
    subprocess.run(
        [sys.executable, "-c", "from first_token import HoldHeaders"],
        env={"PYTHONPATH": str(modules)},
        check=True,
    )
    assert (modules / "first_token.py").read_bytes() == (chart / "first_token.py").read_bytes()
    assert (modules / "__pycache__").is_dir()
    assert sorted(chart.rglob("*")) == before
