"""Sampling of windows, as the workers do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.inside.shipfit_samples import TooLittleTextError, choose

BOS = 2
streams = st.lists(st.lists(st.integers(3, 1000), max_size=200), min_size=1, max_size=4)


@given(streams, st.integers(2, 20), st.integers(0, 5))
def test_windows_are_whole_begin_with_bos_once_and_do_not_overlap(
    texts: list[list[int]], length: int, seed: int
) -> None:
    numbered = [[1000 * text + place + 3 for place, _ in enumerate(ids)] for text, ids in enumerate(texts)]
    available = sum(len(ids) // (length - 1) for ids in numbered)
    windows = choose(numbered, available, length, [BOS], seed)
    assert len(windows) == available
    assert all(len(window) == length and window[0] == BOS and BOS not in window[1:] for window in windows)
    seen = [token for window in windows for token in window[1:]]
    assert len(seen) == len(set(seen))


@given(streams, st.integers(2, 20))
def test_too_little_text_says_how_much_there_is(texts: list[list[int]], length: int) -> None:
    available = sum(len(ids) // (length - 1) for ids in texts)
    with pytest.raises(TooLittleTextError, match=f"^{available}$"):
        choose(texts, available + 1, length, [BOS], 0)


def test_the_seed_decides_the_choice() -> None:
    text = [list(range(3, 1003))]
    assert choose(text, 8, 10, [], 0) == choose(text, 8, 10, [], 0)
    assert choose(text, 8, 10, [], 0) != choose(text, 8, 10, [], 1)


def test_a_window_shorter_than_bos_is_too_little() -> None:
    with pytest.raises(TooLittleTextError, match="0"):
        choose([[5, 6, 7]], 1, 1, [BOS], 0)
