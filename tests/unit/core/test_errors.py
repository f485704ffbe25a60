from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from shipfit.core.errors import (
    EnvironmentFailure,
    ExitCode,
    InputError,
    MeasurementError,
    ShipfitError,
    VerdictError,
    from_os_error,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(VerdictError, 1), (InputError, 2), (EnvironmentFailure, 3), (MeasurementError, 4)],
)
def test_each_kind_has_its_exit_code(kind: type[ShipfitError], code: int) -> None:
    assert code == kind("no").exit_code


def test_a_line_says_what_what_to_do_and_where_the_log_is() -> None:
    error = EnvironmentFailure("the store is down.", hint="start it", log=Path("a.log"))
    assert str(error) == "the store is down; start it; log: a.log"


def test_an_input_error_names_file_line_and_field() -> None:
    error = InputError("is missing", hint="add it", where="a.yaml:3", field="slo.ttft_p95_ms")
    assert str(error) == "a.yaml:3: slo.ttft_p95_ms: is missing; add it"


def test_errors_cross_processes_whole() -> None:
    error = InputError("is missing", hint="add it", where="a.yaml:3", field="name")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (InputError, str(error), "a.yaml:3") == (type(copy), str(copy), copy.where)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "permission denied"), (errno.EIO, "x.bin")],
)
def test_operating_system_errors_become_one_line(number: int, words: str) -> None:
    error = from_os_error(OSError(number, "words of the system", "x.bin"), "writing the manifest")
    assert words in str(error)
    assert error.exit_code == ExitCode.ENVIRONMENT
