from __future__ import annotations

import sys
from pathlib import Path

from shipfit.core.locks import exclusive, exclusive_at_once, shared
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


def test_many_share_a_lock_and_one_takes_it_alone_when_they_are_gone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with shared(lock), shared(lock), exclusive_at_once(lock) as alone:
        assert not alone
    with exclusive_at_once(lock) as alone:
        assert alone
