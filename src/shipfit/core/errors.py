"""Every error that shipfit raises on purpose, and the exit code that each one ends in.

    ShipfitError
    ├── VerdictError       1  the work was done and the answer is no: does not fit, gate failed, SLO missed
    ├── InputError         2  the user's file, flag or value is wrong; names it and says what to do
    ├── EnvironmentFailure 3  the surroundings failed: a server is down, a disk is full, a process died
    └── MeasurementError   4  a measurement was taken that cannot be trusted

One line is all that a user reads of any of them; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What a command's exit code means; the same for every command."""

    YES = 0
    NO = 1
    BAD_INPUT = 2
    ENVIRONMENT = 3
    UNTRUSTED = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class ShipfitError(Exception):
    """A failure that is explained already: its text is one line for the user.

    Args:
        message: what is wrong, with the names and figures that matter.
        hint: what to do about it, as an imperative; printed after the message.
        log: the file that holds the details, where there is one.
    """

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, message: str, *, hint: str | None = None, log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log

    def __str__(self) -> str:
        """The whole line: message, hint, log."""
        parts = [self.message.rstrip(".")]
        if self.hint:
            parts.append(self.hint.rstrip("."))
        if self.log:
            parts.append(f"log: {self.log}")
        return "; ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when the error crosses a process boundary (Ray pickles it)."""
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[ShipfitError], message: str, state: dict[str, object]) -> ShipfitError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class VerdictError(ShipfitError):
    """The work was done, and the answer is no."""

    exit_code = ExitCode.NO


class InputError(ShipfitError):
    """What the user gave is wrong.

    Args:
        message: what is wrong with it.
        hint: what to write instead.
        where: ``file:line`` or a flag's name; put in front of the message.
        field: dotted path of the field inside the file, such as ``slo.ttft_p95_ms``.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(
        self, message: str, *, hint: str | None = None, where: str | None = None, field: str | None = None
    ) -> None:
        prefix = ": ".join(part for part in (where, field) if part)
        super().__init__(f"{prefix}: {message}" if prefix else message, hint=hint)
        self.where = where
        self.field = field


class EnvironmentFailure(ShipfitError):
    """The surroundings failed; the same command may succeed later."""

    exit_code = ExitCode.ENVIRONMENT


class MeasurementError(ShipfitError):
    """A measurement ended, but its figures cannot be trusted."""

    exit_code = ExitCode.UNTRUSTED


_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def from_os_error(error: OSError, doing: str) -> ShipfitError:
    """Translate an operating system error into one line.

    Args:
        error: what was raised.
        doing: what was being done, as "writing the manifest".
    """
    path = f" {error.filename}" if error.filename else ""
    if error.errno in _DISK_FULL:
        return EnvironmentFailure(
            f"no space left on the disk while {doing}{path}", hint="free some and run the command again"
        )
    if isinstance(error, PermissionError):
        return EnvironmentFailure(
            f"permission denied while {doing}{path}", hint="check the owner and mode of that path"
        )
    return EnvironmentFailure(f"{error.strerror or error} while {doing}{path}")


def missing_certificates(error: Exception, what: str) -> EnvironmentFailure | None:
    """The line for a machine without CA certificates; None where that is not what is wrong.

    obstore's client then says "builder error" alone, also for an address of plain HTTP: it reads them as it is made,
    from SSL_CERT_FILE and SSL_CERT_DIR where either is set, else from where the system has them (observed with obstore
    0.12.1; rustls-native-certs does it, docs.rs/rustls-native-certs).

    Args:
        error: what obstore raised.
        what: what was to be reached.
    """
    if "No CA certificates were loaded" not in str(error):
        return None
    return EnvironmentFailure(
        f"{what}: there are no CA certificates on this machine, and no store is reached without them",
        hint="install the package ca-certificates, or set SSL_CERT_FILE to a file that holds some",
    )
