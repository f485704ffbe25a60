"""How long each command takes to start, beside a bare ``python -c pass`` in the same run.

Goal: under 300 ms, and so a bounded multiple of the interpreter's own start. Prints medians of 9 runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from shipfit.cli.main import COMMANDS

RUNS = 9
LIMIT_MS = 300


def median_ms(arguments: list[str]) -> float:
    """Median wall time of a process, in milliseconds, after one warm-up."""
    times = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times[1:])


def main() -> int:
    """Time every command; 1 where one is over the limit."""
    bare = median_ms([sys.executable, "-c", "pass"])
    print(f"{'bare python':24} {bare:6.0f} ms")
    commands = [[], *([name] for name in COMMANDS)]
    slow = 0
    for words in commands:
        taken = median_ms([sys.executable, "-m", "shipfit", *words, "--help"])
        slow += taken > LIMIT_MS
        print(f"{' '.join(['shipfit', *words]):24} {taken:6.0f} ms  {taken / bare:4.1f} x bare")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
