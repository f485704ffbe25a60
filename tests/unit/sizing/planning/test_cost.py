from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.sizing.planning.cost import token_cost

positive = st.floats(0.01, 1e5)


def test_an_hour_over_the_tokens_of_an_hour() -> None:
    cost = token_cost(3.6, 1000, tokens_in=300, tokens_out=100)
    assert cost.output == pytest.approx(1.0)  # 3.6 an hour for 3.6 million output tokens
    assert cost.total == pytest.approx(0.25)  # and four times as many in all


@given(positive, positive, positive, positive)
def test_tokens_in_all_cost_no_more_than_output_tokens(
    hour: float, rate: float, into: float, out: float
) -> None:
    cost = token_cost(hour, rate, into, out)
    assert 0 < cost.total <= cost.output


@given(positive, positive)
def test_twice_the_speed_is_half_the_cost(hour: float, rate: float) -> None:
    slow, fast = token_cost(hour, rate, 10, 10), token_cost(hour, 2 * rate, 10, 10)
    assert fast.output == pytest.approx(slow.output / 2)
