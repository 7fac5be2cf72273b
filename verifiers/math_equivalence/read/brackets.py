r"""Reads what stands in brackets: tuples, intervals, sets, absolute values, matrices."""

from __future__ import annotations

from typing import Final

from verifiers.math_equivalence.limits import MAX_ITEMS, TooLargeError
from verifiers.math_equivalence.read.atoms import Atoms
from verifiers.math_equivalence.read.cursor import END
from verifiers.math_equivalence.read.expression import (
    Call,
    Conditional,
    Group,
    Listing,
    Matrix,
    NamedSet,
    Node,
    Relation,
    SetBuilder,
    SetOf,
    Words,
)  # fmt: skip
from verifiers.math_equivalence.read.lexer import Token, UnreadableError

MATRICES: Final = frozenset("matrix pmatrix bmatrix Bmatrix array smallmatrix vmatrix".split())
SYSTEMS: Final = frozenset("cases aligned split gathered align".split())
SAME_SETS: Final = {
    **dict.fromkeys(("Z>0", "Z_+", "N*", "N+", "N>0", "Z>=1", "N_+", "N>=1"), "Z+"),
    **dict.fromkeys(("N0", "N_0", "Z>=0", "N>=0"), "Z>=0"),
    **dict.fromkeys(("R_+", "R>0"), "R+"),
}
ROUNDINGS: Final = {"lfloor": ("floor", "rfloor"), "lceil": ("ceil", "rceil")}


class Brackets(Atoms):
    """Everything between an opening and a closing sign."""

    def bracketed(self) -> Node:
        closes, self.bar_closes = self.bar_closes, False
        opening = self.advance().value
        if opening == "|":
            node = self.absolute()
        elif opening in ROUNDINGS:
            node = self.rounded(opening)
        elif opening == "langle":
            node = Group("<", self.items(), self.expect("cmd", "rangle").value and ">")
        elif self.tokens[self.position - 1].kind == "cmd":
            node = self.set_of_items()
        elif opening == "{":
            node = self.grouped()
        else:
            node = self.group(opening)
        self.bar_closes = closes
        return node

    def items(self) -> tuple[Node, ...]:
        """Members up to a closing bracket, separated by commas or semicolons."""
        items = [self.relation()]
        while self.accept("op", ",", ";"):
            items.append(self.relation())
            if len(items) > MAX_ITEMS:
                raise TooLargeError("too many members")
        return tuple(items)

    def group(self, opening: str) -> Node:
        """( … ) or [ … ], mixed for half-open intervals; a single member is just itself."""
        items = self.items()
        closing = self.expect("op", ")", "]").value
        if len(items) == 1 and (opening, closing) in (("(", ")"), ("[", "]")):
            return items[0]
        if len(items) == 1:
            self.fail()
        return Group(opening, items, closing)

    def grouped(self) -> Node:
        """Plain braces group; with commas inside, somebody forgot the backslashes."""
        items = self.items()
        self.expect("op", "}")
        return items[0] if len(items) == 1 else SetOf(items)

    def set_of_items(self) -> Node:
        """{1, 2} or {x : x > 0}."""
        if self.accept("cmd", "}"):
            return NamedSet("empty")
        if self.at("begin", "array", "matrix", "aligned"):
            return self.braced_rows()
        self.bar_closes = True
        items = self.items()
        self.bar_closes = False
        if self.accept("op", "|", ":"):
            condition = self.conditions()
            self.expect("cmd", "}")
            return SetBuilder(items[0] if len(items) == 1 else Listing(items), condition)
        self.expect("cmd", "}")
        return SetOf(items)

    def conditions(self) -> Node:
        """What holds for the elements of a set: relations with "and", "or" or commas between."""
        conditions = [self.relation()]
        joint = "and"
        while separator := self.accept("op", ",", ";") or self.conjunction():
            joint = "or" if separator.value.strip() in ("or", "lor") else joint
            conditions.append(self.relation())
            if len(conditions) > MAX_ITEMS:
                raise TooLargeError("too many conditions")
        return conditions[0] if len(conditions) == 1 else Listing(tuple(conditions), joint)  # type: ignore[arg-type]

    def conjunction(self) -> Token | None:
        is_word = self.at("text") and self.token.value.strip() in ("and", "or")
        return self.advance() if is_word else self.accept("cmd", "land", "lor")

    def braced_rows(self) -> Node:
        """Rows behind a brace that nothing closes are those of a system or of cases."""
        name, rows = self.rows()
        if not self.accept("cmd", "}"):
            name = "cases"
        return built(name, rows) or self.fail()

    def absolute(self) -> Node:
        self.bar_closes = True
        content = self.sum()
        self.expect("op", "|")
        return Call("abs", (content,))

    def rounded(self, opening: str) -> Node:
        name, closing = ROUNDINGS[opening]
        content = self.sum()
        self.expect("cmd", closing)
        return Call(name, (content,))

    def named_set(self) -> Node:
        name = self.advance().value
        if self.accept("op", "_"):
            return self.restricted(NamedSet(name))
        return NamedSet(name)

    def restricted(self, base: NamedSet) -> Node:
        """R^+, Z_{>0}, R^2: the mark becomes part of the name."""
        if not self.accept("op", "{"):
            return named_set_of(base.name + self.advance().value)
        mark = ""
        while not self.accept("op", "}"):
            if self.token is END:
                self.fail()
            mark += self.advance().value
        return named_set_of(base.name + mark)

    def environment(self) -> Node:
        """A matrix, a determinant, or the rows of a system."""
        name, rows = self.rows()
        return built(name, rows) or self.fail()

    def rows(self) -> tuple[str, list[list[Node]]]:
        """The name of an environment, and its cells."""
        name = self.advance().value
        rows = [[self.cell()]]
        while not self.at("end"):
            if self.accept("row"):
                if self.at("end"):
                    break
                rows.append([self.cell()])
            elif self.accept("op", "&"):
                rows[-1].append(self.cell())
            else:
                self.fail()
            if sum(map(len, rows)) > MAX_ITEMS:
                raise TooLargeError("too many entries")
        self.expect("end", name)
        return name, rows

    def cell(self) -> Node:
        """One entry; words are left out before mathematics, and kept where there is no other."""
        start = self.position
        if self.at("text"):
            text = self.advance().value
            if self.ends_cell():
                return Words(text)
        closes, self.bar_closes = self.bar_closes, False
        try:
            node = self.relation()
            comma = self.accept("op", ",", ";")
            if comma and not self.ends_cell() and not isinstance(node, Relation):
                node = Conditional(node, self.condition_in_cell())
            if not self.ends_cell():
                self.fail()
        except UnreadableError:
            node = self.words_of_cell(start)
        self.bar_closes = closes
        return node

    def condition_in_cell(self) -> Node:
        """`n = 1` of a row `2, n = 1` that lacks its `&`."""
        self.accept("text")
        node = self.relation()
        self.accept("op", ",", ";")
        return node

    def ends_cell(self) -> bool:
        return self.at("row") or self.at("end") or self.at("op", "&")

    def words_of_cell(self, start: int) -> Node:
        """A cell such as "n is even"."""
        self.position = start
        while not self.ends_cell():
            if self.token is END or self.at("begin"):
                self.fail()
            self.advance()
        return Words(" ".join(token.value.strip() for token in self.tokens[start : self.position]))


def named_set_of(name: str) -> NamedSet:
    return NamedSet(SAME_SETS.get(name, name))


def built(name: str, rows: list[list[Node]]) -> Node | None:
    """The node of an environment; None where its rows have different lengths."""
    if name in MATRICES:
        if len({len(row) for row in rows}) != 1:
            return None
        matrix = Matrix(tuple(map(tuple, rows)))
        return Call("det", (matrix,)) if name == "vmatrix" else matrix
    if name in SYSTEMS and all(len(row) == 1 for row in rows):
        members = tuple(row[0] for row in rows)
        return members[0] if len(members) == 1 else Listing(members, "and")
    if name == "cases" and all(len(row) == 2 for row in rows):
        return Listing(tuple(Conditional(value, condition) for value, condition in rows), "and")
    if name in SYSTEMS and all(isinstance(cell, Relation) for row in rows for cell in row):
        return Listing(tuple(cell for row in rows for cell in row), "and")
    return None
