from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process
from shipfit.environments import ensure, is_built

pytestmark = pytest.mark.integration

BUILD = "from shipfit.environments import ensure; print(ensure('envoy').python, flush=True)"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of environments of this test alone; uv's own cache of packages stays shared."""
    monkeypatch.setenv("SHIPFIT_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_two_at_once_build_it_once(own_cache: Path) -> None:
    both = [Process([sys.executable, "-c", BUILD]) for _ in range(2)]
    for process in both:
        with process:
            assert process.wait(120) == 0, process.tail
    assert both[0].tail == both[1].tail
    assert len(list((own_cache / "envs").glob("envoy-*[0-9a-f]"))) == 1
    assert is_built("envoy")
    assert ensure("envoy").python.exists()


def test_what_a_killed_build_left_is_built_anew(own_cache: Path) -> None:
    with Process([sys.executable, "-c", BUILD]) as process:
        while not list(own_cache.glob("envs/*/bin")):
            assert process.returncode is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not is_built("envoy")
    assert ensure("envoy").program("envoy").exists()


def test_an_index_out_of_reach_is_one_line_with_its_log(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentFailure, match="building the seaweedfs environment failed") as caught:
        ensure("seaweedfs")
    assert caught.value.log is not None
    assert caught.value.log.exists()
    assert not is_built("seaweedfs")
