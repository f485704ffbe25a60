"""llama.cpp's programs as workers run them; here with programs that only print."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from shipfit.quantize.inside.shipfit_gguf import ProgramError, chunks_text, run_program


def heard(script: str, end: bytes = b"\n") -> list[str]:
    pieces: list[str] = []
    run_program([sys.executable, "-c", script], pieces.append, end=end)
    return pieces


def test_lines_are_heard_as_they_come_and_what_has_no_end_at_last() -> None:
    assert ["one", "two", "three"] == heard("print('one'); print('two'); print('three', end='')")


def test_progress_on_one_long_line_is_heard_too() -> None:
    assert ["[1]12.5", "[2]13.1", "done"] == heard("print('[1]12.5,[2]13.1,\\ndone', end='')", end=b",")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import sys; print('0.01.2.3 E error: no such file'); print('bye'); sys.exit(3)",
            "code 3: error: no such file",
        ),
        ("import sys; sys.exit('last words')", "ended with code 1: last words"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL: (it printed nothing)"),
    ],
)
def test_a_failure_says_how_it_ended_and_what_was_said_last(script: str, words: str) -> None:
    with pytest.raises(ProgramError) as failure:
        heard(script)
    assert words in str(failure.value)


class Letters:
    """A token is a letter; 0 is BOS."""

    bos_token_id = 0

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        return "".join(
            "<s>" if each == 9 else chr(96 + each) for each in ids if each != 9 or not skip_special_tokens
        )


def test_a_separator_stands_where_llama_cpp_puts_bos() -> None:
    assert "ab\n\ncd\n\nab\n\nab" == chunks_text(Letters(), [[0, 1, 2], [0, 3, 4]], special=True)


def test_windows_without_bos_follow_each_other() -> None:
    assert "abcdabab" == chunks_text(Letters(), [[1, 2], [3, 4]], special=True)


def test_special_tokens_stay_only_where_the_program_reads_them() -> None:
    assert "a<s>a<s>a<s>" == chunks_text(Letters(), [[1, 9]], special=True)
    assert "aaa" == chunks_text(Letters(), [[1, 9]], special=False)
