"""What "the answer is", "Answer:", "####", "答案" and their like announce.

What is denied ("the wrong answer is"), supposed ("suppose the answer is"), asked ("the answer
is 42?") or taken back is not announced.
"""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.find.extracted import (
    AFTER_INLINE,
    DISPLAYS,
    INLINE_RUN,
    MAX_TEXT_CHARACTERS,
    SENTENCE_END,
    Extraction,
    is_without_prose,
)
from verifiers.math_equivalence.limits import MAX_ANSWER_CHARACTERS

KEYWORDS: Final = ("nswer", "A:", "####", "答案", "故选")
RARE_KEYWORDS: Final = (
    "ption is", "hoice is", "NSWER", "ntwort", "espuesta", "éponse", "твет", "sposta", "答え",
    "정답",
)  # fmt: skip
MAX_INDENT: Final = 8
MAX_HEADING: Final = 32
STATEMENT: Final = re.compile(
    r"(?:nswers?|NSWER|ntwort|éponse|espuesta|sposta|твет|정답)"
    r"(?:\s*\([^()\n]{0,40}\))?"
    r"(?:\s+(?:to|of|for)\s+(?:the|this|that)\s+(?:\w+\s+){0,3}?"
    r"(?:question|problem|task|part|exercise))?"
    r"[\s*_]*"
    r"(?:(?::|：|=)|(?:is|are|would be|should be|will be|must be|ist|est|es|é|è)\b"
    r"(?:\s+(?:that|then|therefore|thus|simply|just|equal to|given by)\b)?[\s*_]*[:：]?"
    r"|\.[*_]{1,3}(?=\s*\\?[$(\[0-9-]))"
    r"|答えは|答案\s*+(?:应该|就)?\s*+(?:是|为|：|:|等于)\s*[:：]?"
    r"|故选\s*[:：]?|####"
    r"|(?:ption|hoice) is[\s*_]*[:：]?(?=[\s*_]*\(?[A-J]\b)"
)
DENIED: Final = re.compile(
    r"(?:\b(?:false|untrue|impossible|unlikely|not (?:true|the case|certain|clear|possible)|"
    r"(?<!no )(?<!not )(?<!without )doubt(?:s|ed|ful)?|"
    r"(?:\w+n['’]t|not|never|cannot|hardly) (?:think|believe|say|claim|know|sure|mean|agree|see)|"
    r"suppose|supposing|assume|assuming|imagine|pretend|if|whether|unless|unsure|"
    r"(?:(?:wrong|incorrect) to|some|they|he|she|users?|students?) (?:say|claim|think)s?|"
    r"(?:\w+) (?:said|claimed|guessed))"
    r"(?: that| if| whether)?(?: (?:the|this|that|my|our|your|its|their|a|\w+['’]s))?"
    r"(?: (?:final|correct|right|true))?"
    r"|\b(?:no|not(?: the| an?)?|wrong|incorrect|false|mistaken|invalid|erroneous|bad|reference|"
    r"expected|student|\w+['’]s)(?: final)?)\s+[AaOoCc]?$",
    re.IGNORECASE,
)
"""What makes of an announcement a supposition, a denial, or someone else's."""
MAX_DENIAL: Final = 64
CLAUSE_MARK: Final = re.compile(r"[\n.!?,;:。，*#]")
OPENED_EMPHASIS: Final = re.compile(r"(?<=\w )\*{1,3}(?=\w?$)")
"""Of "not the *answer:*"."""
USUAL_BEGINNINGS: Final = frozenset(("", " ", "The ", "The final ", " the ", "the ", "Final "))

LETTER_LINE: Final = re.compile(r"[ \t>*]*A:[ \t]*(?=\S)")
PLAIN_NUMBER: Final = re.compile(r"[ \t]*(-?[0-9]+(?:[.,][0-9]+)*)\.?[ \t]*(?:\n|$)")
LEADING_NOISE: Final = re.compile(r"[\s*_:：=>]*(?:(?<=\n)-[ \t]+(?=\S))?")
HEADING: Final = re.compile(
    r"[ \t]*(?:#{1,6}|\*\*|__)[ \t*_]*(?:the )?(?:final )?answers?[ \t*_:：]*\n", re.IGNORECASE
)
"""A line with nothing but "Final Answer", set as a heading."""
MAX_STATEMENTS: Final = 8
OPENING_TAG: Final = "<answer>"
CLOSING_TAG: Final = "</answer>"
MAX_ANNOUNCEMENT: Final = 200
"""Characters from the keyword to the answer."""
EXPLANATION: Final = re.compile(
    r",?\s+(?:because|since|as|which|where|(?<!or )so|by|from|for which)\b.*|,\s*(?:因为|其中).*"
    r"|\s+\((?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"\w+ty)\b[a-z -]*\)$"
    r"|\s+\((?:rounded|correct) to (?:the nearest )?(?:[0-9] )?[a-z ]{3,32}\)$"
    r"|\s*(?:です|である|입니다)$"
)


WITHDRAWN: Final = re.compile(
    r"\b(?:wrong|incorrect|false|(?:not|n['’]t) (?:right|correct|true))\b"
)


def stated(text: str) -> Extraction | None:
    """What the last announcement says; other announced values are contradictions."""
    if found := tagged(text):
        return found
    answers = []
    for start in announcements(text):
        if answer := announced(text, start):
            answers.append(answer)
    if not answers:
        return None
    last = answers[0]
    others = dict.fromkeys(a for a in answers[1:] if a != last and is_formula(a))
    return Extraction(last, "stated", tuple(others))


def tagged(text: str) -> Extraction | None:
    """What the last `<answer>…</answer>` holds or announces; others contradict it."""
    contents: list[str] = []
    end = len(text)
    while len(contents) < MAX_STATEMENTS and (end := text.rfind(CLOSING_TAG, 0, end)) >= 0:
        start = text.rfind(OPENING_TAG, 0, end)
        if start < 0:
            break
        contents.append(text[start + len(OPENING_TAG) : end].strip())
        end = start
    if not contents or not contents[0]:
        return None
    if announcements(contents[0]):
        return stated(contents[0])
    others = dict.fromkeys(content for content in contents[1:] if content != contents[0])
    return Extraction(contents[0], "stated", tuple(others))


def announcements(text: str) -> list[int]:
    """Where announced answers begin, the last first."""
    starts = announced_by(KEYWORDS, text) or announced_by(RARE_KEYWORDS, text)
    return sorted(starts, reverse=True)[:MAX_STATEMENTS] if len(starts) > 1 else starts


def announced_by(keywords: tuple[str, ...], text: str) -> list[int]:
    starts = []
    for keyword in keywords:
        if keyword not in text:
            continue
        end = len(text)
        for _ in range(MAX_STATEMENTS):
            end = text.rfind(keyword, 0, end)
            if end < 0:
                break
            match = statement_at(text, end)
            if match and not is_denied(text, match.start()):
                starts.append(match.end())
    return starts


def is_denied(text: str, position: int) -> bool:
    """Whether the clause before an announcement supposes or denies it."""
    if position == 0 or text[position - 1] == "\n":
        return False
    before = OPENED_EMPHASIS.sub("", text[max(0, position - MAX_DENIAL) : position])
    clause = CLAUSE_MARK.split(before)[-1]
    return clause not in USUAL_BEGINNINGS and DENIED.search(clause) is not None


def statement_at(text: str, position: int) -> re.Match[str] | None:
    """The announcement whose keyword stands at `position`."""
    if text[position] != "A":
        found = STATEMENT.match(text, position, position + MAX_ANNOUNCEMENT)
        return found or heading_at(text, position)
    line_start = text.rfind("\n", 0, position) + 1
    return LETTER_LINE.match(text, line_start) if position - line_start < MAX_INDENT else None


def heading_at(text: str, position: int) -> re.Match[str] | None:
    """A heading with an answer below it, not with an explanation."""
    line_start = text.rfind("\n", 0, position) + 1
    if position - line_start >= MAX_HEADING:
        return None
    match = HEADING.match(text, line_start)
    if match is None:
        return None
    below = text[match.end() : match.end() + MAX_TEXT_CHARACTERS].lstrip().partition("\n")[0]
    return match if is_without_prose(below) else None


def announced(text: str, start: int) -> str:
    """The announced answer from `start` to the end of its formula, sentence or line."""
    if match := PLAIN_NUMBER.match(text, start):
        return match[1]
    if noise := LEADING_NOISE.match(text, start):
        start = noise.end()
    for opening, closing in DISPLAYS:
        if text.startswith(opening, start):
            end = text.find(closing, start + 2)
            return text[start + 2 : end].strip() if end > 0 else ""
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)][: MAX_ANSWER_CHARACTERS + 1]
    if stop := SENTENCE_END.search(line):
        if line[stop.start()] in "?？":
            return ""
        line = line[: stop.start()]
    return without_explanation(line.strip().rstrip("*_ "))


def without_explanation(line: str) -> str:
    """`$5$ because …` is `$5$`; a formula that the sentence goes on after is the formula.

    Nothing, where the explanation takes it back.
    """
    if (explanation := EXPLANATION.search(line)) and WITHDRAWN.search(explanation[0]):
        return ""
    line = EXPLANATION.sub("", line, count=1).strip()
    if (match := INLINE_RUN.match(line)) and not AFTER_INLINE.fullmatch(line, match.end()):
        return match[0]
    return line


def is_formula(text: str) -> bool:
    return text[:1] in "$\\-([{|+" or text[:1].isdigit()
