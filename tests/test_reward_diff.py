"""`make reward-diff` finds what is rewarded otherwise, and says when it was not told."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import reward_diff
from benchmarks.reward_corpus import Row, corpus, scorers_in
from benchmarks.reward_diff import (
    Code,
    complaints,
    default_base,
    difference,
    entries,
    is_shallow,
    told,
)
from verifiers.base import Sample
from verifiers.registry import Registry
from verifiers.string_check import StringCheck

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases"

ROWS: list[Row] = [
    {"id": "a", "scorer": {"type": "string_check"}, "completion": "x", "reference": "x"},
    {"id": "b", "scorer": {"type": "string_check"}, "completion": "y", "reference": "x"},
    {"id": "c", "scorer": {"type": "string_check"}, "completion": "z", "reference": 5},
    {"id": "d", "scorer": {"type": "length", "max_length": 9, "buffer": 3}, "completion": "x" * 8},
    {"id": "e", "scorer": {"type": "exact_match"}, "completion": "x", "reference": "x"},
    {"id": "f", "scorer": {"type": "majority"}, "completion": "\\boxed{1}", "group": "g"},
    {"id": "g", "scorer": {"type": "majority"}, "completion": "\\boxed{2}", "group": "g"},
    {"id": "h", "scorer": {"type": "majority"}, "completion": "\\boxed{2}", "group": "g"},
]  # fmt: skip


@pytest.fixture(name="copy")
def _copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    for package in ("app", "verifiers", "judges"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture(name="scratch")
def _scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


REAL_PROCESSES = pytest.mark.timeout(400)
"""Up to eight processes of the command line, one after the other, perhaps on a busy machine."""


# --- the corpus -------------------------------------------------------------------------


def test_the_corpus_is_the_same_every_time_and_holds_thousands() -> None:
    rows = corpus(CASES, reward_diff.SEED)
    assert rows == corpus(CASES, reward_diff.SEED)
    assert len({row["id"] for row in rows}) == len(rows)
    generated = Counter(row["scorer"]["type"] for row in rows if "/generated-" in row["id"])
    assert generated.total() > 3_000
    assert min(generated.values()) >= 50


def test_every_row_of_the_corpus_is_read_and_no_verifier_is_left_out() -> None:
    registry = Registry()
    rows = corpus(CASES, reward_diff.SEED)
    for row in rows:
        assert Sample.model_validate(row).id == row["id"]
        assert registry.build(row["scorer"]).name == row["scorer"]["type"]
    assert {row["scorer"]["type"] for row in rows} == set(registry.types)


def test_rows_that_were_edited_or_deleted_are_scored_as_they_were(tmp_path: Path) -> None:
    now, before = tmp_path / "now", tmp_path / "before"
    for folder in (now, before):
        shutil.copytree(CASES, folder)
    edit(now / "length.jsonl", '"max_length": 100', '"max_length": 101')
    old = [row for row in corpus(now, 0, before) if row["id"].endswith("/before")]
    assert [row["scorer"]["max_length"] for row in old] == [100]


def test_the_parts_of_a_composite_are_found() -> None:
    part = {"scorer": {"type": "weighted", "components": {"b": {"scorer": "math"}}}}
    spec = {"type": "weighted", "components": {"a": part}, "gates": {"c": {"scorer": "regex"}}}
    assert scorers_in(spec) == {"weighted", "math", "regex"}


# --- what differs -----------------------------------------------------------------------


@REAL_PROCESSES
def test_the_same_code_rewards_alike(copy: Path, scratch: Path) -> None:
    found = difference(ROWS, Code(copy), Code(ROOT), scratch)
    assert (found.rows, found.flips, found.reworded.total()) == (len(ROWS), [], 0)
    assert {changed for changed, _ in found.digests.values()} == {0}
    assert not list(complaints(found, set()))


LENGTH_RULE = "reward=-excess / options.buffer"
RULE = "        holds = self.holds(text, reference)\n"
OTHER_RULE = """        if text == "x":
            raise InvalidReference("reference: no more")
        holds = text == "y"
"""


@REAL_PROCESSES
def test_flips_are_found_with_their_kind(copy: Path, scratch: Path) -> None:
    edit(copy / "verifiers" / "string_check.py", RULE, OTHER_RULE)
    edit(copy / "verifiers" / "length.py", LENGTH_RULE, f"{LENGTH_RULE} - 0.25")
    there = difference(ROWS, Code(ROOT), Code(copy), scratch)
    assert {flip.row["id"]: flip.kind for flip in there.flips} == {
        "a": "became an error",
        "b": "reward up",
        "d": "reward down",
    }
    assert there.digests["string_check"] == (1, 1)
    assert there.digests["exact_match"] == (0, 1)
    assert list(complaints(there, {"string_check", "length"})) == []
    assert any("`string_check`" in complaint for complaint in complaints(there, {"length"}))
    printed = "\n".join(reward_diff.report(there))
    assert "string_check: became an error" in printed
    assert '0 incorrect, answer "y" -> 1 correct' in printed


def test_every_kind_of_flip_has_a_name() -> None:
    def kind(*rewards: float | None) -> str | None:
        before, after = ({"reward": reward} for reward in rewards)
        return reward_diff.kind_of(before, after)

    assert kind(None, 0.0) == "was an error"
    assert kind(0.0, None) == "became an error"
    assert (kind(0.0, 1.0), kind(1.0, 0.0)) == ("reward up", "reward down")
    assert kind(None, None) is kind(0.5, 0.5) is kind(0.5, 0.5 + 1e-12) is None


@REAL_PROCESSES
def test_other_answers_and_outcomes_are_counted_and_no_flips(copy: Path, scratch: Path) -> None:
    edit(copy / "verifiers" / "string_check.py", "answer=text)", "answer=text * 2)")
    found = difference(ROWS, Code(ROOT), Code(copy), scratch)
    assert found.flips == []
    assert found.reworded == {"string_check": 2}


@REAL_PROCESSES
def test_a_flip_under_one_digest_is_never_forgiven(
    copy: Path, scratch: Path, tmp_path: Path
) -> None:
    liar = tmp_path / "liar"
    edit(copy / "verifiers" / "digest.py", "    found = deciding(module)\n", "    return module\n")
    shutil.copytree(copy, liar)
    edit(liar / "verifiers" / "string_check.py", RULE, OTHER_RULE)
    found = difference(ROWS, Code(copy), Code(liar), scratch)
    [complaint] = complaints(found, {"string_check"})
    assert complaint == "2 rewards of string_check flipped under one digest"


@REAL_PROCESSES
def test_a_row_that_is_refused_now_flipped_and_a_new_scorer_did_not(
    copy: Path, scratch: Path
) -> None:
    edit(copy / "verifiers" / "registry.py", '    "string_check:StringCheck",\n', "")
    gone = difference(ROWS, Code(ROOT), Code(copy), scratch)
    assert {flip.row["id"]: flip.kind for flip in gone.flips} == {
        "a": "became an error",
        "b": "became an error",
    }
    new = difference(ROWS, Code(copy), Code(ROOT), scratch)
    assert (new.rows, new.flips) == (len(ROWS) - 3, [])


@REAL_PROCESSES
def test_what_flips_once_and_never_again_is_unsteady(copy: Path, scratch: Path) -> None:
    """The first process that scores `x` there pays for it, and no later one."""
    once = f"""        import os, contextlib
        holds = self.holds(text, reference)
        with contextlib.suppress(FileExistsError):
            os.close(os.open({str(scratch / "once")!r}, os.O_CREAT | os.O_EXCL))
            holds = not holds
"""
    edit(copy / "verifiers" / "string_check.py", RULE, once)
    found = difference(ROWS, Code(ROOT), Code(copy), scratch)
    assert (found.flips, [row["id"] for row in found.unsteady]) == ([], ["a"])
    assert "unsteady: a" in reward_diff.report(found)
    [complaint] = complaints(found, {"string_check"})
    assert complaint.startswith("1 rewards of string_check are unsteady")


def test_a_scorer_that_promises_no_steadiness_may_be_unsteady(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = reward_diff.Difference(1, [], ROWS[:1], Counter(), {})
    assert len(list(complaints(found, set()))) == 1
    monkeypatch.setattr(StringCheck, "deterministic", False)
    assert not list(complaints(found, set()))


def test_the_code_of_the_folder_is_scored_and_no_other(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match=r"instead of|No module"):
        Code(tmp_path / "empty").refusals(ROWS, scratch)


# --- what the change log tells ----------------------------------------------------------

BEFORE = """# Changelog
## Unreleased
### Added
- `regex`: not about rewards.

### Reward changes
- `math`: an old entry,
  on two lines.
"""


def test_only_new_entries_under_reward_changes_count() -> None:
    assert entries(BEFORE) == [({"math"}, "an old entry, on two lines.")]
    assert told(BEFORE, BEFORE) == set()
    older = "## 0.1.0\n### Reward changes\n- `length`: tells.\n"
    now = f"{BEFORE}- `code` and `majority`: tell.\n\n{older}"
    assert told(BEFORE, now) == {"code", "majority", "length"}
    assert told(BEFORE, f"{BEFORE}### Fixed\n- `format`: is elsewhere.\n") == set()


@pytest.mark.parametrize("entry", ["- It is `math`: here.", "- `math` is here.", "- math: here."])
def test_an_entry_begins_with_its_scorers(entry: str) -> None:
    assert told(BEFORE, f"{BEFORE}{entry}\n") == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Unreleased", "0.1.0"),
        ("an old", "another"),
        ("an old entry,\n  on two lines", "An old entry, on two lines, or three"),
        ("- `math`:", "- `math`, `regex`:"),
        ("- `math`: an old", "- `math`: an old entry, on two lines.\n- `math`: an old"),
    ],
)
def test_an_old_entry_is_no_new_one_where_it_was_moved_reworded_or_repeated(
    old: str, new: str
) -> None:
    assert old in BEFORE
    assert told(BEFORE, BEFORE.replace(old, new)) == set()


def test_a_second_entry_of_a_scorer_is_a_new_one() -> None:
    assert told(BEFORE, f"{BEFORE}- `math`: another.\n") == {"math"}


def test_a_part_that_was_told_of_explains_what_is_made_of_it_if_it_flipped_itself() -> None:
    spec = {"type": "weighted", "components": {"a": {"scorer": "math"}}}
    specs = {"sum": spec, "part": {"type": "math"}, "other": {"type": "regex"}}
    whole, part, other = (
        reward_diff.Flip(
            {"id": f"accept/{name}", "scorer": scorer, "completion": ""},
            *("reward up", {"scorer": None}, {"scorer": None}),
        )
        for name, scorer in specs.items()
    )

    def untold(told_of: str, *flips: reward_diff.Flip) -> list[str]:
        found = reward_diff.Difference(3, list(flips), [], Counter(), {})
        return [complaint.split()[3] for complaint in complaints(found, {told_of})]

    assert untold("math", whole, part) == untold("weighted", whole) == []
    assert untold("math", whole) == untold("math", whole, other)[1:] == ["weighted"]
    assert untold("regex", whole, other) == ["weighted"]


# --- what is compared with --------------------------------------------------------------


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    ran = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def commit(folder: Path, subject: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def test_a_clone_without_a_parent_has_nothing_to_compare_with(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert default_base(repository) is None
    monkeypatch.setattr(reward_diff, "default_base", lambda: default_base(repository))
    monkeypatch.setattr(reward_diff, "is_shallow", lambda: is_shallow(repository))
    monkeypatch.setenv("CI", "true")
    assert reward_diff.main([]) == 0
    assert "nothing to compare with" in capsys.readouterr().out


def test_in_ci_a_shallow_clone_is_no_excuse(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.as_uri(), str(clone))
    assert default_base(clone) is None
    monkeypatch.setattr(reward_diff, "default_base", lambda: default_base(clone))
    monkeypatch.setattr(reward_diff, "is_shallow", lambda: is_shallow(clone))
    monkeypatch.setenv("CI", "true")
    assert reward_diff.main([]) == 1
    monkeypatch.delenv("CI")
    assert reward_diff.main([]) == 0


def test_main_is_compared_with_its_parent_and_a_branch_with_where_it_left(
    repository: Path,
) -> None:
    first = git(repository, "rev-parse", "HEAD")
    second = commit(repository, "second")
    assert default_base(repository) == first
    git(repository, "checkout", "--quiet", "-b", "branch")
    commit(repository, "third")
    commit(repository, "fourth")
    assert default_base(repository) == second


def test_a_release_comes_first_and_is_not_compared_with_itself(repository: Path) -> None:
    git(repository, "tag", "v0.1.0")
    git(repository, "tag", "other")
    assert default_base(repository) is None
    commit(repository, "second")
    commit(repository, "third")
    assert default_base(repository) == "v0.1.0"
    git(repository, "tag", "v0.2.0")
    assert default_base(repository) == "v0.1.0"


def test_an_unknown_commit_is_refused() -> None:
    with pytest.raises(SystemExit) as stop:
        reward_diff.main(["--base", "no-such-commit"])
    assert stop.value.code == 2
