"""Waits until the leader of this group of pods has ended, before this one is told to end.

An eviction of any pod ends its group, while requests are still in flight at the leader and pass through every pod. As
long as the leader runs, this pod's processes hold a connection to the port where the group met (torch's TCPStore, which
lives as long as the leader's first process). Names would not do: that of the leader goes with its Service at once.
The standard library is all that it uses; the grace period of the pod bounds the wait.
"""

import sys
import time
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED = "01"  # include/net/tcp_states.h


def connected(port: int, tables: tuple[Path, ...] = TABLES) -> bool:
    """Whether anything in this pod is connected to that port of another; proc(5) has the columns."""
    for table in tables:
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                _, _, remote, state, *_ = line.split()
                if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                    return True
    return False


if __name__ == "__main__":
    while connected(int(sys.argv[1])):
        time.sleep(1)
