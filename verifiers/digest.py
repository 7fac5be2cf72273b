"""Which code decides a scorer's rewards, and the digest of it.

`ScorerIdentity.digest` promises that equal digests mean equal rewards. Name, version and
parameters cannot keep that promise alone: code changes between two commits under one version.
So the digest covers the code as well, by four rules:

1. Imports are followed from the scorer's module, those inside functions too, through this
   project's packages and the scorer's own where it is a plug-in. Nobody keeps a list of what
   decides: whatever a scorer can reach decides, but for the few modules in `CARRYING`.
2. Of a module counts its syntax tree without statements that are only text. So comments,
   docstrings and formatting change nothing, and any other change does. `if TYPE_CHECKING` never
   runs and does not count.
3. Of other distributions counts the version of each that is imported, and of Python the minor
   version: it brings the tables of Unicode and the engine of regular expressions.
4. What cannot be read equals nothing, not even itself in another process.

What a place adds is not covered: limits of the service's settings, and which samples it refuses.

Everything is read at most once a process, and not before an identity is asked for.
"""

from __future__ import annotations

import ast
import dis
import gc
import hashlib
import pkgutil
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType
from typing import Any

PACKAGES = frozenset({"verifiers", "judges"})

CARRYING = frozenset(
    {
        "verifiers.digest",  # tells decisions apart and makes none
        "verifiers.here",  # lends what a lane lends
        "verifiers.errors",  # words for faults of ours: none of them is a reward
        "verifiers.sandbox.probe",  # whether programs are run, and not what comes of them
        "verifiers.registry",  # who there is: a composite tells its parts' digests itself
    }
)
"""Neither they nor what they import decide. `base` is not here: it reads references."""

STARTED: Mapping[str, tuple[str, ...]] = {
    # A zygote is started from a string. Programs may import numpy, and get what is installed.
    "verifiers.sandbox.pool": ("verifiers.sandbox.zygote", "numpy"),
}
"""What a module runs without an import that could be followed."""

LOADED_BY_NAME = frozenset({"verifiers.sandbox.languages"})
"""Packages that import their modules by name. All of them count."""

DISTRIBUTIONS: Mapping[str, str | None] = {
    "httpx": None,
    "jsonschema": "jsonschema",
    "mpmath": "mpmath",
    "msgspec": None,
    "numpy": "numpy",
    "orjson": "orjson",
    "pydantic": "pydantic",
    "rapidfuzz": "rapidfuzz",
    "re2": "google-re2",
    "referencing": "referencing",
    "regex": "regex",
    "safetensors": "safetensors",
    "sympy": "sympy",
    "torch": "torch",
    "transformers": "transformers",
    "typing_extensions": None,
}
"""What is imported, and who brings it; None where it carries and does not decide."""

UNREADABLE = secrets.token_hex(16)
"""Stands for what has no source, code or version that can be read: see rule 4."""

NOT_COUNTED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields of syntax nodes that follow from others, or say how a literal was spelt."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides the rewards of a scorer."""

    modules: Mapping[str, str]
    """By name, the digest of each module's code."""
    packages: frozenset[str]
    """What is imported from other distributions, by its importable name."""


@dataclass(frozen=True, slots=True)
class Module:
    digest: str
    imports: frozenset[str]
    """Names of modules, their parents and, since they may be modules, names imported from them."""


@cache
def code_digest(module: str) -> str:
    """The digest of all that decides for a scorer of this module."""
    with no_collections():
        found = deciding(module)
    versions = {package: version_of(package) for package in found.packages}
    python = "{}.{}".format(*sys.version_info)
    return digest_of([python, sorted(found.modules.items()), sorted(versions.items())])


def deciding(module: str) -> Deciding:
    """Follows imports from `module` on."""
    ours = PACKAGES | {top_level(module)}
    modules: dict[str, str] = {}
    packages = set()
    seen = set(CARRYING)
    open_names = [module]
    while open_names:
        name = open_names.pop()
        if name in seen:
            continue
        seen.add(name)
        if top_level(name) in ours:
            if (found := read(name)) is not None:
                modules[name] = found.digest
                open_names += found.imports
                open_names += STARTED.get(name, ())
                open_names += submodules(name) if name in LOADED_BY_NAME else ()
        elif top_level(name) not in sys.stdlib_module_names:
            packages.add(top_level(name))
    return Deciding(modules or {module: UNREADABLE}, frozenset(packages))


@contextmanager
def no_collections() -> Iterator[None]:
    """Syntax trees hold no cycles, and looking for some among all objects doubles the cost."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@cache
def version_of(package: str) -> str | None:
    """The version of what brings this importable package; None where it does not decide."""
    if package in DISTRIBUTIONS:
        brought_by = [name] if (name := DISTRIBUTIONS[package]) is not None else []
    else:  # a plug-in's: looked up, which takes some 100 ms
        brought_by = sorted(set(metadata.packages_distributions().get(package, [UNREADABLE])))
    return " ".join(map(installed_version, brought_by)) or None


def installed_version(distribution: str) -> str:
    if distribution == UNREADABLE:
        return UNREADABLE
    try:
        return str(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def read(name: str) -> Module | None:
    """A module's digest and imports; None where no module has this name."""
    spec = spec_of(name)
    if spec is None:
        return None
    if spec.loader is None:  # a folder without __init__.py
        return Module("", frozenset())
    try:
        return loaded(spec, spec.loader)
    except (ImportError, OSError, RecursionError, SyntaxError, ValueError):
        return Module(UNREADABLE, frozenset())


def loaded(spec: ModuleSpec, loader: Any) -> Module:
    """What its loader has of a module: the source, else compiled code, else a library's bytes."""
    is_package = spec.submodule_search_locations is not None
    package = spec.name if is_package else spec.name.rpartition(".")[0]
    if (source := loader.get_source(spec.name)) is not None:
        return module_of(source, package)
    if (code := loader.get_code(spec.name)) is not None:
        return Module(digest_of(code_form(code)), frozenset(imported(code_imports(code), package)))
    if spec.has_location and spec.origin is not None:
        return Module(hashlib.sha256(loader.get_data(spec.origin)).hexdigest(), frozenset())
    return Module(UNREADABLE, frozenset())


def submodules(package: str) -> list[str]:
    spec = spec_of(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders or [])]


@cache
def spec_of(name: str) -> ModuleSpec | None:
    """Where a module is. Imports nothing, as `find_spec` would: not even its packages."""
    parent = name.rpartition(".")[0]
    if parent:
        above = spec_of(parent)
        folders = above.submodule_search_locations if above is not None else None
        return PathFinder.find_spec(name, folders) if folders is not None else None
    try:
        return util.find_spec(name)
    except ValueError:  # __main__, and what was made by hand
        return None


# --- a module's normal form -------------------------------------------------------------


def module_of(source: str, package: str) -> Module:
    """The digest and imports of a module with this text, in this package."""
    nodes: list[ast.Import | ast.ImportFrom] = []
    form = syntax_form(ast.parse(source), nodes)
    imports: list[Import] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        else:
            names = tuple(alias.name for alias in node.names)
            imports.append((node.level, node.module or "", names))
    return Module(digest_of(form), frozenset(imported(imports, package)))


def statements(items: list[Any]) -> list[Any]:
    """Those that are not only text."""
    return [
        item
        for item in items
        if item.__class__ is not ast.Expr or item.value.__class__ is not ast.Constant
    ]


def syntax_form(node: ast.AST, imports: list[ast.Import | ast.ImportFrom]) -> list[Any]:
    """A syntax tree as nested lists, without what does not count. Collects its imports."""
    kind = node.__class__
    if kind is ast.If and is_for_type_checkers(node.test):  # type: ignore[attr-defined]
        return [syntax_form(each, imports) for each in statements(node.orelse)]  # type: ignore[attr-defined]
    if kind is ast.Import or kind is ast.ImportFrom:
        imports.append(node)  # type: ignore[arg-type]
    form: list[Any] = [kind.__name__]
    values = node.__dict__
    for name in counted(kind):  # type: ignore[arg-type]  # a class can be hashed
        value = values.get(name)
        if value.__class__ is list:
            form.append(
                [
                    syntax_form(item, imports) if isinstance(item, ast.AST) else item
                    for item in statements(value)
                ]
            )
        else:
            form.append(syntax_form(value, imports) if isinstance(value, ast.AST) else value)
    return form


@cache
def counted(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(name for name in kind._fields if name not in NOT_COUNTED)


def is_for_type_checkers(test: ast.expr) -> bool:
    name = getattr(test, "id", None) or getattr(test, "attr", None)
    return name == "TYPE_CHECKING"


def code_form(code: CodeType) -> list[Any]:
    """Compiled code as nested lists, without line numbers. Docstrings count in it."""
    constants = [
        code_form(constant)
        if isinstance(constant, CodeType)
        else sorted(map(repr, constant))
        if isinstance(constant, frozenset)  # whose own order is the hash seed's
        else constant
        for constant in code.co_consts
    ]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return [code.co_name, code.co_code, code.co_exceptiontable, constants, counts, names]


Import = tuple[int, str, tuple[str, ...]]
"""How many dots, which module, and which names from it."""


def code_imports(code: CodeType) -> Iterator[Import]:
    instructions = list(dis.get_instructions(code))
    for position, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, names = (before.argval for before in instructions[position - 2 : position])
            yield level, instruction.argval, names or ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_imports(constant)


def imported(imports: Iterable[Import], package: str) -> Iterator[str]:
    """All names that may be modules."""
    for level, module, names in imports:
        name = util.resolve_name("." * level + module, package) if level else module
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        yield from (f"{name}.{each}" for each in names)


def top_level(name: str) -> str:
    return name.partition(".")[0]


def digest_of(form: Any) -> str:
    """Of nested lists and tuples of plain values: their `repr` tells 1, 1.0, True and "1" apart."""
    return hashlib.sha256(repr(form).encode(errors="surrogatepass")).hexdigest()
