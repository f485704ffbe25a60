"""Workers: what a script says arrives, and however it ends, one line says so."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from shipfit.core.worker import WorkerError, run_worker


def run(
    tmp_path: Path, body: str, **request: object
) -> tuple[dict[str, object], list[tuple[str, float | None]]]:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys\ndef main(request, report):\n    " + body.replace("\n", "\n    ")
    )
    told: list[tuple[str, float | None]] = []
    result = run_worker(
        Path(sys.executable),
        script,
        request,
        doing="testing",
        log=tmp_path / "log",
        report=lambda text, fraction: told.append((text, fraction)),
    )
    return result, told


def test_returns_the_result_and_passes_progress_on(tmp_path: Path) -> None:
    result, told = run(
        tmp_path, "report('half', 0.5)\nreport('on', None)\nreturn {'n': request['n'] + 1}", n=1
    )
    assert result.pop("peak_bytes") > 2**20
    assert result == {"n": 2}
    assert told == [("half", 0.5), ("on", None)]


def test_what_libraries_print_goes_to_the_log_and_not_into_the_protocol(tmp_path: Path) -> None:
    noise = (
        "print('{\"event\": \"result\", \"result\": 1}')\nos.system('echo from a child')\nreturn {'ok': True}"
    )
    result, _ = run(tmp_path, noise)
    assert result["ok"] is True
    assert "from a child" in (tmp_path / "log").read_text()


def test_an_exception_becomes_one_line_with_its_kind(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="testing failed: ValueError: no good") as caught:
        run(tmp_path, "raise ValueError('no\\ngood')")
    assert caught.value.kind == "ValueError"
    assert caught.value.log == tmp_path / "log"
    assert "Traceback" in (tmp_path / "log").read_text()


def test_an_exception_says_what_of_the_spec_is_to_blame(tmp_path: Path) -> None:
    body = "class BadError(Exception):\n  field = 'recipe.x'\n  hint = 'mend it'\nraise BadError('no good')"
    with pytest.raises(WorkerError, match="testing failed: BadError: no good; mend it") as caught:
        run(tmp_path, body.replace("\n", "\n  ").replace("  raise", "raise"))
    assert caught.value.field == "recipe.x"


def test_a_killed_worker_is_named_with_its_last_words(tmp_path: Path) -> None:
    body = "print('on my way', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(
        WorkerError, match=r"killed by SIGKILL \(out of memory\?\); its last words: on my way"
    ):
        run(tmp_path, body)


def test_nothing_that_a_worker_started_outlives_it(tmp_path: Path) -> None:
    body = "import subprocess\nreturn {'pid': subprocess.Popen(['sleep', '60']).pid}"
    result, _ = run(tmp_path, body)
    deadline = time.monotonic() + 5  # the kernel ends a killed process in its own time
    while (alive := runs(int(str(result["pid"])))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
