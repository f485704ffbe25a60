"""Sampling of windows, as the workers do it, with a tokenizer whose tokens are characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.inside.shipfit_samples import (
    ChatTemplateError,
    NoChatTemplateError,
    TooLittleTextError,
    Window,
    cut,
    sample_windows,
    shares,
)

BOS = 0


class Characters:
    """A token is a character; ``^`` is BOS in text, which is put first where special tokens are asked for."""

    bos_token_id: int | None = BOS

    def __init__(self, *, adds_bos: bool = True, template: str | None = None) -> None:
        self.adds_bos = adds_bos
        self.chat_template = template

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = [BOS if character == "^" else ord(character) for character in text]
        return {"input_ids": [BOS, *ids] if add_special_tokens and self.adds_bos else ids}

    def apply_chat_template(self, messages: list[dict[str, str]], *, tokenize: bool) -> str:
        assert not tokenize
        if messages[0]["role"] == "assistant":
            raise ValueError("conversations begin\nwith the user")
        return "^" + "".join(f"<{each['role']}>{each['content']}" for each in messages)


def text_of(windows: list[Window]) -> list[str]:
    return ["".join("^" if token == BOS else chr(token) for token in window.ids) for window in windows]


def named(*texts: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"1:{number}", {"text": text}) for number, text in enumerate(texts, 1)]


def source(path: Path, *documents: dict[str, Any], weight: float = 1) -> dict[str, Any]:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return {"path": str(path), "weight": weight}


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(1, 20), st.booleans())
def test_windows_are_whole_begin_with_bos_once_and_share_no_text(
    lengths: list[int], length: int, adds_bos: bool
) -> None:
    place = iter(range(1000, 2000))
    texts = ["".join(chr(next(place)) for _ in range(each)) for each in lengths]
    windows = cut(Characters(adds_bos=adds_bos), named(*texts), length)
    for window in windows:
        assert length == len(window.ids)
        assert [BOS] == [token for token in window.ids if token == BOS] or not adds_bos
        assert (window.ids[0] == BOS) == adds_bos
    seen = [token for window in windows for token in window.ids if token >= 1000]
    assert len(seen) == len(set(seen))


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(2, 20))
def test_windows_of_different_documents_share_no_document(lengths: list[int], length: int) -> None:
    texts = [chr(1000 + number) * each for number, each in enumerate(lengths)]
    owners: dict[int, str] = {}
    for window in cut(Characters(), named(*texts), length):
        for token in {token for token in window.ids if token >= 1000}:
            assert window.document == owners.setdefault(token, window.document)


def test_long_documents_are_cut_alone_and_short_ones_follow_each_other() -> None:
    windows = cut(Characters(), named("abcdefgh", "ij", "k", "lmnopqrst", "v"), 5)
    assert ["^abcd", "^efgh", "^ij\n\n", "^lmno", "^pqrs", "^k\n\nv"] == text_of(windows)
    assert ["1:1", "1:1", "1:2", "1:4", "1:4", "1:3"] == [window.document for window in windows]


def test_conversations_go_through_the_template_and_bos_comes_once_though_it_adds_one(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}]
    for adds_bos in (True, False):
        tokenizer = Characters(adds_bos=adds_bos, template="x")
        chat = source(tmp_path / "chat.jsonl", {"messages": messages})
        pair = source(tmp_path / "pair.jsonl", {"prompt": "ef", "completion": "gh"})
        windows = sample_windows(tokenizer, [chat, pair], 2, 22, 0)
        assert ["^<user>ab<assistant>cd", "^<user>ef<assistant>gh"] == text_of(windows)


@pytest.mark.parametrize(
    ("document", "shape"),
    [({"messages": []}, "messages"), ({"prompt": "", "completion": ""}, "prompt and completion")],
)
def test_a_model_without_a_chat_template_takes_no_conversations(
    tmp_path: Path, document: dict[str, Any], shape: str
) -> None:
    chat = source(tmp_path / "a.jsonl", {"text": "some text"}, document)
    with pytest.raises(
        NoChatTemplateError, match=f"^document 1:2 holds {shape}, and the model has no chat template$"
    ):
        sample_windows(Characters(), [chat], 1, 5, 0)


def test_what_a_template_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    chat = source(tmp_path / "a.jsonl", {"messages": [{"role": "assistant", "content": "ab"}]})
    with pytest.raises(
        ChatTemplateError,
        match=r"^the model's chat template refuses document 1:1: conversations begin with the user$",
    ):
        sample_windows(Characters(template="x"), [chat], 1, 5, 0)


def test_sources_give_their_share_and_one_with_too_little_is_named(tmp_path: Path) -> None:
    first = source(tmp_path / "a.jsonl", {"text": "a" * 300}, weight=3)
    second = source(tmp_path / "b.jsonl", {"text": "b" * 30}, weight=1)
    windows = sample_windows(Characters(), [first, second], 8, 11, 0)
    assert ["^aaaaaaaaaa"] * 6 + ["^bbbbbbbbbb"] * 2 == text_of(windows)
    with pytest.raises(
        TooLittleTextError, match=r"^4 samples of 11 tokens are asked for of source 2, which has 3$"
    ):
        sample_windows(Characters(), [first, second], 16, 11, 0)
    with pytest.raises(
        TooLittleTextError, match=r"^1 samples of 1 tokens are asked for of source 1, which has none$"
    ):
        sample_windows(Characters(), [first], 1, 1, 0)


def test_the_seed_decides_the_choice(tmp_path: Path) -> None:
    text = source(tmp_path / "a.jsonl", {"text": "".join(map(chr, range(100, 1100)))})

    def choice(seed: int) -> list[Window]:
        return sample_windows(Characters(), [text], 8, 10, seed)

    assert choice(0) == choice(0)
    assert choice(0) != choice(1)


@given(st.integers(0, 1000), st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_shares_add_up_and_miss_the_exact_ones_by_less_than_one(count: int, weights: list[float]) -> None:
    parts = shares(count, weights)
    assert count == sum(parts)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - count * weight / sum(weights)) < 1 + 1e-6


def test_of_equal_remainders_the_earlier_counts_first() -> None:
    assert [2, 2, 1] == shares(5, [1, 1, 1])
    assert [4, 4] == shares(8, [0.1, 0.1])
