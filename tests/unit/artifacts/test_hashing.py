from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.artifacts.hashing import PIECE, Digest


@given(st.lists(st.binary(max_size=100), max_size=30), st.integers(0, 2))
def test_a_digest_is_that_of_all_chunks_in_order(chunks: list[bytes], large: int) -> None:
    chunks += [bytes([number]) * (PIECE * 3 + 1) for number in range(large)]
    with Digest() as digest:
        for chunk in chunks:
            digest.update(chunk)
    assert hashlib.sha256(b"".join(chunks)).hexdigest() == digest.hexdigest()


def test_a_transfer_that_fails_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="no space"), Digest() as digest:
        for _ in range(30):
            digest.update(bytes(PIECE))
        raise OSError("no space")
    assert before == threading.active_count()
