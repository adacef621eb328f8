"""How languages say "the answer is": nouns and copulas as data, one pattern for all.

A language is a noun, words that may stand before it and after it, and what ties the answer to it. A colon, an
equals sign, an arrow or a dash between spaces ties in every language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_EN_AFTER = r"(?: (?:key|choice|option|letter|value|here|then|therefore|we (?:get|find|found|seek|want)"
_EN_AFTER += r"|i (?:chose|got|get)|(?:to|for|of) [^\n.:?=]{1,60}?))?"
_IS = r"(?:is|are(?! (?:all |both )?(?:correct|incorrect|wrong)\b)|will be"
_IS += r"|would be|should be|must be|has to be|equals|comes to|becomes)"
_IS += r"(?: (?:therefore|thus|then|simply|just|indeed))?"
LANGUAGES: tuple[tuple[str, str], ...] = (
    (rf"answers?{_EN_AFTER}", _IS),
    (
        r"(?:correct|right|best|final|chosen|appropriate) (?:option"
        r"|choice|letter|response|alternative)(?: here)?",
        _IS,
    ),
    (
        r"(?:respuesta|solución|opción correcta)(?: (?:final|correcta|es correcta))*",
        r"(?:es|son|sería|será|debe ser)",
    ),
    (r"(?:réponse|solution)(?: (?:finale|correcte|exacte))*", r"(?:est|sont|serait|sera)(?: donc)?"),
    (
        r"(?:antwort|lösung|endergebnis)(?:möglichkeit)?",
        r"(?:ist|lautet|sind|wäre)(?: (?:also|daher|somit))?",
    ),
    (r"(?:risposta|soluzione)(?: (?:finale|corretta|esatta))*", r"(?:è|sono|sarebbe|sarà)(?: quindi)?"),
    (r"(?:resposta|solução)(?: (?:final|correta|certa))*", r"(?:é|são|seria|será)"),
    (r"(?:ответ|вариант ответа)(?: (?:задачи|такой))?", r"(?:это|есть|равен|является|будет)"),
    (r"відповідь", r"(?:це|є)"),
    (r"(?:juiste )?antwoord", r"(?:is|luidt|zijn)"),
    (r"odpowied(?:ź|zią)", r"(?:to|jest|brzmi)"),
    (r"odpověď", r"(?:je|zní)"),
    (r"svar(?:et)?", r"(?:är|er|lyder)"),
    (r"vastaus", r"on"),
    (r"(?:doğru )?(?:cevap|yan\u0131t)", r"(?:şudur)"),
    (r"(?:đáp án|đáp số|câu trả lời)(?: (?:đúng|cuối cùng|chính xác))*", r"là"),
    (r"jawaban(?:nya)?(?: (?:akhir|yang benar|akhirnya))*", r"(?:adalah|ialah)"),
    (r"(?:răspuns(?:ul)?)(?: (?:final|corect))*", r"(?:este|e)"),
    (r"απάντηση", r"είναι"),
    (r"(?:الإجابة|الجواب|إجابة)(?: (?:النهائية|الصحيحة|النهائي|الصحيح))*", r"(?:هي|هو)"),
    (r"(?:सही |अंतिम )?उत्तर", r"(?:है|होगा)"),
    (r"(?:پاسخ|جواب)(?: (?:نهایی|صحیح))*", r"(?:برابر است با)"),
)
"""A noun with what may follow it, and what ties: in scripts that put spaces between words."""
UNSPACED: tuple[tuple[str, str], ...] = (
    (
        r"(?:答案|正解|解答|選項|选项|答え|答|結果)(?:选项|選項)?",
        r"(?:应该是|應該是|应是|应为|應為|应选|應選|就是|等于|等於|选择|是|为|為|即|选|選|は|が|[:=\uff1a])",
    ),
    (r"(?:故|应|應|因此|所以|综上|因而|故应|所以应|因此应)(?:本题)?(?:选择|选|選)(?:项|擇)?", r"[:=\uff1a]?"),
    (r"(?:정답|최종 ?답|답변|해답|답)", r"(?:은|는|이|[:=\uff1a])"),
    (r"คำตอบ(?:ที่ถูกต้อง|สุดท้าย)?", r"(?:คือ|[:=\uff1a])"),
)
"""The same in scripts that do not."""

_STEMS = (
    *("answer", "option choice letter response alternative", "respuesta solución opción", "réponse solution"),
    *(
        "antwort lösung endergebnis",
        "risposta soluzione",
        "resposta solução",
        "ответ",
        "відповідь",
        "antwoord",
    ),
    *(
        "odpowied",
        "odpověď",
        "svar",
        "vastaus",
        "cevap yan\u0131t",
        "đáp trả",
        "jawaban",
        "răspuns",
        "απάντηση",
    ),
    *("إجابة الجواب", "उत्तर", "پاسخ جواب"),
)
_UNSPACED_STEMS = ("答 正解 選 选 結果", "选 選", "답", "คำตอบ")
"""What of a noun is looked for first, in the order of the tables: most texts hold one language."""
_MARK = r"[*_`\"'\u201c\u201d\s]{0,6}"
_TIES = r"[:=\uff1a\u2192\u21d2]|[-=]>|(?<=[ \t*_])[-\u2013\u2014](?=\s)"
_NEEDLES: tuple[tuple[tuple[str, ...], str], ...] = tuple(
    (tuple(needles.split()), rf"\b{noun}(?:{_MARK}(?:{_TIES})|{_MARK}(?<=\W){tie}(?!\w))")
    for needles, (noun, tie) in zip(_STEMS, LANGUAGES, strict=True)
) + tuple(
    (tuple(needles.split()), rf"{noun}{_MARK}{tie}")
    for needles, (noun, tie) in zip(_UNSPACED_STEMS, UNSPACED, strict=True)
)


_HEADINGS = (
    "answers?|result|antwort|lösung|réponse|respuesta|risposta|resposta|ответ|答案|正解|解答|答え|정답|답"
)
_OWN = "the|my|your|final|correct|short|最终|最終的な|最終|endgültige|最后|최종"
HEADING = re.compile(
    rf"^[ \t]{{0,3}}(?:#{{1,6}}[ \t]*)?[*_]{{0,3}}(?:[0-9]{{1,2}}[.)][ \t]*)?(?:(?:{_OWN})[ \t]*){{0,3}}"
    rf"(?:{_HEADINGS})(?:[ \t](?:final|finale|correcta|correcte))?[ \t*_:\uff1a]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that is nothing but a heading of the answer below it."""

_PATTERNS = [(needles, re.compile(f"{one}[ *_`]*[:\uff1a]?", re.IGNORECASE)) for needles, one in _NEEDLES]
_ALL = [*_PATTERNS, (tuple(_HEADINGS.replace("answers?", "answer").split("|")), HEADING)]
_OF_ASCII = [(needles, pattern) for needles, pattern in _ALL if any(map(str.isascii, needles))]


def found_in(text: str) -> Iterator[re.Pattern[str]]:
    """The patterns whose words occur in the text: each matches all up to the answer."""
    folded = text.casefold()
    for needles, pattern in _OF_ASCII if folded.isascii() else _ALL:
        for needle in needles:
            if needle in folded:
                yield pattern
                break


DENIAL = re.compile(
    r"(?:(?:\b(?:not|nor|neither|never|cannot|except|instead of|rather than|other than|unlike"
    r"|(?:exclud|eliminat|reject|discard|dismiss)(?:e|es|ed|ing)?|rul(?:e|es|ed|ing) out)\b|n['\u2019]t\b"
    r"|不是|并非|並非|不选|不選|排除)"
    r"(?:\W{1,4}\w{1,12}){0,2}\W{0,6}|\b(?:no (?:es|son|sería|la|el)"
    r"|ne? ?['\u2019]?(?:est|sont) pas|ist nicht|sind nicht|nicht|non è|non sono"
    r"|não é|não são|не)\b(?:\W{1,4}\w{1,12}){0,1}\W{0,6})$",
    re.IGNORECASE,
)
"""What stands before an answer and takes it back."""

CONTRAST = re.compile(
    r"\A(?:not|no|nicht|pas|non|não|niet|не)\s[^\s\w]{0,3}[0-9\\][^\n]{0,40}?,?\s"
    r"(?:but(?: rather)?|rather|sino|sondern|mais|ma|bensì|mas|maar|\u0430)\s(?=\S)",
    re.IGNORECASE,
)
"""What a number begins with that says first what it is not: "not 18 but" 19."""

_WRONG = (
    r"not\b|n['\u2019]t\b|wrong\b|incorrect\b|false\b|untrue\b|mistaken\b|implausible\b|unlikely\b|irrelevant\b"
    r"|impossible\b|out\b|ruled out\b|eliminated\b|excluded\b|rejected\b|discarded\b|dismissed\b"
    r"|inconsistent\b|invalid\b|too\b"
)
_AUXILIARIES = (
    r"is|are|was|were|be|been|being|would|seems?|looks?|can|could|must|should|might|may|has|have|gets?|will"
    r"|clearly|also|definitely|obviously|simply|both|all|therefore|thus"
)
DENIED_AFTER = re.compile(
    r"[\s)\].\"'*_`$}]{0,4}(?:\([^()\n]{0,60}\) ?)?"
    rf"(?:(?:(?:{_AUXILIARIES})\s?){{1,5}}(?:{_WRONG})"
    r"|can(?:not|['\u2019]t)\b|(?:does|do|did)(?:n['\u2019]t| not)\b|or not\b|wrong\b|incorrect\b|\? no\b"
    r"|fails?\b|contradicts?\b|violates?\b"
    r"|(?:都|均|也|项|項|选项)?(?:不是|不对|不對|错|錯|不正确|不正確|不符|排除|可以?排除|被排除)"
    r"|(?:ist|sind) (?:falsch|nicht)\b|(?:est|sont) (?:fausse?s?|faux|incorrecte?s?)\b|n['\u2019]est pas\b"
    r"|no (?:es|son)\b|(?:es|son) (?:incorrect[ao]s?|fals[ao]s?)\b"
    r"|(?:é|são) (?:incorret[ao]s?|fals[ao]s?|errad[ao]s?)\b"
    r"|(?:è|sono) (?:sbagliat[aoie]|errat[aoie]|fals[aoie])\b|не(?:верно|правильно|верен)\b"
    r"|(?:は|が|も)?(?:間違|誤り|ではな|不正解)|(?:은|는|이|가)? ?(?:아니|아닙|틀|오답)"
    r"|\u2717|\u2718|\u274c)",
    re.IGNORECASE,
)
"""What stands behind an answer and takes it back."""
