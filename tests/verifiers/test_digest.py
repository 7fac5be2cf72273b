"""Equal digests mean equal rewards, and other words are no other digest."""

from __future__ import annotations

import ast
import io
import json
import random
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from judges.reward_model.serve.scorer import RewardModelScorer
from judges.rubric import RubricScorer
from verifiers import digest
from verifiers.registry import Registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TYPES = {**Registry().types, "rubric": RubricScorer, "reward_model": RewardModelScorer}
MODULES = sorted(
    {module for t in TYPES.values() for module in digest.deciding(t.__module__).modules}
)


def source_of(module: str) -> str:
    spec = digest.spec_of(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def digest_of(source: str) -> str:
    return digest.module_of(source, "verifiers").digest


# --- words and formatting ---------------------------------------------------------------


def with_other_words(source: str, rng: random.Random) -> str:
    """Other comments and blank lines wherever a line begins, and other docstrings."""
    begins = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in (tokenize.NAME, tokenize.OP) and not token.line[: token.start[1]].strip()
    }
    texts = {
        line
        for node in ast.walk(ast.parse(source))
        if is_text(node)
        for line in range(node.lineno, node.end_lineno + 1)  # type: ignore[operator]
    }
    lines = []
    for number, line in enumerate(source.splitlines(keepends=True), start=1):
        if number in begins - texts and rng.random() < 0.2:
            lines.append(rng.choice(("\n", "# another word\n", "        # and one more\n")))
        if number in texts and line.strip().isprintable() and '"' not in line and "\\" not in line:
            line = line.replace("e", "oo")
        lines.append(line)
    return "".join(lines)


def reformatted(source: str, width: int) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(width)]
    command += ["--config", "format.quote-style='single'", "--stdin-filename", "x.py", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def without_docstrings(source: str) -> str:
    """Written anew from its syntax: no comment, no docstring and no line break of ours is left."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                kept = [each for each in value if not is_text(each)]
                needs_one = name == "body" and not kept and not isinstance(node, ast.Module)
                setattr(node, name, value[:1] if needs_one else kept)
    return ast.unparse(tree)


def is_text(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("module", MODULES)
def test_other_words_are_no_other_digest(module: str) -> None:
    source = source_of(module)
    for edited in (
        with_other_words(source, random.Random(module)),
        without_docstrings(source),
        f'"""Of another mind."""\n# {module}\n{source}\n\n"""The end."""\n',
        source.replace("\n", "\r\n"),
    ):
        assert digest_of(edited) == digest_of(source)


@pytest.mark.parametrize("module", random.Random(13).sample(MODULES, 12))
@pytest.mark.parametrize("width", [60, 160])
def test_another_layout_is_no_other_digest(module: str, width: int) -> None:
    source = source_of(module)
    edited = reformatted(source, width)
    assert edited != source or len(source) < 2_000
    assert digest_of(edited) == digest_of(source)


# --- code -------------------------------------------------------------------------------


class Edit(ast.NodeTransformer):
    """Changes the meaning of one node, the `target`th of those that it knows how to change."""

    COMPARISONS = (ast.Lt, ast.LtE, ast.Eq, ast.NotEq, ast.Gt, ast.GtE, ast.In, ast.NotIn)

    def __init__(self, target: int) -> None:
        self.seen = 0
        self._target = target

    def visit(self, node: ast.AST) -> ast.AST:
        if is_text(node):
            return node
        edited = self.edited(node)
        if edited is not None:
            self.seen += 1
            if self.seen - 1 == self._target:
                return edited
        return self.generic_visit(node)

    def edited(self, node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Constant(value=bool(value)):
                return ast.Constant(not value)
            case ast.Constant(value=int(value) | float(value)):
                return ast.Constant(value + 1)
            case ast.Compare(left, [operator], right) if isinstance(operator, self.COMPARISONS):
                at = self.COMPARISONS.index(type(operator))
                other = self.COMPARISONS[(at + 1) % len(self.COMPARISONS)]()
                return ast.Compare(left, [other], right)
            case ast.BoolOp(op, values):
                return ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            case ast.UnaryOp(ast.Not(), operand):
                return operand
            case ast.Return(value) if value is not None:
                return ast.Return(None)
            case ast.BinOp(left, op, right):
                other = ast.Add() if isinstance(op, ast.Sub) else ast.Sub()
                return ast.BinOp(left, other, right)
        return None


def edits(source: str, rng: random.Random) -> Iterator[str]:
    counting = Edit(-1)
    counting.visit(ast.parse(source))
    for target in rng.sample(range(counting.seen), min(counting.seen, 6)):
        yield ast.unparse(ast.fix_missing_locations(Edit(target).visit(ast.parse(source))))


@pytest.mark.parametrize("module", MODULES)
def test_other_code_is_another_digest(module: str) -> None:
    source = source_of(module)
    edited = {digest_of(each): each for each in edits(source, random.Random(module))}
    assert digest_of(source) not in edited
    assert digest_of(f"{source}\nimport this\n") != digest_of(source)


def test_literals_that_are_alike_are_told_apart() -> None:
    spelt_alike = ("x = 1", "x = 1.0", "x = True", "x = '1'", "x = b'1'", "x = 1j", "x = -1")
    assert len({digest_of(each) for each in spelt_alike}) == len(spelt_alike)
    assert digest_of("x = 'it' f'{y}'") == digest_of('x = (f"it{y}")')
    assert digest_of("x = 1_000") == digest_of("x = 0x3E8")


def test_what_only_type_checkers_read_does_not_count() -> None:
    plain = "from typing import TYPE_CHECKING\n"
    for line in ("if TYPE_CHECKING:", "if typing.TYPE_CHECKING:"):
        checked = digest.module_of(f"{plain}{line}\n    import torch\n", "verifiers")
        assert "torch" not in checked.imports
        other = digest.module_of(f"{plain}{line}\n    import numpy as n\n", "verifiers")
        assert checked.digest == other.digest


def test_imports_are_found_wherever_they_stand() -> None:
    inside = "def f():\n    from ..extract import of\n    import a.b.c, d\n"
    source = f"{inside}try: from . import e\nfinally: pass"
    found = digest.module_of(source, "verifiers.sandbox").imports
    assert found >= {"verifiers.extract", "verifiers.extract.of", "a", "a.b", "a.b.c", "d"}
    assert "verifiers.sandbox.e" in found


# --- what decides -----------------------------------------------------------------------

LOADED = """
import asyncio, json, sys
from verifiers.base import Sample
from verifiers.registry import Registry

registry = Registry()
for scorer in registry.types.values():
    if scorer.lane in ("inline", "cpu"):
        sample = Sample.model_validate({"prompt": None, **scorer.example})
        [score] = asyncio.run(registry.build(sample.scorer).score([sample]))
        assert score.error is None, score
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("name", sorted(TYPES))
def test_whatever_is_imported_for_a_scorer_decides_or_is_known_to_carry(name: str) -> None:
    """What importing its module really loads."""
    program = f"import json, sys, {TYPES[name].__module__}; print(json.dumps(sorted(sys.modules)))"
    found = digest.deciding(TYPES[name].__module__)
    loaded = modules_of(program)
    missed = {module for module in loaded if digest.top_level(module) in digest.PACKAGES}
    assert missed - set(found.modules) <= digest.CARRYING


def test_what_is_imported_while_scoring_decides() -> None:
    ours = {name for name in modules_of(LOADED) if digest.top_level(name) in digest.PACKAGES}
    assert ours - set(MODULES) <= digest.CARRYING


def modules_of(program: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def test_the_programs_of_the_sandbox_decide() -> None:
    """All of the package but what only tries it at start."""
    found = digest.deciding(TYPES["code"].__module__).modules
    package = ROOT / "verifiers" / "sandbox"
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert name in found or name in digest.CARRYING or path.stem == "canaries", name


@pytest.mark.parametrize("name", sorted(TYPES))
def test_whoever_brings_what_is_imported_is_known(name: str) -> None:
    packages = digest.deciding(TYPES[name].__module__).packages
    assert packages <= set(digest.DISTRIBUTIONS)


def test_distributions_bring_what_the_table_says() -> None:
    brought = metadata.packages_distributions()
    for package, distribution in digest.DISTRIBUTIONS.items():
        if distribution is not None and package in brought:
            assert [name.casefold() for name in brought[package]] == [distribution]


def test_nothing_is_said_to_carry_that_is_not_there() -> None:
    assert all(digest.spec_of(module) is not None for module in digest.CARRYING)
    packages = {p for t in TYPES.values() for p in digest.deciding(t.__module__).packages}
    assert packages <= set(digest.DISTRIBUTIONS) <= packages | {"msgspec"}


def test_how_a_message_is_read_decides_for_all() -> None:
    for scorer in TYPES.values():
        assert {"verifiers.base", "verifiers.sample"} <= set(
            digest.deciding(scorer.__module__).modules
        )


# --- whole digests ----------------------------------------------------------------------

DIGESTS = """
import json, sys
from verifiers.registry import Registry
registry = Registry()
names = sys.argv[1:]
digests = {n: registry.build(registry.types[n].example["scorer"]).identity.digest for n in names}
print(json.dumps(digests))
"""
NAMES = ("string_reversal", "exact_match", "math", "majority", "weighted", "code")


@pytest.fixture(name="copy")
def _copy(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "verifiers", tmp_path / "verifiers", ignore=ignore)
    return tmp_path


def digests_in(folder: Path, *names: str) -> dict[str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", DIGESTS, *(names or NAMES)],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_a_change_reaches_those_whom_it_concerns_and_no_others(copy: Path) -> None:
    ours = digests_in(ROOT)
    assert digests_in(copy) == ours, "where it lies changes nothing"
    limits = copy / "verifiers" / "math_equivalence" / "limits.py"
    limits.write_text(f"# Other words.\n{limits.read_text()}")
    assert digests_in(copy) == ours
    limits.write_text(f"{limits.read_text()}\nONE_MORE = 1\n")
    changed = digests_in(copy)
    assert {name for name in NAMES if changed[name] != ours[name]} == {"math", "majority"}


def test_a_part_that_changes_changes_what_is_made_of_it(copy: Path) -> None:
    before = digests_in(copy)
    edit(copy / "verifiers" / "string_reversal.py", "0.0", "0.0 + 0.0")
    after = digests_in(copy)
    assert before["string_reversal"] != after["string_reversal"]
    assert before["weighted"] != after["weighted"]
    assert before["math"] == after["math"]


def test_without_sources_the_compiled_code_counts(copy: Path) -> None:
    path = copy / "verifiers" / "string_reversal.py"

    def compiled_digest(text: str) -> str:
        path.with_suffix(".py").write_text(text)
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-b", str(copy)], check=True)
        hidden = [source.rename(source.with_suffix(".hidden")) for source in copy.rglob("*.py")]
        found = digests_in(copy, "string_reversal")["string_reversal"]
        assert found == digests_in(copy, "string_reversal")["string_reversal"]
        for source in hidden:
            source.rename(source.with_suffix(".py"))
        for made in copy.rglob("*.pyc"):
            made.unlink()
        return found

    text = path.read_text()
    before = compiled_digest(text)
    assert compiled_digest(f"# A word.\n\n{text}") == before
    assert compiled_digest(f"{text}\nONE_MORE = 1\n") != before
    extract = copy / "verifiers" / "extract.py"
    extract.write_text(f"{extract.read_text()}\nONE_MORE = 1\n")
    assert compiled_digest(text) != before, "imports are followed in compiled code as well"


@pytest.mark.usefixtures("unread")
def test_another_version_of_a_library_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"regex": "2024.1"}
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or installed(name))
    forget()
    older = digest.code_digest("verifiers.length")
    untouched = digest.code_digest("verifiers.string_check")
    versions.clear()
    forget()
    assert digest.code_digest("verifiers.length") != older
    assert digest.code_digest("verifiers.string_check") == untouched


@pytest.mark.usefixtures("unread")
def test_another_python_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest.code_digest("verifiers.length")
    forget()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert digest.code_digest("verifiers.length") != before


def forget() -> None:
    """As another process would begin."""
    for function in (digest.read, digest.spec_of, digest.version_of, digest.code_digest):
        function.cache_clear()


@pytest.fixture(name="unread")
def _unread() -> Iterator[None]:
    forget()
    yield
    forget()


# --- plug-ins and what cannot be read ---------------------------------------------------


@pytest.fixture(name="plug_in")
def _plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: None) -> Path:
    package = tmp_path / "assay_palindromes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "scorer.py").write_text("from .rules import LENGTH\nfrom verifiers import base\n")
    (package / "rules.py").write_text("LENGTH = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def test_a_plug_in_is_read_in_its_own_package(plug_in: Path) -> None:
    found = digest.deciding("assay_palindromes.scorer").modules
    assert {"assay_palindromes.rules", "verifiers.base", "verifiers.sample"} <= set(found)
    before = digest.code_digest("assay_palindromes.scorer")
    (plug_in / "rules.py").write_text("LENGTH = 4\n")
    forget()
    assert digest.code_digest("assay_palindromes.scorer") != before
    assert "assay_palindromes" not in sys.modules, "reading imports nothing"


def test_a_plug_ins_libraries_are_looked_up(plug_in: Path) -> None:
    (plug_in / "rules.py").write_text("import pytest, nowhere_to_be_found\nLENGTH = 3\n")
    assert digest.version_of("pytest") == metadata.version("pytest")
    assert digest.version_of("nowhere_to_be_found") == digest.UNREADABLE


@pytest.mark.parametrize("source", ["def (", "x = " + " + ".join("1" * 5_000), "\0"])
def test_a_module_that_cannot_be_read_fails_no_scorer(plug_in: Path, source: str) -> None:
    (plug_in / "rules.py").write_text(source)
    found = digest.deciding("assay_palindromes.scorer").modules
    assert found["assay_palindromes.rules"] == digest.UNREADABLE


def test_an_extension_counts_by_its_bytes(plug_in: Path) -> None:
    library = (plug_in / "rules.py").rename(plug_in / f"rules{EXTENSION_SUFFIXES[0]}")
    before = digest.deciding("assay_palindromes.scorer").modules["assay_palindromes.rules"]
    library.write_bytes(b"other")
    forget()
    after = digest.deciding("assay_palindromes.scorer").modules["assay_palindromes.rules"]
    assert digest.UNREADABLE not in (before, after)
    assert before != after


def test_what_cannot_be_read_equals_nothing_elsewhere() -> None:
    made = ModuleType("made_by_hand")
    sys.modules["made_by_hand"] = made
    try:
        assert digest.deciding("made_by_hand").modules == {"made_by_hand": digest.UNREADABLE}
    finally:
        del sys.modules["made_by_hand"]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    program = (
        "from verifiers.registry import Registry; from verifiers import digest; Registry();"
        "print(digest.read.cache_info().currsize)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.strip() == "0"
