"""Pages: one look, and figures with as many digits as tell something."""

from __future__ import annotations

import pytest

from shipfit.core.pages import number, share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0712, "0.071"),
        (1.0, "1.00"),
        (12.34, "12.3"),
        (190.4, "190"),
        (58254, "58,254"),
        (-12.34, "-12.3"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert text == number(value)


def test_share() -> None:
    assert "6.67%" == share(2 / 30)
