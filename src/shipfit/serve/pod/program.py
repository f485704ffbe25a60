"""What the programs of a pod share: how they end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from shipfit.core.errors import ExitCode, ShipfitError, from_os_error


def run(name: str, work: Callable[[], None]) -> ExitCode:
    """Do the work of a program; an error becomes its last line, which Kubernetes shows as the reason of its end.

    Args:
        name: of the program, for that line.
        work: raises a ShipfitError where it fails.

    Returns:
        The exit code.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the way out of Ctrl-C: what is open is closed
    try:
        work()
    except ShipfitError as error:
        return _fail(name, str(error), error.exit_code)
    except OSError as error:
        return _fail(name, str(from_os_error(error, "running")), ExitCode.ENVIRONMENT)
    except KeyboardInterrupt:
        return _fail(name, "interrupted; a restart goes on from here", ExitCode.INTERRUPTED)
    return ExitCode.YES


def _fail(name: str, line: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"{name}: {' '.join(line.split())}\n")
    return code
