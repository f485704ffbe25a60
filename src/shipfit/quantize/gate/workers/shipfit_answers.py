"""Finds answers that no user should get: empty, going in circles, in another language, or garbage.

Pure functions on text: no model, no package.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from pathlib import Path

MAX_REPEATED = 0.5
"""Largest share of an answer's 4-grams that may have stood in it before. The measure is seq-rep-4 of Welleck et al.,
"Neural Text Generation with Unlikelihood Training" (arXiv:1908.04319), section 6: 0.005 in text of people, 0.44 on
average in greedy continuations of 100 tokens of a model known for going in circles."""

MAX_COMPRESSION = 2.4
"""Largest ratio of an answer's length to that of its compressed form. Measure and limit are those by which Whisper
knows that it repeats itself (Radford et al., arXiv:2212.04356, section 4.5)."""

MAX_FOREIGN = 0.25
"""Largest share of an answer's letters in scripts that neither the prompt nor the source's answer has. Names and
quotations stay far below it."""

MAX_FOREIGN_SCRIPTS = 1
"""Most scripts in an answer that neither the prompt nor the source's answer has, however few their letters: a model
that has lost its way takes tokens of any language."""

FUNCTION_WORDS: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in json.loads(Path(__file__).with_name("function_words.json").read_bytes()).items()
}
"""Of languages with one script, the words that hold sentences together: articles, pronouns, prepositions, conjunctions,
forms of "to be" and "to have". The few commonest words of a text are its language's signature, whatever it is about
(Cavnar and Trenkle, "N-Gram-Based Text Categorization", 1994, section 3)."""

MIN_FUNCTION_WORDS = 4
MIN_FUNCTION_SHARE = 0.2
"""Function words by which a language is told, at the least: so many, and such a share of all. Of running text they are
two fifths."""

CLEAR = 2.0
"""How many times as many as of any other language."""

MAX_UNREADABLE = 0.05
"""Largest share of characters that stand for nothing readable."""

MIN_WORDS = 0.5
"""Smallest share of whitespace-separated words with a letter or a digit. Rae et al. (arXiv:2112.11446, A.1.1) ask 0.8
of a web page to have letters; an answer may be a sum or a line of code."""

_CUT_CHARACTER = 4
"""Bytes of the longest character in UTF-8: as many replacement characters can one that is cut leave."""

_NGRAM = 4
_WORD = re.compile(r"[^\W\d_]+")
_UNIT = re.compile(r"\w+|[^\w\s]")
_UNREADABLE = {"Cc", "Cn", "Co", "Cs"}  # controls, unassigned, private use, halves of surrogate pairs
_LAYOUT = "\n\r\t"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # Japanese is written in all three


def find_faults(prompt: str, answer: str, reference: str) -> list[str]:
    """What is wrong with an answer and not with the source model's.

    Args:
        prompt: what was asked.
        answer: what is judged.
        reference: the source model's answer to the same prompt.

    Returns:
        Of "empty", "repetition", "language" and "garbage" those that apply.
    """
    if not answer.strip():
        return ["empty"] if reference.strip() else []
    known = prompt + reference
    found = {
        # A base model often says its sentence again: one that has begun to is excuse enough.
        "repetition": _circles(answer, MAX_REPEATED) and not _circles(reference, MAX_REPEATED / 2),
        "language": foreign(answer, known) > MAX_FOREIGN or _strays(answer, f"{prompt} {reference}"),
        "garbage": _is_garbage(answer, known) and not _is_garbage(reference, known),
    }
    return [fault for fault, applies in found.items() if applies]


def repeated(text: str) -> float:
    """Share of 4-grams that stood in the text before, 0 to 1.

    Grams are of words and punctuation marks, and of single characters where a script puts no spaces between words.
    """
    units = [
        unit for word in _UNIT.findall(text.casefold()) for unit in (word if _is_spaceless(word) else [word])
    ]
    grams = list(zip(*(units[start:] for start in range(_NGRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def compression(text: str) -> float:
    """How many times shorter zlib makes the text.

    Each distinct character counts as one byte: in UTF-8, scripts of three bytes a character would seem to repeat.
    """
    numbers: dict[str, int] = {}
    coded = bytes(numbers.setdefault(character, len(numbers)) % 256 for character in text)
    return len(coded) / len(zlib.compress(coded)) if coded else 0.0


def foreign(text: str, known: str) -> float:
    """Share of the text's letters in scripts that ``known`` has none of, 0 to 1; 0 where there is no letter."""
    letters, allowed = _letters(text), scripts(known)
    return (
        sum(_script(letter) not in allowed for letter in letters) / len(letters)
        if letters and allowed
        else 0.0
    )


def scripts(text: str) -> set[str]:
    """The scripts of a text's letters, by names such as LATIN and CJK."""
    return set(map(_script, _letters(text)))


def language(text: str) -> str | None:
    """The language whose function words hold the text together; None where too few do, or two languages' as many."""
    words = _WORD.findall(text.casefold())
    counts = sorted((sum(word in own for word in words), name) for name, own in FUNCTION_WORDS.items())
    (second, _), (most, name) = counts[-2:]
    told = most >= max(MIN_FUNCTION_WORDS, MIN_FUNCTION_SHARE * len(words)) and most >= CLEAR * second
    return name if told else None


def unreadable(text: str) -> float:
    """Share of characters that are controls, unassigned, private or stand for bytes that are no UTF-8, 0 to 1.

    Replacement characters at the very end do not count: there the last token may have cut a character in two.
    """
    whole = text.rstrip(_REPLACEMENT)
    if len(text) - len(whole) > _CUT_CHARACTER:
        whole = text
    bad = sum(
        character == _REPLACEMENT
        or (unicodedata.category(character) in _UNREADABLE and character not in _LAYOUT)
        for character in whole
    )
    return bad / len(whole) if whole else 0.0


def wordlike(text: str) -> float:
    """Share of whitespace-separated words that have a letter or a digit, 0 to 1; 1 where there is no word."""
    words = text.split()
    return sum(any(map(str.isalnum, word)) for word in words) / len(words) if words else 1.0


def _circles(text: str, most: float) -> bool:
    return repeated(text) > most or compression(text) > MAX_COMPRESSION


def _strays(text: str, known: str) -> bool:
    """Whether a text is in one language for certain, and what is known in another."""
    expected, actual = language(known), language(text)
    return expected is not None and actual is not None and actual != expected


def _is_garbage(text: str, known: str) -> bool:
    return (
        unreadable(text) > MAX_UNREADABLE
        or wordlike(text) < MIN_WORDS
        or len(scripts(text) - scripts(known)) > MAX_FOREIGN_SCRIPTS
    )


def _letters(text: str) -> list[str]:
    # Compatibility forms, as of full-width or mathematical letters, are those of another script by name only.
    return [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]


def _script(letter: str) -> str:
    """The script by the first word of the letter's name, which for nearly all is that of Unicode's annex 24."""
    script = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return _ONE_SCRIPT.get(script, script)


def _is_spaceless(word: str) -> bool:
    return _script(word[0]) in {"CJK", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"} or word.isdigit()
