"""Pairs of answers that are equal by construction, and pairs that almost are.

From the boxed answers of worked solutions, a seeded generator writes each answer in other
ways (`REWRITES`) and makes the mistakes that a model makes (`NEAR_MISSES`). The rewriting
is textual and never consults the verifier, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from verifiers.extract import boxed_contents

Change = Callable[[str, random.Random], str | None]
"""An answer, rewritten; None where this kind does not apply to it."""

INTEGER = re.compile(r"-?[0-9]+")
NATURAL = re.compile(r"[0-9]+")
DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")
FRACTION = re.compile(r"(-?)\\[dt]?frac\{([0-9]+)\}\{([0-9]+)\}")
LITERAL = re.compile(r"(?<![0-9.,_a-zA-Z\\])[0-9]+(?![0-9.,]|\^\{?\\circ)")
PAIR = re.compile(
    r"(\\left\(|\\left\[|\(|\[)([^()\[\],]+),([^()\[\],]+?)(\\right\)|\\right\]|\)|\])"
)
VARIABLE = re.compile(r"(?<![A-Za-z\\])([a-zA-Z])(?![A-Za-z])")
MATRIX = re.compile(r"\\begin\{[pb]matrix\}")
WORDS = re.compile(r"\\text\{ ?([A-Za-z]{3,})\}")
GROUPED = re.compile(r"[0-9]\{?,\}?(?:\\!)?[0-9]{3}(?![0-9])")
SCALAR = re.compile(r"[^,<>=:]*")


UNICODE = {
    "\\pi": "π", "\\infty": "∞", "\\cup": "∪", "^\\circ": "°", "\\cdot": "·", "-": "−",
    "\\theta": "θ", "\\pm": "±",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    kind: str
    reference: str
    completion: str
    correct: bool


# --- the same answer, written otherwise -------------------------------------------------


def is_scalar(answer: str) -> bool:
    """An expression without structure, unit or text: arithmetic on it means what it says."""
    plain = SCALAR.fullmatch(answer) and "\\text" not in answer and "matrix" not in answer
    marks = ("%", "\\circ", "\\pm", "\\cup", "\\in", "_", "\\$", "\\mbox", "\\ ", "[", "^\\circ")
    return bool(plain) and not any(mark in answer for mark in marks)


def is_number(answer: str) -> bool:
    return bool(
        INTEGER.fullmatch(answer) or DECIMAL.fullmatch(answer) or FRACTION.fullmatch(answer)
    )


def verbatim(answer: str, rng: random.Random) -> str | None:
    return answer


def display_fractions(answer: str, rng: random.Random) -> str | None:
    if "\\frac" not in answer:
        return None
    return answer.replace("\\frac", rng.choice(["\\dfrac", "\\tfrac"]))


def plain_fraction(answer: str, rng: random.Random) -> str | None:
    match = FRACTION.fullmatch(answer)
    return match and f"{match[1]}{match[2]}/{match[3]}"


def scaled_fraction(answer: str, rng: random.Random) -> str | None:
    match = FRACTION.fullmatch(answer)
    if match is None:
        return None
    factor = rng.randint(2, 12)
    return f"{match[1]}\\frac{{{int(match[2]) * factor}}}{{{int(match[3]) * factor}}}"


def mixed_number(answer: str, rng: random.Random) -> str | None:
    match = FRACTION.fullmatch(answer)
    if match is None or int(match[2]) < int(match[3]) or int(match[2]) % int(match[3]) == 0:
        return None
    whole, rest = divmod(int(match[2]), int(match[3]))
    form = rng.choice(["{}\\frac{{{}}}{{{}}}", "{} {}/{}"])
    return match[1] + form.format(whole, rest, match[3])


def decimal_of_fraction(answer: str, rng: random.Random) -> str | None:
    match = FRACTION.fullmatch(answer)
    if match is None:
        return None
    value = Fraction(int(match[2]), int(match[3]))
    for digits in range(1, 7):
        if 10**digits % value.denominator == 0:
            return f"{match[1]}{float(value):.{digits}f}"
    return None


def fraction_of_decimal(answer: str, rng: random.Random) -> str | None:
    if not DECIMAL.fullmatch(answer):
        return None
    value = Fraction(answer)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def trailing_period(answer: str, rng: random.Random) -> str | None:
    return answer + "."


def trailing_zeros(answer: str, rng: random.Random) -> str | None:
    if INTEGER.fullmatch(answer):
        return answer + rng.choice([".0", ".00"])
    return answer + "0" if DECIMAL.fullmatch(answer) else None


def thousands(answer: str, rng: random.Random) -> str | None:
    if not INTEGER.fullmatch(answer) or len(answer.lstrip("-")) < 4:
        return None
    return f"{int(answer):,}".replace(",", rng.choice([",", "{,}", "\\,", ",\\!"]))


def scientific(answer: str, rng: random.Random) -> str | None:
    if not INTEGER.fullmatch(answer) or int(answer) == 0:
        return None
    digits = answer.lstrip("-0")
    power = len(digits) - 1
    mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
    sign = "-" if answer.startswith("-") else ""
    form = rng.choice(["{}\\times10^{{{}}}", "{} \\cdot 10^{{{}}}", "{}e{}"])
    return sign + form.format(mantissa, power)


def sum_of_parts(answer: str, rng: random.Random) -> str | None:
    if not NATURAL.fullmatch(answer) or int(answer) < 2:
        return None
    part = rng.randint(1, int(answer) - 1)
    return f"{part}+{int(answer) - part}"


def product_with_one(answer: str, rng: random.Random) -> str | None:
    if not is_scalar(answer):
        return None
    return rng.choice(["1\\cdot({})", "({})\\cdot 1", "\\frac{{{}}}{{1}}"]).format(answer)


def plus_zero(answer: str, rng: random.Random) -> str | None:
    if not is_scalar(answer):
        return None
    return rng.choice(["({})+0", "0+({})", "-(-({}))"]).format(answer)


def doubled_and_halved(answer: str, rng: random.Random) -> str | None:
    if not is_scalar(answer):
        return None
    factor = rng.randint(2, 9)
    return f"\\frac{{{factor}\\left({answer}\\right)}}{{{factor}}}"


def spaces(answer: str, rng: random.Random) -> str | None:
    if not any(sign in answer for sign in "+=,") or "\\text" in answer or "\\!" in answer:
        return None
    if GROUPED.search(answer):
        return None
    space = rng.choice([" ", "\\ ", "\\;"])
    return re.sub(r"([+=,])", lambda sign: f"{space}{sign[1]}{space}", answer)


def sized_brackets(answer: str, rng: random.Random) -> str | None:
    if "(" not in answer or ")" not in answer or "\\left" in answer or "\\big" in answer.lower():
        return None
    if answer.count("(") != answer.count(")"):
        return None
    return answer.replace("(", "\\left(").replace(")", "\\right)")


def unicode_symbols(answer: str, rng: random.Random) -> str | None:
    changed = answer
    for command, symbol in UNICODE.items():
        changed = re.sub(re.escape(command) + r"(?![A-Za-z])", symbol, changed)
    changed = re.sub(r"\\sqrt\{([0-9]+)\}", r"√\1", changed)
    return changed if changed != answer else None


def root_as_power(answer: str, rng: random.Random) -> str | None:
    changed = re.sub(r"\\sqrt\{([0-9]+)\}", r"{\1}^{\\frac{1}{2}}", answer)
    return changed if changed != answer and is_scalar(answer) else None


def root_over_square(answer: str, rng: random.Random) -> str | None:
    changed = re.sub(r"\\sqrt\{([0-9]+)\}", r"\\frac{\1}{\\sqrt{\1}}", answer)
    return changed if changed != answer and "\\frac{0}" not in changed else None


def named_value(answer: str, rng: random.Random) -> str | None:
    if not is_number(answer):
        return None
    return f"{rng.choice(['x', 'n', 'N', 'A', 'f(2)', 'a_5'])} = {answer}"


def other_matrix(answer: str, rng: random.Random) -> str | None:
    if not MATRIX.search(answer):
        return None
    old, new = ("pmatrix", "bmatrix") if "pmatrix" in answer else ("bmatrix", "pmatrix")
    return answer.replace(old, new)


def reordered_list(answer: str, rng: random.Random) -> str | None:
    if any(sign in answer for sign in "([{<=|") or GROUPED.search(answer):
        return None
    items = answer.split(",")
    return ", ".join(reversed([item.strip() for item in items])) if len(items) > 1 else None


def plain_text(answer: str, rng: random.Random) -> str | None:
    match = WORDS.fullmatch(answer)
    return match and rng.choice([match[1], match[1].lower(), f"\\textbf{{{match[1]}}}"])


def swapped_sum(answer: str, rng: random.Random) -> str | None:
    match = re.fullmatch(r"([A-Za-z0-9\\{}^]+)\+([A-Za-z0-9\\{}^]+)", answer)
    if match is None or match[1].count("{") != match[1].count("}"):
        return None
    return f"{match[2]}+{match[1]}"


REWRITES: dict[str, Change] = {
    "verbatim": verbatim,
    "display fractions": display_fractions,
    "plain fraction": plain_fraction,
    "scaled fraction": scaled_fraction,
    "mixed number": mixed_number,
    "decimal of fraction": decimal_of_fraction,
    "fraction of decimal": fraction_of_decimal,
    "trailing period": trailing_period,
    "trailing zeros": trailing_zeros,
    "thousands": thousands,
    "scientific": scientific,
    "sum of parts": sum_of_parts,
    "product with one": product_with_one,
    "plus zero": plus_zero,
    "doubled and halved": doubled_and_halved,
    "spaces": spaces,
    "sized brackets": sized_brackets,
    "unicode": unicode_symbols,
    "root as power": root_as_power,
    "root over square": root_over_square,
    "named value": named_value,
    "other matrix": other_matrix,
    "reordered list": reordered_list,
    "plain text": plain_text,
    "swapped sum": swapped_sum,
}


# --- almost the same answer -------------------------------------------------------------


def off_by_one(answer: str, rng: random.Random) -> str | None:
    return str(int(answer) + rng.choice([-1, 1])) if INTEGER.fullmatch(answer) else None


def wrong_sign(answer: str, rng: random.Random) -> str | None:
    if not is_number(answer) or not re.search("[1-9]", answer):
        return None
    return answer[1:] if answer.startswith("-") else "-" + answer


def swapped_digits(answer: str, rng: random.Random) -> str | None:
    places = [i for i in range(len(answer) - 1) if answer[i] != answer[i + 1]]
    if not INTEGER.fullmatch(answer.lstrip("-")) or answer.startswith("-") or not places:
        return None
    at = rng.choice(places)
    return answer[:at] + answer[at + 1] + answer[at] + answer[at + 2 :]


def moved_point(answer: str, rng: random.Random) -> str | None:
    if INTEGER.fullmatch(answer) and int(answer):
        return answer + "0"
    return answer.replace(".", "", 1) + ".0" if DECIMAL.fullmatch(answer) else None


def missing_digit(answer: str, rng: random.Random) -> str | None:
    if not NATURAL.fullmatch(answer) or len(answer) < 2 or answer.startswith("0"):
        return None
    return answer[:-1] if rng.random() < 0.5 else answer[0] + answer


def upside_down(answer: str, rng: random.Random) -> str | None:
    match = FRACTION.fullmatch(answer)
    if match is None or match[2] == match[3] or int(match[2]) == 0:
        return None
    return f"{match[1]}\\frac{{{match[3]}}}{{{match[2]}}}"


def changed_literal(answer: str, rng: random.Random) -> str | None:
    """One number in an expression, one too large."""
    if is_number(answer) or re.search(r"(?<![0-9])[01](?![0-9])", answer):
        return None
    places = list(LITERAL.finditer(answer))
    if not places or "_" in answer or "\\cos" in answer or "\\sin" in answer:
        return None
    place = rng.choice(places)
    return answer[: place.start()] + str(int(place[0]) + 1) + answer[place.end() :]


def rounded_fraction(answer: str, rng: random.Random) -> str | None:
    """An exact value was due."""
    match = FRACTION.fullmatch(answer)
    if match is None:
        return None
    value = Fraction(int(match[2]), int(match[3]))
    rounded = f"{float(value):.{rng.choice([1, 2, 3])}f}"
    return None if Fraction(rounded) == value else match[1] + rounded


def other_decimal(answer: str, rng: random.Random) -> str | None:
    if not DECIMAL.fullmatch(answer):
        return None
    return (
        answer + str(rng.randint(1, 9))
        if rng.random() < 0.5
        else answer[:-1] + str((int(answer[-1]) + 1) % 10)
    )


def missing_member(answer: str, rng: random.Random) -> str | None:
    if any(sign in answer for sign in "([{<=|") or GROUPED.search(answer):
        return None
    items = answer.split(",")
    return ",".join(items[:-1]) if len(items) > 1 else None


def additional_member(answer: str, rng: random.Random) -> str | None:
    return f"{answer}, {rng.randint(1000, 9999)}" if is_number(answer) else None


def two_answers(answer: str, rng: random.Random) -> str | None:
    if not is_number(answer):
        return None
    return rng.choice(["{} \\text{{ or }} 99999", "99999 \\text{{ or }} {}"]).format(answer)


def swapped_coordinates(answer: str, rng: random.Random) -> str | None:
    match = PAIR.fullmatch(answer)
    if match is None or "infty" in answer:
        return None
    if match[2].replace("\\right", "").strip() == match[3].replace("\\right", "").strip():
        return None
    return f"{match[1]}{match[3]},{match[2]}{match[4]}"


def other_brackets(answer: str, rng: random.Random) -> str | None:
    match = PAIR.fullmatch(answer)
    if match is None or ("infty" not in answer and "[" not in answer):
        return None
    closing = {")": "]", "]": ")", "\\right)": "\\right]", "\\right]": "\\right)"}[match[4]]
    return f"{match[1]}{match[2]},{match[3]}{closing}"


def other_variable(answer: str, rng: random.Random) -> str | None:
    names = set(VARIABLE.findall(re.sub(r"\\text\{[^}]*\}", "", answer))) - {"e", "i"}
    if not names or "\\text" in answer or "matrix" in answer or "=" in answer:
        return None
    old = rng.choice(sorted(names))
    return re.sub(rf"(?<![A-Za-z\\]){old}(?![A-Za-z])", "w" if old != "w" else "v", answer)


def without_factor(answer: str, rng: random.Random) -> str | None:
    for factor in ("\\pi", "i"):
        changed = re.sub(re.escape(factor) + r"(?![A-Za-z])", "", answer)
        if changed != answer and re.fullmatch(r"-?[0-9]+(\\frac)?", changed.strip()):
            return changed
    return None


def other_word(answer: str, rng: random.Random) -> str | None:
    match = WORDS.fullmatch(answer)
    return match and f"\\text{{{match[1][:-1]}}}"


NEAR_MISSES: dict[str, Change] = {
    "off by one": off_by_one,
    "wrong sign": wrong_sign,
    "swapped digits": swapped_digits,
    "moved point": moved_point,
    "missing or doubled digit": missing_digit,
    "upside down": upside_down,
    "changed literal": changed_literal,
    "rounded fraction": rounded_fraction,
    "other decimal": other_decimal,
    "missing member": missing_member,
    "additional member": additional_member,
    "two answers": two_answers,
    "swapped coordinates": swapped_coordinates,
    "other brackets": other_brackets,
    "other variable": other_variable,
    "without factor": without_factor,
    "other word": other_word,
}


# --- pairs ------------------------------------------------------------------------------


def answers(path: Path) -> list[str]:
    """The boxed answers of a file of worked solutions, one JSON object a line."""
    found = []
    with path.open() as lines:
        for line in lines:
            if boxes := boxed_contents(json.loads(line)["solution"]):
                found.append(boxes[-1].strip())
    return found


def framed(answer: str, rng: random.Random) -> str:
    """A completion that gives `answer`, as models end theirs."""
    frame = rng.choice(FRAMES)
    return frame.replace("ANSWER", answer)


FRAMES = (
    "\\boxed{ANSWER}",
    "We simplify and obtain $\\boxed{ANSWER}$.",
    "Therefore the final answer is $\\boxed{ANSWER}$. I hope it is correct.",
    "<think>Perhaps $\\boxed{0.123}$? No.</think>\nThe answer is $\\boxed{ANSWER}$",
    "First $a=3$, then $b=4$.\n\\[\\boxed{ANSWER}\\]",
)


def pairs(golds: list[str], seed: int = 0) -> Iterator[Pair]:
    """Every kind of change that applies to each answer, in a fixed order for a seed."""
    rng = random.Random(seed)
    for gold in golds:
        for changes, correct in ((REWRITES, True), (NEAR_MISSES, False)):
            for kind, change in changes.items():
                answer = change(gold, rng)
                if answer is not None and (correct or answer != gold):
                    yield Pair(kind, gold, framed(answer, rng), correct)
    yield from crossed(golds, rng)


def crossed(golds: list[str], rng: random.Random) -> Iterator[Pair]:
    """Each answer against the plain number of another problem."""
    numbers = sorted({gold for gold in golds if INTEGER.fullmatch(gold)}, key=int)
    for gold in golds:
        other = rng.choice(numbers)
        if INTEGER.fullmatch(gold) and int(gold) != int(other):
            yield Pair("another problem's", gold, framed(other, rng), False)
