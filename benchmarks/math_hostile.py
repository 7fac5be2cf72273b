"""Completions written to hang, exhaust or crash a math verifier. All are graded against 42."""

from __future__ import annotations

REFERENCE = "42"


def nested(opening: str, inner: str, closing: str, depth: int) -> str:
    return opening * depth + inner + closing * depth


EXPRESSIONS: dict[str, str] = {
    "power tower": "9^{9^{9}}",
    "power tower in Python": "9**9**9",
    "tall power tower": "9^{9^{9^{9^{9}}}}",
    "power of a power of ten": "10^{10^{10}}",
    "remainder of a tower": "9^{9^{9}} \\bmod 7",
    "difference of towers": "9^{9^9} - 9^{9^9} + 42",
    "factorial of ten million": "(10^7)!",
    "iterated factorial": "((100!)!)!",
    "row of factorials": "9" + "!" * 200,
    "binomial coefficient": "\\binom{100000000}{50000000}",
    "long sum": "\\sum_{k=1}^{1000000000} k^2",
    "nested sums": "\\sum_{a=1}^{500}\\sum_{b=1}^{500}\\sum_{c=1}^{500} a^b",
    "long product": "\\prod_{k=1}^{1000000} k",
    "infinite sum": "\\sum_{n=1}^{\\infty} \\frac{\\sin(n!)}{n^n}",
    "integral of x^x": "\\int_0^1 x^{x}\\,dx",
    "integral of a tower": "\\int_0^1 e^{e^{e^{x}}}\\,dx",
    "integral of a rational": "\\int_0^1 \\frac{x^{40}+3x^7+1}{x^{41}+x^{13}+7x^2+1}\\,dx",
    "integral of roots": "\\int_0^1 \\sqrt{1+\\sqrt{x+\\sin(x)}} \\,dx",
    "hard limit": "\\lim_{x\\to 0} \\frac{\\sin(\\tan(x))-\\tan(\\sin(x))}"
    "{\\arcsin(\\arctan(x))-\\arctan(\\arcsin(x))}",
    "logarithm of a tower": "\\log(10^{10^{10}})",
    "gamma": "\\Gamma(100000000)",
    "greatest common divisor": "\\gcd(2^{1000000}-1, 2^{999999}-1)",
    "large power of a sum": "(a+b+c+d+e)^{40}",
    "huge power of a sum": "(a+b+c+d+e)^{1000000}",
    "sine of a giant": "\\sin(10^{10^{6}})",
    "root of a giant degree": "\\sqrt[10^{9}]{2}",
    "power near one": "(1.0000001)^{10^{12}}",
    "union of intervals": "\\cup".join(f"({2 * i},{2 * i + 1})" for i in range(150)),
    "deep fractions": nested("\\frac{1}{1+", "x", "}", 150),
    "deep roots": nested("\\sqrt{", "2", "}", 280),
    "deep parentheses": nested("(", "1", ")", 900),
    "deep braces": nested("{", "1", "}", 900),
    "deep absolute values": nested("|", "x", "|", 900),
    "deep exponents": "2" + "^{2" * 600 + "}" * 600,
    "many signs": "-" * 1_900 + "42",
    "many plus-minus": "\\pm 1" * 350,
    "sum of many terms": "+".join(["x"] * 990),
    "product of many sines": "\\sin x" * 300,
    "row of digits": "7" * 1_990,
    "long decimal": "0." + "3" * 1_980,
    "large matrix": "\\begin{pmatrix}" + "\\\\".join(["1&2&3&4&5&6&7&8"] * 100) + "\\end{pmatrix}",
    "large set": "\\{" + ",".join(map(str, range(500))) + "\\}",
    "many members": ",".join(["\\sqrt{2}"] * 240),
    "many scripts": "x" + "_{1}" * 450,
}
"""Boxed, and within the length of an answer, so that they reach the parser and beyond."""

TEXTS: dict[str, str] = {
    "five hundred deep fractions": "\\boxed{" + nested("\\frac{1}{1+", "x", "}", 500) + "}",
    "two thousand parentheses": "\\boxed{" + nested("(", "1", ")", 2_000) + "}",
    "five thousand braces": "\\boxed{" + nested("{", "1", "}", 5_000) + "}",
    "five thousand terms": "\\boxed{" + "+".join(["1"] * 5_000) + "}",
    "three hundred intervals": "\\boxed{" + "\\cup".join(["(1,2)"] * 300) + "}",
    "200,000 digits": "\\boxed{" + "7" * 200_000 + "}",
    "20,000 display openings": "\\[" * 20_000,
    "20,000 inline openings": "\\(" * 20_000,
    "20,000 dollars": "$" * 20_001,
    "50,000 ones": "1 " * 50_000,
    "3,000 boxes": "".join(f"\\boxed{{{i}}} " for i in range(3_000)),
    "20,000 open boxes": "\\boxed{" * 20_000,
    "10,000 boxes inside boxes": nested("\\boxed{", "42", "}", 10_000),
    "open think tags": "<think>" * 20_000 + "\\boxed{42}",
    "closed think tags": "</think>" * 20_000 + "\\boxed{41}",
    "10,000 announcements": "The answer is " * 10_000,
    "announcements of nothing": "Answer: \n" * 10_000,
    "spaces after an announcement": "The answer is" + " " * 60_000 + ".",
    "a period and spaces": "So it is 42" + ". " * 30_000 + "x",
    "a megabyte of prose": "The quick brown fox jumps over the lazy dog. " * 23_000,
    "backslashes": "\\" * 100_000,
    "open fractions": "\\boxed{" + "\\frac{" * 300 + "}",
    "open texts": "\\boxed{" + "\\text{" * 300 + "}",
    "commas": "\\boxed{" + "," * 1_900 + "}",
    "combining marks": "\\boxed{4" + "\u0301" * 1_900 + "2}",
    "bare digits": "7" * 100_000,
}
"""Whole completions."""


def completions() -> dict[str, str]:
    """Every hostile completion by name."""
    boxed = {name: f"\\boxed{{{expression}}}" for name, expression in EXPRESSIONS.items()}
    return {**boxed, **TEXTS}
