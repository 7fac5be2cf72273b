"""What an answer is once it is read: scalar expressions, and structures made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, TypeVar, dataclass_transform
from typing import Literal as OneOf

T = TypeVar("T")


@dataclass_transform()
def node(kind: type[T]) -> type[T]:
    """Nodes compare by structure. They are never changed once built."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


class Node:
    """Anything that the parser reads."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()


# --- scalars ----------------------------------------------------------------------------


@node
class Number(Node):
    """A literal. `places` as in `rationals.Literal`: None where it is exact as written."""

    value: int | Fraction
    places: int | None = None
    digits: int = 0


@node
class BasedNumber(Node):
    """Digits with a stated base: 1011_2."""

    value: int
    base: int


@node
class Symbol(Node):
    """A variable, subscript and accents included in its name."""

    name: str


@node
class Constant(Node):
    name: OneOf["pi", "e", "i", "infinity", "undefined"]


@node
class Sum(Node):
    terms: tuple[Node, ...]


@node
class Product(Node):
    factors: tuple[Node, ...]


@node
class Letters(Product):
    """Capitals in a row: a product as any other, but against another row their order counts."""


@node
class Quotient(Node):
    numerator: Node
    denominator: Node


@node
class Power(Node):
    base: Node
    exponent: Node


@node
class Root(Node):
    radicand: Node
    degree: Node


@node
class PlusMinus(Node):
    """±term, or ∓term where `sign` is -1. All signs of one answer flip together."""

    term: Node
    sign: int = 1


@node
class Call(Node):
    """A known function: sin, log (argument, base), floor, binomial, degrees, percent …"""

    name: str
    arguments: tuple[Node, ...]


@node
class Applied(Node):
    """An unknown function of something: f(x)."""

    name: str
    arguments: tuple[Node, ...]


@node
class Piecewise(Node):
    """The value of the first piece whose condition, a relation, holds; None always does."""

    values: tuple[Node, ...]
    conditions: tuple[Node | None, ...]


@node
class BigOperator(Node):
    """Sum, product, integral, limit or derivative over `variable`."""

    kind: OneOf["sum", "product", "integral", "limit", "derivative"]
    body: Node
    variable: str
    lower: Node | None = None
    upper: Node | None = None


# --- structures -------------------------------------------------------------------------


@node
class Group(Node):
    """Members in brackets: a tuple, or an interval where there are two."""

    opening: str
    items: tuple[Node, ...]
    closing: str


@node
class Listing(Node):
    """Members without brackets: `1, 2`, `x = 1 or x = 2`."""

    items: tuple[Node, ...]
    joint: OneOf[",", "and", "or"] = ","


@node
class SetOf(Node):
    items: tuple[Node, ...]


@node
class SetBuilder(Node):
    """{element : condition}."""

    element: Node
    condition: Node


@node
class SetOperation(Node):
    kind: OneOf["union", "intersection", "difference"]
    parts: tuple[Node, ...]


@node
class NamedSet(Node):
    """R, Z, N, Q, C or empty."""

    name: str


@node
class Matrix(Node):
    rows: tuple[tuple[Node, ...], ...]


@node
class Relation(Node):
    """A chain such as 1 < x ≤ 5 or a = b = c: n operands and the n - 1 signs between."""

    operands: tuple[Node, ...]
    signs: tuple[str, ...]


@node
class Conditional(Node):
    """A statement and what it holds for: `x = kπ` for `k ∈ Z`."""

    statement: Node
    condition: Node
    keyword: str = ""
    """The word between them: "for", "where", "if" …"""


@node
class Ratio(Node):
    terms: tuple[Node, ...]


@node
class Quantity(Node):
    """A value with a unit, as `units.read_unit` understands it, or of some noun."""

    value: Node
    unit: str


@node
class Words(Node):
    """Text that is not mathematics."""

    text: str


STRUCTURES = (
    Group, Listing, SetOf, SetBuilder, SetOperation, NamedSet, Matrix, Relation, Conditional,
    Ratio, Quantity, Words,
)  # fmt: skip

ZERO = Number(0)
ONE = Number(1)
MINUS_ONE = Number(-1)


def negated(operand: Node) -> Node:
    """-operand; of a literal, the negative literal."""
    if isinstance(operand, Number):
        return Number(-operand.value, operand.places, operand.digits)
    return Product((MINUS_ONE, operand))


def field_names(kind: type[Node]) -> tuple[str, ...]:
    """The names of a node's parts."""
    return kind.__match_args__


def children(parent: Node) -> Iterator[Node]:
    """The nodes directly inside `parent`."""
    for name in field_names(type(parent)):
        yield from nodes_in(getattr(parent, name))


def nodes_in(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for member in value:
            yield from nodes_in(member)


def walk(root: Node) -> Iterator[Node]:
    """`root` and everything inside it."""
    yield root
    for child in children(root):
        yield from walk(child)


def free_symbols(root: Node) -> frozenset[str]:
    """Names of the variables in `root` that no sum, integral or limit binds."""
    if isinstance(root, Symbol):
        return frozenset((root.name,))
    if isinstance(root, Applied):
        return frozenset((applied_name(root),))
    found: frozenset[str] = frozenset()
    for child in children(root):
        found |= free_symbols(child)
    if isinstance(root, BigOperator) and root.kind != "derivative":
        found -= {root.variable}
    return found


def applied_name(root: Applied) -> str:
    """An unknown function of given arguments counts as one variable."""
    return f"{root.name}{root.arguments!r}"


def contains(root: Node, *kinds: type[Node]) -> bool:
    return any(isinstance(inner, kinds) for inner in walk(root))


def renamed(root: Node, old: str, new: Node) -> Node:
    """`root` with every variable `old` replaced."""
    if isinstance(root, Symbol):
        return new if root.name == old else root
    return rebuilt(root, lambda child: renamed(child, old, new))


def rebuilt(root: Node, change: Callable[[Node], Node]) -> Node:
    """`root` with `change` applied to each node directly inside it."""
    values = [changed(getattr(root, name), change) for name in field_names(type(root))]
    return type(root)(*values)


def changed(value: object, change: Callable[[Node], Node]) -> object:
    if isinstance(value, Node):
        return change(value)
    if isinstance(value, tuple):
        return tuple(changed(member, change) for member in value)
    return value
