"""Whether the kernel killed processes because memory ran out: it says so in counters, not to who waits for them."""

from __future__ import annotations

from pathlib import Path

_HOST = Path("/proc/vmstat")
_CGROUP = Path("/sys/fs/cgroup")


def oom_kills(host: Path = _HOST, cgroup: Path = _CGROUP) -> int:
    """Processes that the kernel has killed for want of memory, as far as it can be seen from here.

    The host's counter (``oom_kill``, Linux 4.13) covers every control group; inside a container that hides it, the
    container's own (``memory.events`` of control groups v2) does. Only its growth means anything.

    Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.events), mm/oom_kill.c of Linux.

    Args:
        host: the host's counters.
        cgroup: where control groups are mounted.
    """
    return _counter(host, "oom_kill") + _counter(cgroup / "memory.events", "oom_kill")


def _counter(file: Path, name: str) -> int:
    try:
        fields = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
        return int(fields.get(name, 0))
    except (OSError, ValueError):
        return 0
