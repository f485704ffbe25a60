"""Builds environments before they are needed, as into an image: ``python -m shipfit.environments cpu|cuda NAME...``."""

from __future__ import annotations

import sys

from shipfit.core.errors import ExitCode, InputError, ShipfitError
from shipfit.core.progress import PlainProgress
from shipfit.environments import Accelerator, ensure


def main(words: list[str]) -> int:
    """Build each environment named; returns the exit code.

    Args:
        words: which build, then names.
    """
    try:
        if not words or words[0] not in list(Accelerator):
            raise InputError("the first word says which build: cpu or cuda")
        for name in words[1:]:
            ensure(name, Accelerator(words[0]), PlainProgress())
    except ShipfitError as error:
        sys.stderr.write(f"shipfit.environments: {error}\n")
        return error.exit_code
    return ExitCode.YES


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
