r"""Reads numbers, names, fractions, roots, functions, sums, integrals and limits."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.read.cursor import END, Cursor
from verifiers.math_equivalence.read.expression import (
    MINUS_ONE,
    ONE,
    Applied,
    BasedNumber,
    BigOperator,
    Call,
    Constant,
    Letters,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
    free_symbols,
    negated,
    rebuilt,
)  # fmt: skip
from verifiers.math_equivalence.read.lexer import (
    Token,
    UnreadableError,
    is_product_of_letters,
    product_of_letters,
)
from verifiers.math_equivalence.read.rationals import read_number

ELLIPSIS: Final = "..."

FUNCTION_LETTERS: Final = frozenset("fghFGH")
"""Letters that name a function where brackets follow; others multiply."""

INVERSES: Final = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot",
                   "sec": "arcsec", "csc": "arccsc", "sinh": "arcsinh", "cosh": "arccosh",
                   "tanh": "arctanh"}  # fmt: skip
ALIASES: Final = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh",
                  "acosh": "arccosh", "atanh": "arctanh", "sgn": "sign"}  # fmt: skip
BASE_WORDS: Final = {
    word: base
    for base, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve".split(), start=2
    )
} | {"sixteen": 16}
BIG_OPERATORS: Final = {"sum": "sum", "prod": "product", "int": "integral", "lim": "limit"}


class Atoms(Cursor):
    """The smallest parts of an expression."""

    # --- numbers ------------------------------------------------------------------------

    def number(self) -> Node:
        """A literal, or the mixed number that it begins."""
        value = self.plain_number()
        if isinstance(value, Number) and value.places is None and isinstance(value.value, int):
            return self.mixed(value.value) or value
        return value

    def plain_number(self) -> Node:
        text = self.advance().value
        if self.at("cmd", "overline", "bar", "dot"):
            return self.repeating(text)
        if self.at("op", "_"):
            return self.based(text)
        literal = read_number(text)
        if literal is None:
            self.fail()
        return Number(literal.value, literal.places, literal.digits)

    def repeating(self, text: str) -> Node:
        """0.1\\overline{6}, and 0.\\dot{3} with one digit or the first and last."""
        self.advance()
        period = self.digits_in_braces()
        if "." not in text:
            self.fail()
        literal = read_number(f"{text}\\overline{{{period}}}")
        return Number(literal.value) if literal else self.fail()

    def digits_in_braces(self) -> str:
        if self.accept("op", "{"):
            digits = self.expect("num").value
            self.expect("op", "}")
            return digits
        return self.expect("num").value

    def based(self, text: str) -> Node:
        """1011_2, 4210_{7} or 12_{\\text{seven}}."""
        self.advance()
        braced = self.accept("op", "{")
        token = self.advance()
        if braced:
            self.expect("op", "}")
        name = token.value.strip().removeprefix("base ").strip()
        base = int(name) if name.isdecimal() and len(name) < 3 else BASE_WORDS.get(name, 0)
        try:
            return BasedNumber(int(text, base), base) if base >= 2 else self.fail()
        except ValueError:
            self.fail()

    def mixed(self, whole: int) -> Node | None:
        """The mixed number that starts with `whole`, where a proper fraction follows."""
        start = self.position
        numerator: Node | None = None
        denominator: Node | None = None
        if self.at("cmd", "frac"):
            self.advance()
            numerator, denominator = self.argument(), self.argument()
        elif self.spaced_fraction():
            numerator, denominator = literal_of(self.token), literal_of(self.ahead(2))
            self.position += 3
        if isinstance(numerator, Number) and isinstance(denominator, Number):
            upper, lower = numerator.value, denominator.value
            if isinstance(upper, int) and isinstance(lower, int) and 0 < upper < lower:
                return Number(whole + Fraction(upper, lower))
        self.position = start
        return None

    def spaced_fraction(self) -> bool:
        """` 1/2` stands here, as in `3 1/2`."""
        slash, lower = self.ahead(), self.ahead(2)
        return self.at("num") and self.token.spaced and slash.value == "/" and lower.kind == "num"

    # --- names --------------------------------------------------------------------------

    def symbol(self) -> Node:
        first = self.position == 0
        token = self.advance()
        if token.value in "CAP" and self.at("op", "_") and (call := self.combinations(token.value)):
            return call
        name = token.value + self.subscript()
        while self.accept("op", "'"):
            name += "'"
        if name == "zeta" and self.at("op", "("):
            return Call(name, self.arguments())
        if name in FUNCTION_LETTERS and self.at_inverse():
            self.position += 5
            return Applied(f"{name}^-1", self.arguments())
        if self.at("op", "(") and (
            name.rstrip("'") in FUNCTION_LETTERS or (first and self.labels_a_function())
        ):
            return Applied(name, self.arguments())
        return Symbol(name)

    def combinations(self, name: str) -> Node | None:
        """C_n^k and A_5^3, choices without and with an order; C_1^2 is a constant's square."""
        start = self.position
        try:
            self.advance()
            upper = self.argument_or_number()
            lower = self.exponent() if self.accept("op", "^") else None
        except UnreadableError:
            lower = None
        counted = lower is not None and is_choice(upper, lower)
        if lower is None or not (counted or (name == "C" and free_symbols(upper))):
            self.position = start
            return None
        chosen = Call("binomial", (upper, lower))
        return chosen if name == "C" else Product((chosen, Call("factorial", (lower,))))

    def at_inverse(self) -> bool:
        """`^{-1}(` stands here."""
        return "".join(self.ahead(index).value for index in range(6)) == "^{-1}("

    def labels_a_function(self) -> bool:
        """`(x) =` or `(x, t) =` stands here: what is before it is a function of x, no product."""
        distance = 1
        while self.ahead(distance).kind == "sym" and self.ahead(distance + 1).value == ",":
            distance += 2
        return (
            self.ahead(distance).kind == "sym"
            and self.ahead(distance + 1).value == ")"
            and self.ahead(distance + 2).value == "="
        )

    def dots(self) -> Node:
        """An ellipsis stands for the same thing wherever it has the same neighbours."""
        self.advance()
        return Symbol(ELLIPSIS)

    def subscript(self) -> str:
        """`_{n+1}` as part of a name."""
        if not self.accept("op", "_"):
            return ""
        if not self.accept("op", "{"):
            return "_" + self.advance().value
        parts = []
        while not self.accept("op", "}"):
            if self.token is END:
                self.fail()
            parts.append(self.advance().value)
        return "_" + "".join(parts)

    def constant(self) -> Node:
        token = self.advance()
        if self.at("op", "_"):
            return Symbol(token.value + self.subscript())
        return Constant(token.value)  # type: ignore[arg-type]

    def word(self) -> Node:
        """A short row of letters as their product."""
        token = self.token
        after_sign = self.position > 0 and self.tokens[self.position - 1].kind == "op"
        if not is_product_of_letters(token.value) and not (after_sign and len(token.value) == 2):
            self.fail()
        self.tokens[self.position : self.position + 1] = product_of_letters(token)
        factors: list[Node] = []
        for _ in token.value[:-1]:
            factors.append(self.constant() if self.at("const") else self.symbol())
        factors.append(self.power())
        is_row = token.value.isupper() and isinstance(factors[-1], Symbol)
        return Letters(tuple(factors)) if is_row else Product(tuple(factors))

    # --- fractions and roots ------------------------------------------------------------

    def argument(self) -> Node:
        """What a LaTeX command takes: a braced expression, or one digit or symbol."""
        if self.accept("op", "{"):
            return self.braced()
        token = self.token
        if token.kind == "num" and len(token.value) > 1 and token.value.isdecimal():
            rest = token._replace(value=token.value[1:], spaced=False)
            self.tokens[self.position] = rest
            return Number(int(token.value[0]))
        if token.kind == "word":
            self.tokens[self.position : self.position + 1] = product_of_letters(token)
        return self.atom()

    def braced(self) -> Node:
        """The sum up to the closing brace."""
        closes, self.bar_closes = self.bar_closes, False
        node = self.sum()
        self.expect("op", "}")
        self.bar_closes = closes
        return node

    def fraction(self) -> Node:
        self.advance()
        numerator = self.argument()
        return Quotient(numerator, self.argument())

    def binomial(self) -> Node:
        self.advance()
        upper = self.argument()
        return Call("binomial", (upper, self.argument()))

    def root(self) -> Node:
        """\\sqrt{2}, \\sqrt[3]{2}, sqrt(2), \\sqrt2."""
        self.advance()
        degree: Node = Number(2)
        if self.accept("op", "["):
            degree = self.sum()
            self.expect("op", "]")
        if self.accept("op", "{"):
            return Root(self.braced(), degree)
        return Root(self.plain_number() if self.at("num") else self.atom(), degree)

    def overlined(self) -> Node:
        """\\overline{AB}: a name, a segment or a conjugate."""
        self.advance()
        content = self.argument()
        if isinstance(content, Number):
            self.fail()
        return Call("conj", (content,))

    # --- functions ----------------------------------------------------------------------

    def function(self) -> Node:
        """sin x, \\sin^2 x, \\log_2 8, max(1, 2)."""
        if self.token.value == "sqrt":
            return self.root()
        name = self.advance().value
        name = ALIASES.get(name, name)
        base: Node | None = None
        exponent: Node | None = None
        while self.at("op", "_", "^"):
            if self.advance().value == "_":
                base = self.argument_or_number()
            else:
                exponent = self.exponent()
        arguments = self.arguments()
        if exponent == MINUS_ONE and name in INVERSES:
            name, exponent = INVERSES[name], None
        node = function_call(name, arguments, base)
        return node if exponent is None else Power(node, exponent)

    def argument_or_number(self) -> Node:
        return self.plain_number() if self.at("num") else self.argument()

    def exponent(self) -> Node:
        """What stands after "^"."""
        if self.accept("op", "{"):
            return self.braced()
        if self.accept("op", "-"):
            return negated(self.exponent())
        if self.at("num") and self.ahead().value != "^":
            return self.plain_number()
        return self.power()

    def arguments(self) -> tuple[Node, ...]:
        """Bracketed arguments, or the product of what follows up to an operator."""
        if self.accept("op", "("):
            closes, self.bar_closes = self.bar_closes, False
            items = [self.sum()]
            while self.accept("op", ",", ";"):
                items.append(self.sum())
            self.expect("op", ")")
            self.bar_closes = closes
            return tuple(items)
        factors = [self.power()]
        while self.continues_argument():
            factors.append(self.power())
        return (factors[0] if len(factors) == 1 else Product(tuple(factors)),)

    def continues_argument(self) -> bool:
        if self.integrals and is_differential(self.token):
            return False
        return self.starts_factor(self.token) and not (self.at("func") or self.at("op", "(", "["))

    # --- sums, integrals, limits --------------------------------------------------------

    def big_operator(self) -> Node:
        kind = BIG_OPERATORS[self.advance().value]
        variable, lower, upper = "", None, None
        while self.at("op", "_", "^"):
            if self.advance().value == "^":
                upper = self.argument_or_number()
            elif kind == "integral":
                lower = self.argument_or_number()
            else:
                variable, lower = self.bound_variable()
        if kind == "integral":
            body, variable = self.integrand()
        else:
            body = self.term()
            if variable == "i":
                body = with_index_i(body)
        return BigOperator(kind, body, variable, lower, upper)  # type: ignore[arg-type]

    def bound_variable(self) -> tuple[str, Node]:
        """`{n=1}` or `{x \\to 0}` under a sum or limit."""
        self.expect("op", "{")
        variable = self.advance().value
        if not (self.accept("op", "=", "->") or self.accept("cmd", "to")):
            self.fail()
        return variable, self.braced()

    def term(self) -> Node:
        """A product, without the sums around it."""
        factors = [self.power()]
        while self.starts_factor(self.token) or self.at("op", "*", "/"):
            if self.accept("op", "/"):
                factors = [Quotient(Product(tuple(factors)), self.power())]
            else:
                self.accept("op", "*")
                factors.append(self.power())
        return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def integrand(self) -> tuple[Node, str]:
        """The integrand and the variable of its `dx`."""
        self.integrals += 1
        split = without_differential(self.sum()) or self.fail()
        self.integrals -= 1
        return split


def with_index_i(node: Node) -> Node:
    """The i that a sum runs over is no imaginary unit."""
    return Symbol("i") if node == Constant("i") else rebuilt(node, with_index_i)


def is_differential(token: Token) -> bool:
    """The `dx` that ends an integral, and the arguments of functions inside it."""
    return token.value == "d" or (token.kind == "word" and token.value[0] == "d")


def is_choice(upper: Node, lower: Node) -> bool:
    """Whether so many can be chosen: three or more, and no more than there are."""
    numbers = (upper, lower)
    return all(isinstance(n, Number) and isinstance(n.value, int) for n in numbers) and (
        max(3, lower.value) <= upper.value  # type: ignore[attr-defined]
    )


def literal_of(token: Token) -> Number | None:
    return Number(int(token.value)) if token.value.isdecimal() and len(token.value) < 400 else None


def function_call(name: str, arguments: tuple[Node, ...], base: Node | None) -> Node:
    """The node of a function; logarithms carry their base as second argument."""
    if name == "exp":
        return Power(Constant("e"), arguments[0])
    if name == "cis":
        return Power(Constant("e"), Product((Constant("i"), arguments[0])))
    if name == "cbrt":
        return Root(arguments[0], Number(3))
    if name == "lg":
        return Call("log", (arguments[0], base or Number(10)))
    if base is not None:
        return Call(name, (*arguments, base))
    return Call(name, arguments)


def without_differential(node: Node) -> tuple[Node, str] | None:
    """(f, "x") for f dx, dx/f or f + g dx."""
    if isinstance(node, Product):
        factors: list[Node] = [ONE, ONE, *flat(node)]
        *rest, differential, variable = factors
        if differential == Symbol("d") and isinstance(variable, Symbol):
            return Product(tuple(rest)), variable.name
        if isinstance(variable, Quotient):
            split = without_differential(variable)
            return split and (Product((*rest, differential, split[0])), split[1])
        return None
    if isinstance(node, Quotient):
        split = without_differential(node.numerator)
        return split and (Quotient(split[0], node.denominator), split[1])
    if isinstance(node, Sum):
        split = without_differential(node.terms[-1])
        return split and (Sum((*node.terms[:-1], split[0])), split[1])
    return None


def flat(node: Product) -> list[Node]:
    """The factors of a product, those of inner products too."""
    factors: list[Node] = []
    for factor in node.factors:
        factors.extend(flat(factor) if isinstance(factor, Product) else [factor])
    return factors
