"""A position in a row of tokens, and the grammar's entry points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, NoReturn

from verifiers.math_equivalence.limits import MAX_DEPTH, TooLargeError
from verifiers.math_equivalence.read.expression import Node
from verifiers.math_equivalence.read.lexer import Token, UnreadableError

END: Final = Token("end of input", "", False)


class Cursor(ABC):
    """Reads tokens from left to right. The parser's parts build on it."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, END]
        self.position = 0
        self.depth = 0
        self.integrals = 0
        self.bar_closes = False
        """A "|" ends an absolute value or a set's element, rather than opening one."""

    @abstractmethod
    def relation(self) -> Node: ...

    @abstractmethod
    def sum(self) -> Node: ...

    @abstractmethod
    def power(self) -> Node: ...

    @abstractmethod
    def atom(self) -> Node: ...

    @abstractmethod
    def starts_factor(self, token: Token) -> bool: ...

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def ahead(self, distance: int = 1) -> Token:
        index = self.position + distance
        return self.tokens[index] if index < len(self.tokens) else END

    def advance(self) -> Token:
        token = self.tokens[self.position]
        if token is not END:
            self.position += 1
        return token

    def at(self, kind: str, *values: str) -> bool:
        token = self.tokens[self.position]
        return token.kind == kind and (not values or token.value in values)

    def accept(self, kind: str, *values: str) -> Token | None:
        return self.advance() if self.at(kind, *values) else None

    def expect(self, kind: str, *values: str) -> Token:
        return self.accept(kind, *values) or self.fail()

    def fail(self) -> NoReturn:
        raise UnreadableError(f"unexpected {self.token.value or 'end'!r}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLargeError("nested too deep")

    def whole(self) -> Node:
        """The one relation or structure that all tokens make up."""
        node = self.relation()
        if self.token is not END:
            self.fail()
        return node
