"""Faulty answers: what is found, and what is let pass."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipfit.quantize.gate.workers.shipfit_answers import (
    compression,
    find_faults,
    foreign,
    language,
    repeated,
    unreadable,
    wordlike,
)

PROMPT = "Water boils at"
GOOD = " 100 degrees Celsius at sea level, and at less on a mountain, where the air is thinner."

SENTENCES = {
    "Chinese": "水在一个标准大气压下的沸点是一百摄氏度。在高山上，由于气压较低，水的沸点也会降低。",
    "Japanese": "水は標準気圧では摂氏百度で沸騰しますが、高い山の上ではもっと低い温度で沸騰します。",
    "Hindi": "पानी सौ डिग्री सेल्सियस पर उबलता है और शून्य डिग्री पर जम जाता है, यह सब जानते हैं।",
    "Thai": "น้ำเดือดที่อุณหภูมิหนึ่งร้อยองศาเซลเซียสที่ระดับน้ำทะเล และเดือดเร็วขึ้นบนภูเขาสูง",
    "Russian": "Вода кипит при ста градусах Цельсия, а в горах, где давление ниже, она кипит раньше.",
    "Arabic": "يغلي الماء عند مئة درجة مئوية على مستوى سطح البحر، وفي الجبال يغلي قبل ذلك.",
}


LATIN = {
    "Czech": "Voda se vaří při sto stupních, ale na horách, kde je tlak nižší než u moře, je to také méně, když je zima.",
    "Dutch": "Het water kookt bij honderd graden, maar op een berg is de druk van de lucht niet zo hoog en wordt het eerder.",
    "English": "The water boils at a hundred degrees, and on a mountain, where the air is thinner, it is at less than that.",
    "Finnish": "Vesi kiehuu sadassa asteessa, mutta vuorella se on vähemmän, kun ilma on ohutta ja paine ei ole niin suuri.",
    "French": "L'eau bout à cent degrés au niveau de la mer, et dans les montagnes elle bout plus tôt, par ce que le ciel est bas.",
    "German": "Das Wasser kocht bei hundert Grad, und auf einem Berg, auf dem die Luft nicht so dicht ist, kocht es eher.",
    "Hungarian": "A víz száz fokon forr, de a hegyen, ahol a nyomás nem olyan nagy, már kevesebb is elég, és ez minden nap így van.",
    "Indonesian": "Air mendidih pada seratus derajat, dan di gunung yang tinggi itu tidak sama karena tekanan dalam udara ini rendah.",
    "Italian": "L'acqua bolle a cento gradi al livello del mare, ma in montagna, che è più alta, non è come nel piano della città.",
    "Polish": "Woda wrze w stu stopniach, ale na górze, która jest wysoka, to nie jest tak jak nad morzem, że się gotuje.",
    "Portuguese": "A água ferve a cem graus ao nível do mar, mas na montanha não é o mesmo, pois com a altura a pressão é mais baixa.",
    "Romanian": "Apa fierbe la o sută de grade, dar pe munte, care este mai înalt, nu este la fel și aerul este mai rar.",
    "Spanish": "El agua hierve a cien grados al nivel del mar, pero en las montañas es menos, como está en los libros y por lo demás.",
    "Swedish": "Vattnet kokar vid hundra grader, och på ett berg är det inte så, för att trycket av luften är lägre än det som är här.",
    "Turkish": "Su yüz derecede kaynar ve bu dağda daha az olarak olur, için çok yüksek bir yer gibi değil ama deniz kadar.",
    "Vietnamese": "Nước sôi ở một trăm độ và trên núi thì không như vậy, khi áp suất của không khí ở đó đã thấp và được đo.",
}


@pytest.mark.parametrize("name", LATIN)
def test_a_language_is_told_by_what_holds_its_sentences_together(name: str) -> None:
    assert name == language(LATIN[name])
    for other, sentence in LATIN.items():
        faults = find_faults(LATIN[name], sentence, LATIN[name])
        assert ([] if other == name else ["language"]) == [each for each in faults if each != "repetition"]


def test_what_is_said_in_few_words_is_in_no_language() -> None:
    assert language("100 degrees") is None
    assert language("Paris, Lyon, Marseille, Toulouse, Nice, Nantes, la Rochelle, le Havre") is None
    assert [] == find_faults(
        "List cities:", " le Havre, la Rochelle", " Paris, Lyon and the rest of them are in it"
    )


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("", "empty"),
        ("  \n\t ", "empty"),
        (" 100 degrees Celsius. Water boils at" * 4, "repetition"),
        (" the the the the the the the the the", "repetition"),
        ("a" * 80, "repetition"),
        (SENTENCES["Chinese"], "language"),
        (" 100 градусов Цельсия на уровне моря", "language"),
        (" \N{REPLACEMENT CHARACTER} x \N{REPLACEMENT CHARACTER} y", "garbage"),
        (" a\x00b\x01c\x02", "garbage"),
        (" \ue000\ue001 private use", "garbage"),
        (" }{ )( ;; ,, == ++ {} word", "garbage"),
        ("NECNEC水口水口 संवेदनशील glossaryvasiveEthn heraus PferdemySocket entwick based", "garbage"),
    ],
)
def test_a_faulty_answer_is_found(answer: str, fault: str) -> None:
    assert [fault] == find_faults(PROMPT, answer, GOOD)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        " 100",
        " about 100 °C (212 °F), or 373.15 K",
        " a point that the Greeks called ζέσις",
        " 2 + 2 = 4, 3 + 3 = 6, 4 + 4 = 8",
        " the end of the caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}",  # a character that the limit cut
    ],
)
def test_a_good_answer_passes(answer: str) -> None:
    assert [] == find_faults(PROMPT, answer, GOOD)


def test_a_loop_without_spaces_is_found() -> None:
    assert ["repetition"] == find_faults(SENTENCES["Chinese"], "水的沸点" * 8, "")


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_is_good_where_it_was_asked_for(language: str) -> None:
    sentence = SENTENCES[language]
    assert [] == find_faults(sentence, sentence, "")
    assert [] == find_faults("Translate:", sentence, sentence)
    assert ["language"] == find_faults(PROMPT, sentence, GOOD)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " 100 degrees Celsius. Water boils at" * 4,
        SENTENCES["Hindi"],
        " }{ )( ;; ,, == ++",
        " a\x00b\x01c",
    ],
)
def test_what_the_source_does_too_is_no_fault(answer: str) -> None:
    assert [] == find_faults(PROMPT, answer, answer)


def test_a_source_that_has_begun_to_repeat_itself_excuses() -> None:
    sentence = " red, yellow and blue. The three primary colours are"
    assert ["repetition"] == find_faults("The three primary colours are", sentence * 3, GOOD)
    assert [] == find_faults("The three primary colours are", sentence * 3, sentence * 2)


@given(st.text(), st.text(), st.text())
def test_any_text_is_judged(prompt: str, answer: str, reference: str) -> None:
    found = find_faults(prompt, answer, reference)
    assert set(found) <= {"empty", "repetition", "language", "garbage"}
    assert len(set(found)) == len(found)
    assert ("empty" in found) == (not answer.strip() and bool(reference.strip()))
    assert [] == find_faults(prompt, answer, answer)


@given(st.text(), st.text())
def test_measures_are_shares(text: str, known: str) -> None:
    for share in (repeated(text), foreign(text, known), unreadable(text), wordlike(text)):
        assert 0 <= share <= 1
    assert 0 == foreign(text, text)


@given(st.text(string.ascii_lowercase, min_size=3, max_size=9), st.integers(12, 60))
def test_a_loop_of_any_word_is_found(word: str, times: int) -> None:
    assert "repetition" in find_faults(PROMPT, f" {word}" * times, GOOD)


@given(st.lists(st.text(string.ascii_lowercase, min_size=3, max_size=9), min_size=4, unique=True))
def test_words_that_are_all_different_do_not_repeat(words: list[str]) -> None:
    assert 0 == repeated(" ".join(words))


@given(st.text(string.ascii_letters + " ", min_size=1), st.integers(0x400, 0x4000))
def test_an_alphabet_compresses_as_another(text: str, offset: int) -> None:
    assert compression(text) == compression("".join(chr(offset + ord(character)) for character in text))
