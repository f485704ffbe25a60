"""Transfers side by side: results in order, bytes told, and one failure ends them all."""

from __future__ import annotations

import threading

import pytest

from shipfit.core.progress import NoProgress
from shipfit.core.transfers import TRANSFERS, Meter, Stopped, for_each


class Told(NoProgress):
    def __init__(self) -> None:
        self.fractions: list[float | None] = []

    def update(self, text: str, fraction: float | None = None) -> None:
        self.fractions.append(fraction)


def test_results_come_in_order_and_bytes_are_told_to_the_last() -> None:
    told = Told()
    meter = Meter(told, "copying", 30)

    def copy(count: int) -> int:
        meter.add(count)
        return -count

    assert [-10, -5, -15] == for_each([10, 5, 15], copy, meter)
    assert 1.0 == told.fractions[-1]


def test_the_first_failure_ends_those_that_go_on() -> None:
    meter = Meter(NoProgress(), "copying", 2**40)
    begun, ended = threading.Barrier(TRANSFERS), []

    def copy(number: int) -> None:
        begun.wait(10)
        if number == 1:
            raise OSError("no space left")
        try:
            while True:
                meter.add(1)
        except Stopped:
            ended.append(number)
            raise

    with pytest.raises(OSError, match="no space left"):
        for_each(range(TRANSFERS), copy, meter)
    assert TRANSFERS - 1 == len(ended)
