"""Runs a worker script inside another Python environment: that environment's Python executes this file.

Usage: ``PYTHON launcher.py SCRIPT``, the request as one JSON document on standard input. The script defines
``main(request, report) -> dict``, to which ``peak_bytes`` is added; ``report(text, fraction)`` tells of progress. It
may import modules that lie beside it. An exception that is the user's to mend has a ``field`` (what of the spec is
wrong) and a ``hint``. Standard output carries JSON lines only (``progress``, then one ``result`` or ``error``);
whatever libraries print goes to standard error, to the log.

Nothing of shipfit is importable here, so this file uses the standard library alone.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any


def launch(script: str) -> int:
    """Run ``script`` and speak the protocol for it; returns the exit code."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(event: str, **content: Any) -> None:
        channel.write(json.dumps({"event": event, **content}) + "\n")
        channel.flush()

    def report(text: str, fraction: float | None = None) -> None:
        send("progress", text=text, fraction=fraction)

    sys.path.append(str(Path(script).parent))  # last: a worker may bear the name of a package that it imports
    try:
        request = json.loads(sys.stdin.buffer.read())
        result = runpy.run_path(script)["main"](request, report)
    except Exception as error:  # noqa: BLE001 - the whole of a worker's failure is told to who started it
        traceback.print_exc()
        blamed = {name: getattr(error, name, None) for name in ("field", "hint")}
        send("error", kind=type(error).__name__, message=" ".join(str(error).split())[:500], **blamed)
        return 1
    send("result", result={**result, "peak_bytes": _peak_bytes()})
    return 0


def _peak_bytes() -> int:
    """The most memory that this process held, and the largest of its children."""
    kib = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return kib * 1024


if __name__ == "__main__":
    code = launch(sys.argv[1])
    sys.stderr.flush()
    # Not sys.exit: thread pools and compilers of the engines take seconds to end, or never do; the work is done.
    os._exit(code)
