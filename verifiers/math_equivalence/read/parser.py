r"""Reads one expression, relation or bracketed structure: a recursive-descent parser.

    relation   := ratio (("=" | "<" | "∈" …) ratio)*
    ratio      := region (":" region)*
    region     := sum (("∪" | "∩" | "∖") sum)*
    sum        := ["+" | "-" | "±"] product (("+" | "-" | "±" | "∓") product)*
    product    := unary (("*" | "/" | mod | choose | nothing) unary)*
    power      := postfix ["^" exponent]
    postfix    := atom ("!" | "%")*
    atom       := number | symbol | function | fraction | root | brackets | matrix | …

LaTeX and plain text mix freely. `1/2x` is half of x, `\sin 2x` the sine of 2x, `x(x+1)` a
product, and a number before a proper fraction, `3\frac12`, a mixed number. Depth is
bounded, so no input exhausts the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from verifiers.math_equivalence.read.brackets import Brackets
from verifiers.math_equivalence.read.expression import (
    Call,
    Group,
    NamedSet,
    Node,
    PlusMinus,
    Power,
    Product,
    Quotient,
    Ratio,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Sum,
    Symbol,
    negated,
)  # fmt: skip
from verifiers.math_equivalence.read.lexer import Token, is_product_of_letters

SIGNS: Final = {"=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=",
                "<>": "!="}  # fmt: skip
SIGN_COMMANDS: Final = {"in": "in", "notin": "notin", "approx": "≈", "equiv": "≡", "sim": "~",
                        "cong": "~", "propto": "∝", "to": "->", "subset": "⊂",
                        "subseteq": "⊂"}  # fmt: skip
SET_COMMANDS: Final = {"cup": "union", "cap": "intersection", "setminus": "difference"}
PLAIN_SETS: Final = frozenset("RZNQC")
REGIONS: Final = (Group, SetOf, SetBuilder, SetOperation, NamedSet)
FACTOR_COMMANDS: Final = frozenset(
    "frac binom sum prod int lim overline bar lfloor lceil langle { emptyset angle triangle "
    "dot begin".split()
)


class Parser(Brackets):
    """The whole grammar, from relations down."""

    def relation(self) -> Node:
        operands = [self.ratio()]
        signs: list[str] = []
        while sign := self.sign():
            signs.append(sign)
            operands.append(self.domain() if sign == "in" else self.ratio())
        if modulus := self.modulus():
            return Relation((*operands, modulus), (*signs, "mod"))
        if not signs:
            return operands[0]
        return Relation(tuple(operands), tuple(signs))

    def domain(self) -> Node:
        """What a variable is in; `Z` without its second stroke is the set of integers, too."""
        node = self.ratio()
        if isinstance(node, Symbol) and node.name in PLAIN_SETS:
            return NamedSet(node.name)
        return node

    def ratio(self) -> Node:
        """2:3, or just a region. In a set, the colon stands before the condition."""
        terms = [self.region()]
        while not self.bar_closes and self.accept_colon():
            terms.append(self.region())
        return terms[0] if len(terms) == 1 else Ratio(tuple(terms))

    def accept_colon(self) -> bool:
        """`:`, or the "to" of `3 to 4`."""
        if self.at("text") and self.token.value.strip() == "to":
            self.advance()
            return True
        return self.accept("op", ":") is not None

    def modulus(self) -> Node | None:
        """`\\pmod{7}` or `(mod 7)` after a congruence."""
        if self.accept("cmd", "pmod"):
            return self.argument()
        if self.at("op", "(") and self.ahead().value.strip() == "mod":
            self.position += 2
            modulus = self.sum()
            self.expect("op", ")")
            return modulus
        return None

    def sign(self) -> str | None:
        """The sign of a relation, where one stands here."""
        token = self.token
        found = None
        if token.kind == "op":
            found = SIGNS.get(token.value)
        elif token.kind == "cmd":
            found = SIGN_COMMANDS.get(token.value)
        elif token.kind == "text" and token.value.strip() == "in":
            found = "in"
        if found:
            self.advance()
        return found

    def region(self) -> Node:
        node = self.sum()
        while kind := self.set_operator(node):
            right = self.sum()
            if isinstance(node, SetOperation) and node.kind == kind != "difference":
                node = SetOperation(kind, (*node.parts, right))
            else:
                node = SetOperation(kind, (node, right))  # type: ignore[arg-type]
        return node

    def set_operator(self, left: Node) -> str | None:
        """The sign of a union, intersection or difference, where one stands here."""
        kind, value = self.token.kind, self.token.value
        found = None
        if kind == "cmd":
            found = SET_COMMANDS.get(value)
        elif kind == "text" and value.strip() in ("union", "cup"):
            found = "union"
        elif isinstance(left, REGIONS):
            found = {("sym", "U"): "union", ("op", "-"): "difference"}.get((kind, value))
        if found:
            self.advance()
        return found

    def sum(self) -> Node:
        terms = [self.signed_product()]
        while self.at_additive() and not (self.at("op", "-") and is_region(terms)):
            terms.append(self.signed_product())
        node = terms[0] if len(terms) == 1 else Sum(tuple(terms))
        return Quotient(node, self.sum()) if self.accept("cmd", "over") else node

    def at_additive(self) -> bool:
        return self.at("op", "+", "-") or self.at("cmd", "pm", "mp")

    def signed_product(self) -> Node:
        """A term with the signs before it."""
        negative = False
        while self.at("op", "+", "-"):
            negative ^= self.advance().value == "-"
        if self.at("cmd", "pm", "mp"):
            sign = 1 if self.advance().value == "pm" else -1
            return PlusMinus(self.product(), -sign if negative else sign)
        node = self.product()
        return negated(node) if negative else node

    def product(self) -> Node:
        factors = [self.unary()]
        while True:
            if self.accept("op", "*"):
                factors.append(self.unary())
            elif self.accept("op", "/"):
                factors = [Quotient(product_of(factors), self.unary())]
            elif call := self.infix_function():
                factors = [Call(call, (product_of(factors), self.unary()))]
            elif self.continues_product(factors[-1]):
                factors.append(self.power())
            else:
                return product_of(factors)

    def infix_function(self) -> str | None:
        if self.accept("cmd", "bmod", "mod") or (
            self.at("text") and self.token.value.strip() == "mod" and self.advance()
        ):
            return "mod"
        if self.accept("cmd", "choose") or (
            self.at("text") and self.token.value.strip() == "choose" and self.advance()
        ):
            return "binomial"
        return None

    def continues_product(self, left: Node) -> bool:
        """A factor follows, which is neither a union sign nor `(mod n)`."""
        if self.at("sym", "U") and isinstance(left, REGIONS):
            return False
        if self.at("op", "(") and self.ahead().value.strip() == "mod":
            return False
        return self.starts_factor(self.token)

    def unary(self) -> Node:
        if self.accept("op", "-"):
            self.deeper()
            node = negated(self.unary())
            self.depth -= 1
            return node
        if self.accept("op", "+"):
            return self.unary()
        return self.power()

    def power(self) -> Node:
        node = self.postfix()
        if self.accept("op", "^"):
            self.deeper()
            node = self.raised(node)
            self.depth -= 1
        return node

    def raised(self, base: Node) -> Node:
        """`base` with the exponent, degree sign or prime that stands here."""
        braced = self.at("op", "{")
        mark = self.ahead() if braced else self.token
        closed = not braced or self.ahead(2).value == "}"
        if mark.kind == "cmd" and mark.value == "circ" and closed:
            self.position += 3 if braced else 1
            return Call("degrees", (base,))
        if isinstance(base, NamedSet):
            return self.restricted(base)
        return Power(base, self.exponent())

    def postfix(self) -> Node:
        node = self.atom()
        while True:
            if self.accept("op", "!"):
                node = Call("double_factorial" if self.accept("op", "!") else "factorial", (node,))
            elif self.accept("op", "%") or self.accept("cmd", "%"):
                node = Call("percent", (node,))
            else:
                return node

    def starts_factor(self, token: Token) -> bool:
        """Whether a factor may start with `token`, without a sign of multiplication."""
        kind, value = token.kind, token.value
        if kind in ("sym", "const", "func", "begin", "dots"):
            return True
        if kind == "op":
            return value in "([{" or (value == "|" and not self.bar_closes)
        if kind == "num":
            return self.position > 0 and not self.follows_number()
        if kind == "word":
            return is_product_of_letters(value)
        if kind == "text":
            return len(value) == 1 and value.isalpha()
        return kind == "cmd" and value in FACTOR_COMMANDS

    def follows_number(self) -> bool:
        """Two numbers in a row are not a product but a slip."""
        return self.tokens[self.position - 1].kind == "num"

    def atom(self) -> Node:
        self.deeper()
        node = self.smallest()
        self.depth -= 1
        return node

    def smallest(self) -> Node:
        kind, value = self.token.kind, self.token.value
        if kind in READERS:
            return READERS[kind](self)
        if kind == "op" and value in "([{|":
            return self.bracketed()
        if kind == "text" and len(value) == 1 and value.isalpha():
            self.advance()
            return Symbol(value)
        self.fail()

    def command(self) -> Node:
        value = self.token.value
        if value == "frac":
            return self.fraction()
        if value == "binom":
            return self.binomial()
        if value in ("sum", "prod", "int", "lim"):
            return self.big_operator()
        if value in ("overline", "bar"):
            return self.overlined()
        if value in ("angle", "triangle", "$"):
            self.advance()
            return self.atom() if value == "$" else Product((Symbol(value), self.power()))
        if value == "emptyset":
            self.advance()
            return NamedSet("empty")
        if value in ("{", "lfloor", "lceil", "langle"):
            return self.bracketed()
        self.fail()


READERS: Final[dict[str, Callable[[Parser], Node]]] = {
    "num": Parser.number,
    "sym": Parser.symbol,
    "const": Parser.constant,
    "func": Parser.function,
    "word": Parser.word,
    "cmd": Parser.command,
    "set": Parser.named_set,
    "dots": Parser.dots,
    "begin": Parser.environment,
}


def is_region(terms: list[Node]) -> bool:
    """One set, so that a minus after it takes members away."""
    return len(terms) == 1 and isinstance(terms[0], REGIONS)


def product_of(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def parse(tokens: list[Token]) -> Node:
    """The expression, relation or structure that all of `tokens` make up.

    Raises:
        UnreadableError: they make up none.
        TooLargeError: it is nested too deep.
    """
    return Parser(tokens).whole()
