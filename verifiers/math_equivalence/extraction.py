r"""Finds the final answer in a completion. Pure, linear-time, and never raises.

Rules, strongest first; the first that finds something decides:

    boxed     the last balanced \boxed{…} or \fbox{…}, or \boxed followed by one token
    stated    what follows the last "answer is", "Answer:", "####", "答案是" …, stands
              below a heading "Final Answer" or in the last <answer>…</answer>
    whole     the completion, where it is an answer and nothing else
    display   the last displayed formula, where nothing but punctuation follows
    inline    the last $…$, where it ends a concluding sentence
    number    the last number, where the last sentence concludes with it, or the number of
              a completion that is one sentence: "There are 42 ways."
    text      a short completion of one line, as it is

A reference that is merely mentioned is not an answer: `auto` takes formulas and numbers
only from the last sentence, and only where that sentence concludes. What is denied ("the wrong
answer is"), supposed ("suppose the answer is"), asked ("the answer is 42?") or taken back
is not announced. Boxes or statements that differ from the last one are returned as
`others`, for the scorer to reject: whoever corrects an announced answer puts the last one
into a box. Boxes are not held against statements.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from verifiers.extract import closing_brace, strip_reasoning
from verifiers.math_equivalence.limits import MAX_ANSWER_CHARACTERS, MAX_FINAL_CHARACTERS
from verifiers.math_equivalence.policy import AnswerFrom

BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)\s*")
BOX_TOKEN: Final = re.compile(r"\\[A-Za-z]+|-?[0-9]+(?:\.[0-9]+)?|[A-Za-z0-9]")
BETWEEN_BOXES: Final = re.compile(
    r"(?:[\s$,;.*&、，]|\\[,;()\[\] ]|\\(?:text|quad|qquad|mathrm)\b|[{}]|and\b|or\b|和|或)*",
    re.IGNORECASE,
)
MAX_BOX_DEPTH: Final = 4
MAX_BETWEEN_BOXES: Final = 48

KEYWORDS: Final = ("nswer", "A:", "####", "答案", "故选")
RARE_KEYWORDS: Final = ("ption is", "hoice is", "NSWER", "ntwort", "espuesta", "éponse", "твет")
MAX_INDENT: Final = 8
MAX_HEADING: Final = 32
STATEMENT: Final = re.compile(
    r"(?:nswers?|NSWER|ntwort|éponse|espuesta|твет)"
    r"(?:\s*\([^()\n]{0,40}\))?"
    r"(?:\s+(?:to|of|for)\s+(?:the|this|that)\s+(?:\w+\s+){0,3}?"
    r"(?:question|problem|task|part|exercise))?"
    r"[\s*_]*"
    r"(?:(?::|：|=)|(?:is|are|would be|should be|will be|must be|ist|est|es)\b"
    r"(?:\s+(?:that|then|therefore|thus|simply|just|equal to|given by)\b)?[\s*_]*[:：]?)"
    r"|答案\s*+(?:应该|就)?\s*+(?:是|为|：|:|等于)\s*[:：]?"
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
USUAL_BEGINNINGS: Final = frozenset(("", " ", "The ", "The final ", " the ", "the ", "Final "))

LETTER_LINE: Final = re.compile(r"[ \t>*]*A:[ \t]*(?=\S)")
PLAIN_NUMBER: Final = re.compile(r"[ \t]*(-?[0-9]+(?:[.,][0-9]+)*)\.?[ \t]*(?:\n|$)")
SENTENCE_END: Final = re.compile(r"[.!?](?=\s+[A-Z\"'(\\$*]|\s*$)|。|(?<=[\w$})])[!?](?=\s)")
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

DISPLAYS: Final = (("$$", "$$"), ("\\[", "\\]"))
DISPLAY_ENVIRONMENT: Final = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|gather|displaymath)\*?\}"
)
INLINE_RUN: Final = re.compile(
    r"(?:\$[^$\n]{1,400}\$|\\\((?:(?!\\[()]).){1,400}\\\))"
    r"(?:\s*(?:,|,?\s*and|,?\s*or)\s*(?:\$[^$\n]{1,400}\$|\\\((?:(?!\\[()]).){1,400}\\\)))*"
)
AFTER_INLINE: Final = re.compile(
    r"\s*(?:\\?%|[A-Za-z°]{1,12}(?:\s+[A-Za-z]{1,12}){0,2})?[\s.!*。]*"
)
CONCLUSION: Final = re.compile(
    r"\b(?:so|thus|hence|therefore|consequently|total|in all|altogether|finally|conclude|"
    r"conclusion|result|we (?:get|have|find|obtain)|equals?|is|are|was|makes?|has|have|gives)\b|="
    r"|因此|所以|故|综上|∴|\\therefore",
    re.IGNORECASE,
)
CONCLUDING_OPENING: Final = re.compile(
    r"\s*(?:so|thus|hence|therefore|consequently|in total|finally|in conclusion|altogether)\b"
    r"|\s*(?:因此|所以|故|综上|∴|\$?\\therefore)",
    re.IGNORECASE,
)
NUMBER: Final = re.compile(
    r"-?\\?\$?(?<![A-Za-z0-9_.])-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?%?"
)
AFTER_NUMBER: Final = re.compile(r"(?:\s+[A-Za-z°]{1,14}){0,3}[\s.!*>$]*")
LATEX_WORD: Final = re.compile(r"\\[A-Za-z]+|\\text\{[^{}]*\}")
PROSE_WORD: Final = re.compile(r"[A-Za-z]{2,}")
NOT_PROSE: Final = frozenset(
    "and or sqrt sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim pi "
    "max min gcd lcm mod frac infty inf infinity cm mm km kg ft mi in hr min sec dollars cents "
    "degrees percent units square cubic cup cap text le ge ne pm xy yz xz ab bc ac abc xyz dx "
    "dy".split()
)
CHOSEN_ENDINGS: Final = ("correct", "right", "correct answer", "correct option", "correct choice")
CHOSEN: Final = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?\**(?:(?:answer|option|choice) )?\(?([A-J])\)?\** is "
    r"(?:the )?(?:correct|right)(?: (?:answer|option|choice))?[.!*]*",
    re.IGNORECASE,
)
SUMMARY: Final = re.compile(
    r"(?:(?:the|its|his|her|their)\b[^.?!,;:0-9]{1,80}? (?:is|are|equals|was)"
    r"|there (?:are|is)|it is)"
    r" (-?\$?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?%?)(?: [A-Za-z]{2,14}){0,3}[.!]?",
    re.IGNORECASE,
)
DOUBT: Final = re.compile(
    r"\b(?:not|no|never|n['’]t|wrong|incorrect|false|doubt|if|suppose|maybe|perhaps|or|and|reference|"
    r"expected|more|less|than|about|between|least|most|million|billion|thousand|hundred|dozen|"
    r"times|half|percent|mod|base|point|minus|plus|over|wait|but|except|least|guess|"
    r"said|claimed|told|guessed|users?|students?)\b|n['’]t\b",
    re.IGNORECASE,
)
"""Words beside a number that change it, or leave it open whether it is meant."""
MAX_WHOLE_CHARACTERS: Final = 600
MAX_PROSE_WORDS: Final = 2
MAX_TEXT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer, the rule that found it, and what contradicts it."""

    text: str
    rule: str
    others: tuple[str, ...] = ()


def final_part(completion: str, reasoning_tags: Sequence[str]) -> str | None:
    """What follows the reasoning, its end where it is long; None where reasoning is open."""
    final: str | None = completion
    for tag in reasoning_tags:
        if final is not None:
            final = strip_reasoning(final, tag)
    return None if final is None else final[-MAX_FINAL_CHARACTERS:]


def extract(final: str, answer_from: AnswerFrom = "auto") -> Extraction | None:
    """The answer in `final`, what follows the reasoning."""
    if answer_from == "auto":
        return (
            boxed(final)
            or stated(final)
            or (only_display(final) and displayed(final, concluding=True))
            or chosen(final)
            or whole(final)
            or displayed(final, concluding=True)
            or inline(final)
            or concluding_number(final)
            or summary(final)
            or short_text(final)
        )
    if answer_from == "boxed":
        return boxed(final)
    if answer_from == "stated":
        return stated(final)
    if answer_from == "display":
        return displayed(final, concluding=False)
    if answer_from == "number":
        return last_number(final)
    return Extraction(final.strip(), "completion") if final.strip() else None


# --- boxes ------------------------------------------------------------------------------


def boxed(text: str) -> Extraction | None:
    """The last box. Boxes with nothing but commas and "and" between them are one list."""
    if "\\" not in text:
        return None
    boxes = box_spans(text)
    if not boxes:
        return None
    if not boxes[-1][2]:
        return Extraction("", "boxed")
    last = len(boxes) - 1
    first = last
    while first > 0 and only_separates(text[boxes[first - 1][1] : boxes[first][0]]):
        first -= 1
    members = list(dict.fromkeys(box[2] for box in boxes[first:]))
    others = dict.fromkeys(box[2] for box in boxes[:first] if box[2] and box[2] not in members)
    return Extraction(", ".join(members), "boxed", tuple(others))


def box_spans(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every outermost box. A box left open ends the scan."""
    spans = []
    position = 0
    while match := BOX.search(text, position):
        start = match.end()
        if text.startswith("{", start):
            end = closing_brace(text, start + 1)
            if end is None:
                break
            content, position = text[start + 1 : end], end + 1
        elif token := BOX_TOKEN.match(text, start):
            content, position = token[0], token.end()
        else:
            position = start
            continue
        spans.append((match.start(), position, unboxed(content.strip())))
    return spans


def unboxed(content: str) -> str:
    """The innermost content where all of a box is another box."""
    for _ in range(MAX_BOX_DEPTH):
        match = BOX.match(content)
        if match is None or not content.startswith("{", match.end()):
            break
        if closing_brace(content, match.end() + 1) != len(content) - 1:
            break
        content = content[match.end() + 1 : -1].strip()
    return content


def only_separates(between: str) -> bool:
    return len(between) <= MAX_BETWEEN_BOXES and BETWEEN_BOXES.fullmatch(between) is not None


# --- statements -------------------------------------------------------------------------


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
    clause = CLAUSE_MARK.split(text[max(0, position - MAX_DENIAL) : position])[-1]
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


EXPLANATION: Final = re.compile(
    r",?\s+(?:because|since|as|which|where|(?<!or )so|by|from|for which)\b.*|,\s*(?:因为|其中).*"
    r"|\s+\((?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"\w+ty)\b[a-z -]*\)$"
)


WITHDRAWN: Final = re.compile(
    r"\b(?:wrong|incorrect|false|(?:not|n['’]t) (?:right|correct|true))\b"
)


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


# --- the whole completion ---------------------------------------------------------------


def whole(text: str) -> Extraction | None:
    """All of a completion that is an answer without prose around it."""
    text = text.strip()
    if not text or len(text) > MAX_WHOLE_CHARACTERS or "\n\n" in text:
        return None
    if text[0] in "因所故综∴" and CONCLUDING_OPENING.match(text):
        return None
    if not is_without_prose(text):
        return None
    return Extraction(text if "\\begin" in text else ", ".join(text.splitlines()), "whole")


def is_without_prose(text: str) -> bool:
    words = PROSE_WORD.findall(LATEX_WORD.sub(" ", text))
    return sum(word.lower() not in NOT_PROSE for word in words) <= MAX_PROSE_WORDS


def short_text(text: str) -> Extraction | None:
    text = text.strip()
    if not text or "\n" in text or len(text) > MAX_TEXT_CHARACTERS:
        return None
    return Extraction(text, "text")


def chosen(text: str) -> Extraction | None:
    """The letter of a last sentence such as "Option C is correct."."""
    if not (text.rstrip().rstrip("*.!").endswith(CHOSEN_ENDINGS)):
        return None
    match = CHOSEN.fullmatch(last_sentence(text))
    return Extraction(match[1], "stated") if match else None


def summary(text: str) -> Extraction | None:
    """The number of a completion that is one sentence such as "There are 42 ways."."""
    text = text.strip()
    if len(text) > MAX_TEXT_CHARACTERS or "\n" in text:
        return None
    match = SUMMARY.fullmatch(text)
    if match is None or DOUBT.search(text):
        return None
    return Extraction(match[1], "number")


# --- formulas and numbers ---------------------------------------------------------------


def only_display(text: str) -> bool:
    return text.count("\\[") + text.count("$$") // 2 == 1


def displayed(text: str, *, concluding: bool) -> Extraction | None:
    """The last `$$…$$` or `\\[…\\]`; in a conclusion, with nothing after it."""
    best = (-1, -1)
    for opening, closing in DISPLAYS:
        end = text.rfind(closing)
        start = text.rfind(opening, 0, end) if end > 0 else -1
        if start >= 0:
            best = max(best, (start, end))
    start, end = best
    if start < 0 or (concluding and text[end + 2 :].strip(" \n\t.*")):
        return None
    content = DISPLAY_ENVIRONMENT.sub("", text[start + 2 : end]).strip()
    return Extraction(content, "display") if content else None


def last_sentence(text: str) -> str:
    line = text.rstrip().rpartition("\n")[2][-MAX_ANSWER_CHARACTERS:].strip()
    start = 0
    for stop in SENTENCE_END.finditer(line):
        if line[stop.end() :].strip():
            start = stop.end()
    return line[start:].strip()


def inline(text: str) -> Extraction | None:
    """The formula that ends the last sentence, where that sentence concludes."""
    sentence = last_sentence(text)
    if "$" not in sentence and "\\(" not in sentence:
        return None
    last = None
    for match in INLINE_RUN.finditer(sentence):
        last = match
    if last is None or not AFTER_INLINE.fullmatch(sentence, last.end()):
        return None
    before = sentence[: last.start()]
    if before and not CONCLUSION.search(before):
        return None
    return Extraction(last[0], "inline")


def concluding_number(text: str) -> Extraction | None:
    """The last number of a sentence that opens with "so", "thus", or ends with it after "="."""
    sentence = last_sentence(text)
    found = None
    for match in NUMBER.finditer(sentence):
        found = match
    if found is None:
        return None
    opened = CONCLUDING_OPENING.match(sentence) is not None
    equated = sentence[: found.start()].rstrip(" $").endswith(("=", ">>"))
    ends = AFTER_NUMBER.fullmatch(sentence, found.end()) is not None
    if not (opened or (equated and ends)):
        return None
    return Extraction(found[0], "number")


def last_number(text: str) -> Extraction | None:
    found = None
    for match in NUMBER.finditer(text):
        found = match
    return Extraction(found[0], "number") if found else None
