"""Every language in which an answer is announced, with a number and with an option, right and denied."""

import pytest

from gpo.verifiers import number, option, phrases

SAID = {
    "en": ("The answer is {}.", "The correct choice would be {}"),
    "es": ("La respuesta correcta es {}.", "Solución: {}"),
    "fr": ("La réponse finale est {}.", "Solution : {}"),
    "de": ("Die Antwort ist also {}.", "Lösung: {}"),
    "it": ("La risposta corretta è {}.", "Soluzione: {}"),
    "pt": ("A resposta final é {}.", "Solução: {}"),
    "ru": ("Ответ: {}", "Ответ \u2014 {}"),
    "uk": ("Відповідь: {}", "Відповідь \u2014 {}"),
    "nl": ("Het antwoord is {}.", "Het juiste antwoord luidt: {}"),
    "pl": ("Odpowiedź: {}", "Prawidłową odpowiedzią jest {}"),
    "cs": ("Odpověď je {}.", "Odpověď: {}"),
    "sv": ("Svaret är {}.", "Svar: {}"),
    "fi": ("Vastaus on {}.", "Vastaus: {}"),
    "tr": ("Cevap: {}", "Doğru cevap şudur: {}"),
    "vi": ("Đáp án đúng là {}.", "Câu trả lời: {}"),
    "id": ("Jawabannya adalah {}.", "Jawaban akhir: {}"),
    "ro": ("Răspunsul final este {}.", "Răspuns: {}"),
    "el": ("Η απάντηση είναι {}.", "Απάντηση: {}"),
    "ar": ("الإجابة النهائية هي {}.", "الجواب: {}"),
    "hi": ("सही उत्तर है: {}", "उत्तर: {}"),
    "fa": ("پاسخ نهایی: {}", "جواب: {}"),
    "zh": ("答案是{}。", "故选：{}"),
    "ja": ("答えは{}です。", "正解：{}"),
    "ko": ("정답은 {}입니다.", "최종 답: {}"),
    "th": ("คำตอบคือ {}", "คำตอบ: {}"),
}  # fmt: skip
REST = "\n\nI checked 7 cases, and D again."
"""What a reading without the phrase would take: the last number, the last letter."""


@pytest.mark.parametrize(("language", "said"), [(one, said) for one in SAID for said in SAID[one]])
def test_the_phrase_marks_the_answer(language: str, said: str) -> None:
    assert number.score(said.format(18) + REST, "18", {}) == 1.0
    assert number.score(said.format(181) + REST, "18", {}) == 0.0
    assert option.score(said.format("B") + REST, "B", {}) == 1.0
    assert option.score(said.format("(C)") + REST, "B", {}) == 0.0


def test_every_noun_of_the_table_has_rows() -> None:
    sentences = [said.format("B") for pair in SAID.values() for said in pair]
    for pattern in (pattern for _, pattern in phrases._PATTERNS):
        assert any(pattern.search(one) for one in sentences), pattern.pattern
