r"""Cuts cleaned LaTeX or plain text into tokens, in one pass.

Letters in a row are one function (`sin`), constant (`pi`) or unit where their spelling is
known; otherwise a short row is a product of variables and a long one is a word.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from verifiers.math_equivalence.limits import MAX_DEPTH, MAX_TOKENS, TooLargeError

FUNCTIONS: Final = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech "
    "csch arcsinh arccosh arctanh asin acos atan asinh acosh atanh log ln lg exp sqrt cbrt abs "
    "cis dim rank ord max min gcd lcm floor ceil sgn sign det arg Re Im conj tr erf Gamma".split()
)
CONSTANTS: Final = {"pi": "pi", "Pi": "pi", "infty": "infinity", "infinity": "infinity",
                    "inf": "infinity", "Infinity": "infinity", "oo": "infinity"}  # fmt: skip
GREEK_NAMES: Final = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar top".split()
)
CONNECTIVES: Final = frozenset("and or for where with if when in union cup mod choose to".split())

Kind = str
"""num, sym, func, const, cmd, text, word, op, begin, end, row."""


class Token(NamedTuple):
    kind: Kind
    value: str
    spaced: bool
    """White space stood before it."""


class UnreadableError(ValueError):
    """This is not mathematics that the parser knows."""


TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|\\(?:begin)\{(?P<begin>[a-zA-Z]+)\*?\}(?:\s*\{[lcr|\s]*\}|\s*\[[lcr|]*\])?"
    r"|\\end\{(?P<end>[a-zA-Z]+)\*?\}"
    r"|\\mathbb\s*\{?\s*(?P<blackboard>[A-Z])\s*\}?"
    r"|\\(?P<wrap>text|textrm|textbf|textit|textnormal|textsf|mathrm|mathbf|mathit|mathsf|mathcal"
    r"|operatorname|mbox|hbox|boldsymbol|bm|vec|overrightarrow|hat|underline|widehat)(?![A-Za-z])\*?\s*(?:\{(?P<content>(?:[^{}]|\{[^{}]*\})*)\}"
    r"|(?P<bare>[A-Za-z]))"
    r"|(?P<row>\\\\)"
    r"|\\(?P<cmd>[a-zA-Z]+|[{}|%#&_$])"
    r"|(?P<num>[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,4}(?![0-9A-Za-z])"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+\.(?=\\overline|\\dot|\\bar)"
    r"|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<word>[A-Za-z]+|[\u4e00-\u9fff]+)"
    r"|(?P<dots>\.\.\.+)"
    r"|(?P<op><=|>=|!=|<>|==|->|[-+*/^_=<>!|(){}\[\],;:'%&\"])"
)
OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")
PREFIXED: Final = re.compile(
    r"(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|sqrt|exp)([a-zA-Z]|pi)"
)
SUFFIXED: Final = re.compile(
    r"([a-zA-Z]{1,2})(arcsin|arccos|arctan|sqrt|sinh|cosh|sin|cos|tan|log|ln|exp|pi)([a-z]?)"
)
MAX_LETTERS: Final = 4
"""A longer row of letters is a word, not a product."""

ENGLISH: Final = frozenset(
    "no on is it of at by do go he me my so up us we am an as be not all any are but can few "
    "one two ten six odd even yes true none zero both only each tie win loss lose red blue the "
    "has had was per day days week hour hours sum mean mode area each pair than that then more "
    "dne less most fold half four five nine last next same side unit left over also past line "
    "cone cube kite ball".split()
)
UNIT_VECTORS: Final = {"i": "unit i", "j": "unit j", "k": "unit k", "imath": "unit i",
                       "jmath": "unit j"}  # fmt: skip
VECTOR_WRAPS: Final = frozenset(
    {"vec", "overrightarrow", "hat", "widehat", "mathbf", "boldsymbol", "bm"}
)
SYMBOL_WRAPS: Final = frozenset({"vec", "hat", "widehat", "mathbf", "boldsymbol", "bm", "mathcal"})


def tokenize(cleaned: str, *, thousands: bool = True) -> list[Token]:
    """The tokens of `cleaned`.

    Args:
        thousands: read 1,234 outside of brackets as one number.

    Raises:
        UnreadableError: a character that mathematics does not use.
        TooLargeError: too many tokens, or brackets too deep.
    """
    lexer = Lexer(thousands)
    position = 0
    while position < len(cleaned):
        match = TOKEN.match(cleaned, position)
        if match is None:
            raise UnreadableError(f"unknown character {cleaned[position]!r}")
        position = lexer.take(match)
        if len(lexer.tokens) > MAX_TOKENS:
            raise TooLargeError("too many symbols")
    return lexer.tokens


class Lexer:
    """Collects tokens, and knows how deep in brackets it is."""

    def __init__(self, thousands: bool) -> None:
        self.tokens: list[Token] = []
        self.thousands = thousands
        self.spaced = False
        self.depth = 0
        """Brackets and braces that are open."""
        self.brackets = 0
        """The same without plain braces: inside them, a comma separates members."""

    def take(self, match: re.Match[str]) -> int:
        """Adds the token that was matched; returns where the next one begins."""
        kind = match.lastgroup
        if kind == "space":
            self.spaced = True
            return match.end()
        end = match.end()
        if kind == "num":
            end = self.number(match["num"], match.start())
        elif kind == "op":
            end = self.operator(match["op"], end)
        elif kind == "word":
            self.tokens.extend(letters(match["word"], self.spaced))
        else:
            token = special(match, self.spaced)
            if token.kind == "cmd":
                self.brackets += (token.value == "{") - (token.value == "}")
            self.tokens.append(token)
        self.spaced = False
        return end

    def number(self, text: str, start: int) -> int:
        if "," in text and (self.brackets or not self.thousands):
            text = text.partition(",")[0]
        self.tokens.append(Token("num", text, self.spaced))
        return start + len(text)

    def operator(self, text: str, end: int) -> int:
        """An operator or bracket; the `!=` of 5!=120 is a factorial and a sign."""
        if text == "!=" and self.tokens and self.tokens[-1].kind == "num" and not self.spaced:
            text, end = "!", end - 1
        self.tokens.append(Token("op", text, self.spaced))
        change = (text in OPENING) - (text in CLOSING)
        self.depth += change
        if text not in "{}":
            self.brackets += change
        if self.depth > MAX_DEPTH:
            raise TooLargeError("brackets nested too deep")
        return end


def special(match: re.Match[str], spaced: bool) -> Token:
    """The token of a command, an environment, a text or an ellipsis."""
    if match["wrap"]:
        return wrapped(match["wrap"], match["content"] or match["bare"] or "", spaced)
    if match["cmd"]:
        return command(match["cmd"], spaced)
    if match["begin"] or match["end"]:
        return Token("begin" if match["begin"] else "end", match["begin"] or match["end"], spaced)
    if match["blackboard"]:
        return Token("set", match["blackboard"], spaced)
    if match["row"]:
        return Token("row", "\\\\", spaced)
    return Token("dots", "...", spaced)


def command(name: str, spaced: bool) -> Token:
    if name in FUNCTIONS:
        return Token("func", name, spaced)
    if name in CONSTANTS:
        return Token("const", CONSTANTS[name], spaced)
    if name in GREEK_NAMES:
        return Token("sym", name, spaced)
    if name == "ldots":
        return Token("dots", "...", spaced)
    if name in ("le", "ge", "ne"):
        return Token("op", {"le": "<=", "ge": ">=", "ne": "!="}[name], spaced)
    return Token("cmd", name, spaced)


def wrapped(wrap: str, content: str, spaced: bool) -> Token:
    """\\mathrm{…} and its like: a function, a symbol or a text."""
    name = content.strip()
    if name in FUNCTIONS:
        return Token("func", name, spaced)
    if wrap in VECTOR_WRAPS and name.strip("\\") in UNIT_VECTORS:
        return Token("sym", UNIT_VECTORS[name.strip("\\")], spaced)
    if wrap in ("vec", "overrightarrow"):
        return Token("sym", f"vec {name}", spaced)
    if wrap in SYMBOL_WRAPS and re.fullmatch(r"[A-Za-z]|\\?[a-z]+", name):
        return Token("sym", name.lstrip("\\"), spaced)
    if wrap == "mathrm" and name in ("e", "i", "d"):
        return letters(name, spaced)[0]
    return Token("text", content.replace("\\", " "), spaced)


def letters(run: str, spaced: bool) -> list[Token]:
    """A row of letters as a function, constant, connective, variables or a word."""
    if not run.isascii():
        return [Token("word", run, spaced)]
    if len(run) == 1:
        return [Token("const", run, spaced) if run in "ei" else Token("sym", run, spaced)]
    if run in FUNCTIONS:
        return [Token("func", run, spaced)]
    if run in CONSTANTS:
        return [Token("const", CONSTANTS[run], spaced)]
    if run in CONNECTIVES:
        return [Token("text", run, spaced)]
    if run in GREEK_NAMES:
        return [Token("sym", run, spaced)]
    if (match := PREFIXED.fullmatch(run)) or (match := SUFFIXED.fullmatch(run)):
        parts = [part for part in match.groups() if part]
        tokens = [token for part in parts for token in letters(part, False)]
        return [tokens[0]._replace(spaced=spaced), *tokens[1:]]
    return [Token("word", run, spaced)]


def is_product_of_letters(word: str) -> bool:
    """Whether a row of letters may be read as a product, such as `abc`."""
    return word.isascii() and len(word) <= MAX_LETTERS and word.lower() not in ENGLISH


def product_of_letters(token: Token) -> list[Token]:
    tokens = [token_ for letter in token.value for token_ in letters(letter, False)]
    return [tokens[0]._replace(spaced=token.spaced), *tokens[1:]]
