from __future__ import annotations

import sys
from pathlib import Path

from shipfit.core.locks import exclusive
from shipfit.core.process import Process


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    code = (
        "from pathlib import Path; from shipfit.core.locks import exclusive\n"
        f"with exclusive(Path({str(lock)!r}), on_wait=lambda: print('waits', flush=True)): print('has it')"
    )
    lines: list[str] = []
    with exclusive(lock):
        other = Process([sys.executable, "-c", code], on_line=lines.append)
        while not lines:
            assert other.returncode is None
        assert lines == ["waits"]
    with other:
        assert other.wait(10) == 0
    assert lines == ["waits", "has it"]
