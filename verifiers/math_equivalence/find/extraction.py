r"""Finds the final answer in a completion. Pure, linear-time, and never raises.

Rules, strongest first; the first that finds something decides:

    boxed     the last balanced \boxed{…} or \fbox{…}, or \boxed followed by one token
    stated    what follows the last "answer is", "Answer:", "####", "答案是" …, stands
              below a heading "Final Answer" or in the last <answer>…</answer>
    whole     the completion, where it is an answer and nothing else
    display   the last displayed formula, where nothing but punctuation follows
    emphasis  the last line, where it is a formula or number in bold and nothing else
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

from verifiers import reasoning
from verifiers.math_equivalence.find.boxes import boxed
from verifiers.math_equivalence.find.conclusions import (
    chosen,
    concluding_number,
    displayed,
    emphasised,
    inline,
    last_number,
    only_display,
    short_text,
    summary,
    whole,
)
from verifiers.math_equivalence.find.extracted import Extraction
from verifiers.math_equivalence.find.statements import stated
from verifiers.math_equivalence.limits import MAX_FINAL_CHARACTERS
from verifiers.math_equivalence.policy import AnswerFrom
from verifiers.reasoning import is_open_after
from verifiers.sample import Sample


def final_part(sample: Sample, tags: tuple[str, ...]) -> str | None:
    """What follows the reasoning, its end where it is long; None where reasoning is open."""
    final = reasoning.final_part(sample.text, opened=is_open_after(sample.prompt), tags=tags)
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
            or emphasised(final)
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
