"""The kernel's counters of processes that it killed for want of memory."""

from __future__ import annotations

from pathlib import Path

from shipfit.core.oom import oom_kills


def test_both_counters_count(tmp_path: Path) -> None:
    host, cgroup = tmp_path / "vmstat", tmp_path / "cgroup"
    assert oom_kills(host, cgroup) == 0
    host.write_text("nr_free_pages 12\noom_kill 3\n")
    assert oom_kills(host, cgroup) == 3
    cgroup.mkdir()
    (cgroup / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert oom_kills(host, cgroup) == 4
