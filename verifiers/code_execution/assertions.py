"""Reads test code before it is run: what it calls, and whether it can be split.

Everything is decided from the test code alone, so that no program can talk its way out of
a low reward into an error.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from verifiers.base import InvalidReference
from verifiers.sandbox import atoms, codec
from verifiers.sandbox.driver import is_test

CANDIDATE = "candidate"
CHECK = "check"
"""What test code in HumanEval's form defines, and a checker."""

PLAIN_ATTRIBUTES = frozenset(
    name
    for kind in (*codec.BASES, *codec.VIEWS, *atoms.ATOMS, range, deque, Iterator)
    for name in dir(kind)
)
"""What may be asked of a result: only plain values cross between the processes."""

FRAMEWORKS = ("asyncio", "pytest", "unittest")
"""Their coroutines, fixtures and mocks reach into the program, which is not there."""

REDIRECTIONS = frozenset(("redirect_stdout", "redirect_stderr", "redirect_stdin"))
SHARED_MODULES = frozenset(("sys", "builtins", "os", "time", "random"))
"""What test code replaces in them, the program would still have."""


@dataclass(frozen=True)
class Plan:
    """Test code ready to be driven.

    Attributes:
        stubs: its name for each function of the program.
        values: those of them that it also reads without calling: perhaps constants.
    """

    code: bytes
    stubs: dict[str, str]
    values: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def plan(test_code: str, entry_point: str | None) -> Plan:
    """How to run `test_code` apart from the program.

    Raises:
        InvalidReference: it is no Python, tests nothing, or cannot be split.
    """
    tree = parse(test_code)
    if defines(tree, CHECK) and not any(calls(statement, CHECK) for statement in tree.body):
        test_code += f"\n{CHECK}({CANDIDATE})\n"
        tree = parse(test_code)
    names = program_names(tree, test_code, entry_point)
    if CANDIDATE in names and entry_point is None:
        raise InvalidReference("the test code calls candidate: entry_point must name it")
    if not names:
        raise InvalidReference("the test code calls nothing of the program's")
    if not any(map(is_test, tree.body)):
        raise InvalidReference("the test code has no assert and no call at its top level")
    obstacle = next(obstacles(tree, names), None)
    if obstacle is not None:
        raise InvalidReference(
            f"the test code cannot be run apart from the program ({obstacle}); "
            "in_process runs them together, at low trust"
        )
    stubs = {name: entry_point if name == CANDIDATE and entry_point else name for name in names}
    values = names & read_without_a_call(tree) - {entry_point, CANDIDATE}
    return Plan(test_code.encode(), stubs, tuple(sorted(values)))


@lru_cache(maxsize=1024)
def checker(source: str) -> bytes:
    """A checker as it is run.

    Raises:
        InvalidReference: it is no Python, or defines no `check`.
    """
    parse(source, "the checker")
    if CHECK not in global_names(source, "the checker")[1]:
        raise InvalidReference(f"the checker defines no {CHECK}")
    return source.encode()


def parse(source: str, what: str = "the test code") -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidReference(f"{what} is not Python: {error}") from None


def defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(s, ast.FunctionDef) and s.name == name for s in tree.body)


def calls(statement: ast.stmt, name: str) -> bool:
    """A statement that is nothing but a call of `name`."""
    return isinstance(statement, ast.Expr) and is_call_of(statement.value, frozenset((name,)))


def program_names(tree: ast.Module, test_code: str, entry_point: str | None) -> frozenset[str]:
    """What the test code expects of the program.

    A program may define a function with a built-in one's name. Where nothing else is
    called, or `entry_point` says so, that is what is meant.
    """
    used, own = global_names(test_code)
    names = used - own
    free = names - vars(builtins).keys()
    if entry_point in names:
        return free | {entry_point}
    return free or names & called_in_every_assert(tree)


def called_in_every_assert(tree: ast.Module) -> frozenset[str]:
    found = [
        {n.func.id for n in ast.walk(s) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        for s in tree.body
        if isinstance(s, ast.Assert)
    ]
    return frozenset(set.intersection(*found)) if found else frozenset()


def read_without_a_call(tree: ast.Module) -> set[str]:
    """Names that are more than what is called."""
    nodes = list(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in called}


def global_names(source: str, what: str = "the test code") -> tuple[frozenset[str], frozenset[str]]:
    """The global names that the source uses, and those that it defines."""
    try:
        top = symtable.symtable(source, "tests.py", "exec")
    except (SyntaxError, RecursionError) as error:
        raise InvalidReference(f"{what} is not Python: {error}") from None
    own = (s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported())
    return frozenset(referenced_globals(top)) - {"__name__"}, frozenset(own)


def referenced_globals(table: symtable.SymbolTable) -> Iterator[str]:
    is_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from referenced_globals(child)


def obstacles(tree: ast.Module, names: frozenset[str]) -> Iterator[str]:
    """Why the test code needs more of the program than calls with plain values."""
    instances = assigned_from_calls(tree, names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from attribute_obstacles(node, names, instances)
        elif isinstance(node, ast.Name) and node.id in REDIRECTIONS:
            yield f"it uses {node.id}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"it imports {name}" for name in imported(node) if name in FRAMEWORKS)
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            yield from (f"it catches {name}" for name in named_in([node.type], names))
        elif isinstance(node, ast.ClassDef):
            yield from (f"it derives from {name}" for name in named_in(node.bases, names))
        elif isinstance(node, ast.Call):
            yield from call_obstacles(node, names, instances)


CLASS_QUESTIONS = frozenset(("isinstance", "issubclass"))


def call_obstacles(node: ast.Call, names: frozenset[str], instances: set[str]) -> Iterator[str]:
    if is_call_of(node, CLASS_QUESTIONS):
        yield from (f"it asks for a {name}" for name in named_in(node.args[1:], names))
    if is_result(node.func, names, instances):
        yield "it calls a result"


def is_result(node: ast.expr, names: frozenset[str], instances: set[str]) -> bool:
    """What a function of the program returned."""
    return is_call_of(node, names) or (isinstance(node, ast.Name) and node.id in instances)


def named_in(nodes: Sequence[ast.expr], names: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id in names:
                yield inner.id


def attribute_obstacles(
    node: ast.Attribute, names: frozenset[str], instances: set[str]
) -> Iterator[str]:
    owner = node.value
    if isinstance(owner, ast.Name) and owner.id in names:
        yield f"it uses {owner.id}.{node.attr}"
    elif node.attr in REDIRECTIONS:
        yield f"it uses {node.attr}"
    elif isinstance(node.ctx, ast.Store) and named(owner) in SHARED_MODULES:
        yield f"it replaces {named(owner)}.{node.attr}"
    elif node.attr not in PLAIN_ATTRIBUTES and is_result(owner, names, instances):
        yield f"it uses .{node.attr} of a result"


def assigned_from_calls(tree: ast.Module, names: frozenset[str]) -> set[str]:
    """Variables that hold what a function of the program returned."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_call_of(node.value, names)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def is_call_of(node: ast.expr, names: frozenset[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def named(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    modules = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    return [module.partition(".")[0] for module in modules]
