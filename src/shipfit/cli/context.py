"""What every command shares: its common options, the progress reporter, and how facts are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipfit.core.progress import Progress, ProgressStyle, make_progress

if TYPE_CHECKING:
    from shipfit.hardware import Gpu

AsJson = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]
DeploymentFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A Deployment, such as deploy/demo/gemma-3-270m.yaml.")
]
PipelineFile = Annotated[
    Path,
    typer.Argument(metavar="PIPELINE", help="A Pipeline, such as pipelines/gemma-3-270m-gptq-w4a16.yaml."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=1, help="Seconds to wait for pods; left out, what their start-up budgets add up to."),
]


class Settings:
    """Options that stand before or after any command; set once by ``main``."""

    debug = False
    progress = ProgressStyle.AUTO


@cache
def progress() -> Progress:
    """The reporter that the user asked for."""
    return make_progress(Settings.progress)


def emit(facts: dict[str, Any], *, as_json: bool, render: Callable[[dict[str, Any]], None]) -> None:
    """Print what a command returns: JSON on request, else for people.

    Args:
        facts: JSON-compatible.
        render: prints the same facts for a person, by ``rich`` or plain text.
    """
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        render(facts)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only where the user wants it.

    Args:
        question: to answer with y or n, on a terminal.
        yes: whether it was answered on the command line.

    Raises:
        InputError: there is no terminal to ask on.
        VerdictError: the answer is no.
    """
    from shipfit.core.errors import InputError, VerdictError

    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "nobody can be asked: this is no terminal", hint="look, then add --yes", where="--yes"
        )
    if not typer.confirm(question, err=True):
        raise VerdictError("left as it is")


def require_cores(gpu: Gpu, gpus: int) -> None:
    """Refuse more of a processor's cores than this machine has; ``--gpus`` counts them.

    Raises:
        InputError: names the flag.
    """
    from shipfit.core.errors import InputError

    if gpu.cpu and gpus > gpu.cpu.cores:
        raise InputError(
            f"is {gpus}, and this machine has {gpu.cpu.cores} cores", hint="lower it", where="--gpus"
        )


@contextmanager
def flag(name: str) -> Iterator[None]:
    """Let an InputError raised inside, which knows only the value, name the flag that it came from."""
    from shipfit.core.errors import InputError

    try:
        yield
    except InputError as error:
        if error.where:  # it knows better: a file is wrong
            raise
        raise InputError(error.message, hint=error.hint, where=name) from error
