"""Running kubectl and Helm: one call, its output and what it said beside."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from shipfit.core.errors import EnvironmentFailure
from shipfit.core.process import Process, describe_exit

_NOT_TAKEN = (
    "Warning: ",
    "level=",
    "I0",
    "W0",
    "E0",
)  # beginnings of what client libraries log beside an error


@dataclass(frozen=True)
class Done:
    """A call that ended.

    Attributes:
        words: what was called.
        code: its exit code.
        out: standard output.
        errors: lines of standard error.
    """

    words: tuple[str, ...]
    code: int
    out: str
    errors: list[str]

    @property
    def said(self) -> str:
        """Why it failed, in its own words: what follows the last ``Error``, else the last line."""
        lines = [line.strip() for line in self.errors if line.strip() and not line.startswith(_NOT_TAKEN)]
        begins = [number for number, line in enumerate(lines) if line.lower().startswith("error")]
        spoken = lines[begins[-1] :] if begins else lines[-1:]
        return " ".join(spoken)[:500] or "(it printed nothing)"

    @property
    def failure(self) -> str:
        """The same with what was called and how it ended."""
        return f"{' '.join(self.words)} {describe_exit(self.code)}: {self.said}"


def require(program: str, instead: str = "") -> None:
    """See that a program is there.

    Args:
        instead: what can be done without it.

    Raises:
        EnvironmentFailure: it is not.
    """
    if shutil.which(program) is None:
        raise EnvironmentFailure(f"there is no {program} on the PATH", hint=f"install it{instead}")


def call(argv: Sequence[str], *, shown: Sequence[str] = (), stdin: str | None = None, timeout: float) -> Done:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        shown: the same as people want to read it; ``argv`` by default.
        timeout: seconds.

    Raises:
        EnvironmentFailure: it is not there, or did not end in time.
    """
    require(argv[0])
    out: list[str] = []
    errors: list[str] = []
    with Process(
        argv,
        stdin=None if stdin is None else stdin.encode(),
        merge=False,
        on_line=out.append,
        on_error_line=errors.append,
    ) as process:
        code = process.wait(timeout)
    return Done(tuple(shown or argv), code, "\n".join(out), errors)
