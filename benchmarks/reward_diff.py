"""`make reward-diff [BASE=rev]`: what the code now rewards otherwise than the code at a commit.

A corpus (`reward_corpus.py`) is written once, and each commit's own `assay score` scores it, on
the lanes that the service would use. What differs is printed by scorer and kind. It fails where

- a reward flipped (by more than `SAME`, or into an error or out of one) and `CHANGELOG.md` has no
  new entry about that scorer, or about a part of it that flipped, too, under "Reward changes";
- a reward flipped under one digest, for then equal digests do not mean equal rewards;
- a reward flipped once and not again, of a scorer that declares to be deterministic;
- CI has too few commits to find one to compare with.

An entry is about the scorers that its bullet begins with: "- `math`, `majority`: ...". It is new
to a scorer of which there are more entries than before, and if it does not begin like one of those
that were there: an old entry in other words tells of nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reward_corpus import SANDBOXED, Row, corpus, scorers_in
from verifiers.registry import Registry

ROOT = Path(__file__).parent.parent
SAME = 1e-9
SEED = 13
SHOWN = 3
"""Flips of each kind that are printed in full."""
WIDTH = 100
"""Characters of a text that are printed."""
BEGINNING = 60
"""Characters by which entries of the change log are told apart."""
AGAIN = 2
"""How often flips are scored again. A busy machine may lose a race once; a rule loses it always."""

READABLE = """
import json, sys
import verifiers
from verifiers.base import Sample
from verifiers.registry import Registry

registry = Registry()
print(json.dumps(verifiers.__path__[0]))
for line in open(sys.argv[1], encoding="utf-8"):
    try:
        row = json.loads(line)
        Sample.model_validate(row)
        registry.build(row["scorer"])
    except ValueError as error:
        print(json.dumps(str(error)))
    else:
        print("null")
"""
"""Why a commit refuses a row altogether, a line each: `assay score` would refuse the file."""


# --- two commits ------------------------------------------------------------------------


def git(*arguments: str, folder: Path = ROOT) -> str | None:
    """What git says; None where it fails."""
    ran = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    return ran.stdout.strip() if ran.returncode == 0 else None


def default_base(folder: Path = ROOT) -> str | None:
    """The last release, else where this branch left main, else the commit before."""
    head = git("rev-parse", "HEAD", folder=folder)
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v*", folder=folder)
    if tag is not None and git("rev-parse", f"{tag}^{{commit}}", folder=folder) == head:
        tag = git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^", folder=folder)
    if tag is not None:
        return tag
    for main in ("main", "origin/main"):
        if (left := git("merge-base", "HEAD", main, folder=folder)) not in (None, head):
            return left
    return git("rev-parse", "--verify", "--quiet", "HEAD^", folder=folder)


def is_shallow(folder: Path = ROOT) -> bool:
    """Whether the clone lacks commits, among which the one to compare with may be."""
    return git("rev-parse", "--is-shallow-repository", folder=folder) == "true"


def extract(commit: str, folder: Path) -> None:
    """The tree of a commit, as files."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


class Code:
    """A folder with the packages of one commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        # Settings of a developer's own would be read by both, if they knew the same ones.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")}
        self._environment = kept | {"PYTHONPATH": str(folder), "ASSAY_JUDGE_STORE": ""}

    def refusals(self, rows: Sequence[Row], scratch: Path) -> list[str | None]:
        """Why a row cannot be read at all, for each row."""
        ran = self._run(["-c", READABLE, str(written(rows, scratch / "rows.jsonl"))], scratch)
        if ran.returncode:
            raise RuntimeError(ran.stderr)
        package, *refusals = map(json.loads, ran.stdout.splitlines())
        if not Path(package).is_relative_to(self._folder):
            raise RuntimeError(f"{package} was imported instead of what is in {self._folder}")
        return refusals

    def scores(self, rows: Sequence[Row], scratch: Path) -> dict[str, dict[str, Any]]:
        """By id, what `assay score` makes of the rows."""
        if not rows:
            return {}
        source, output = written(rows, scratch / "rows.jsonl"), scratch / "scores.jsonl"
        output.write_text("")
        command = ["-m", "app.cli", "score", str(source), "--output", str(output)]
        ran = self._run(command, scratch)
        scores = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        found = {score["id"]: score for score in scores}
        if found.keys() != {row["id"] for row in rows}:
            raise RuntimeError(f"{len(found)} of {len(rows)} rows were scored:\n{ran.stderr}")
        return found

    def _run(self, arguments: Sequence[str], scratch: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=scratch, env=self._environment, capture_output=True, text=True
        )


def written(rows: Sequence[Row], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- what differs -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flip:
    """A row that one of two commits scores otherwise."""

    row: Row
    kind: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def scorer(self) -> str:
        return str(self.row["scorer"]["type"])

    @property
    def under_one_digest(self) -> bool:
        return digest(self.before) is not None and digest(self.before) == digest(self.after)


def kind_of(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """How the reward flipped; None where it did not."""
    old, new = before["reward"], after["reward"]
    if old is None and new is None:
        return None
    if new is None:
        return "became an error"
    if old is None:
        return "was an error"
    return None if abs(old - new) <= SAME else "reward up" if new > old else "reward down"


def digest(score: dict[str, Any]) -> str | None:
    return (score.get("scorer") or {}).get("digest")


def refused(why: str) -> dict[str, Any]:
    """What stands for the score of a row that a commit does not even read."""
    return {"reward": None, "error": {"code": "refused", "message": why}, "outcome": None}


@dataclass(frozen=True, slots=True)
class Difference:
    rows: int
    flips: list[Flip]
    unsteady: list[Row]
    """Rows that flipped once, and not when they were scored again."""
    reworded: Counter[str]
    """By scorer, how many equal rewards have another outcome or answer."""
    digests: dict[str, tuple[int, int]]
    """By scorer, how many digests changed, and how many there are."""


def difference(rows: Sequence[Row], base: Code, now: Code, scratch: Path) -> Difference:
    """Scores rows on both sides. A row that is new to the base is nobody's change."""
    known = [
        row for row, why in zip(rows, base.refusals(rows, scratch), strict=True) if why is None
    ]
    refusals = dict(zip(map(id_of, known), now.refusals(known, scratch), strict=True))
    readable = [row for row in known if refusals[row["id"]] is None]
    before, after = base.scores(known, scratch), now.scores(readable, scratch)
    after |= {name: refused(why) for name, why in refusals.items() if why is not None}
    flipped = [row for row in known if kind_of(before[row["id"]], after[row["id"]])]
    steady = flipped
    for _ in range(AGAIN if flipped else 0):
        old = base.scores(whole_groups(steady, known), scratch)
        new = now.scores(whole_groups([r for r in steady if r in readable], readable), scratch)
        steady = [row for row in steady if kind_of(old[row["id"]], {**after, **new}[row["id"]])]
    flips = []
    for row in steady:
        pair = before[row["id"]], after[row["id"]]
        flips.append(Flip(row, kind_of(*pair) or "", *pair))
    names = [row["id"] for row in readable]
    return Difference(
        rows=len(known),
        flips=flips,
        unsteady=[row for row in flipped if row not in steady],
        reworded=Counter(
            row["scorer"]["type"]
            for row in readable
            if not kind_of(before[row["id"]], after[row["id"]])
            and any(before[row["id"]][k] != after[row["id"]][k] for k in ("outcome", "answer"))
        ),
        digests=changed_digests(known, names, before, after),
    )


def id_of(row: Row) -> str:
    return str(row["id"])


def whole_groups(rows: Sequence[Row], among: Sequence[Row]) -> list[Row]:
    """The rows, with all that they are compared with."""
    groups = {row["group"] for row in rows if "group" in row}
    wanted = {row["id"] for row in rows}
    return [row for row in among if row["id"] in wanted or row.get("group") in groups]


def changed_digests(
    rows: Sequence[Row],
    names: Sequence[str],
    before: dict[str, dict[str, Any]],
    after: dict[str, dict[str, Any]],
) -> dict[str, tuple[int, int]]:
    readable = set(names)
    by_scorer: dict[str, dict[str | None, bool]] = defaultdict(dict)
    for row in rows:
        if row["id"] in readable:
            old = digest(before[row["id"]])
            by_scorer[row["scorer"]["type"]][old] = old != digest(after[row["id"]])
    return {name: (sum(each.values()), len(each)) for name, each in sorted(by_scorer.items())}


# --- what was told about it -------------------------------------------------------------

ENTRY = re.compile(r"^- (.*?)(?=^- |^#|\Z)", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^### Reward changes$(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
SUBJECTS = re.compile(r"((?:`\w+`(?:, | and )?)+):")


def entries(changelog: str) -> list[tuple[set[str], str]]:
    """Of all entries under "Reward changes" that begin with scorers: these, and how they go on."""
    found = []
    for section in SECTION.findall(changelog):
        for entry in ENTRY.findall(section):
            line = " ".join(entry.split())
            if match := SUBJECTS.match(line):
                beginning = line[match.end() :].strip()[:BEGINNING].casefold()
                found.append((set(re.findall(r"`(\w+)`", match[1])), beginning))
    return found


def told(before: str, now: str) -> set[str]:
    """The scorers that new entries begin with."""
    old, new = entries(before), entries(now)
    count = Counter(name for names, _ in old for name in names)
    more = Counter(name for names, _ in new for name in names) - count
    beginnings = {beginning for _, beginning in old}
    return {
        name for names, beginning in new if beginning not in beginnings for name in names & {*more}
    }


# --- the report -------------------------------------------------------------------------


def report(found: Difference) -> Iterator[str]:
    yield f"{found.rows} samples, {len(found.flips)} rewards flipped"
    kinds: dict[tuple[str, str], list[Flip]] = defaultdict(list)
    for flip in found.flips:
        kinds[flip.scorer, f"{flip.kind} ({id_of(flip.row).partition('/')[0]})"].append(flip)
    for (scorer, kind), flips in sorted(kinds.items()):
        yield f"\n{scorer}: {kind}: {len(flips)}"
        for flip in flips[:SHOWN]:
            yield f"  {flip.row['id']}"
            yield f"    completion {shown(flip.row['completion'])}"
            yield f"    reference  {shown(flip.row.get('reference'))}"
            yield f"    {verdict(flip.before)} -> {verdict(flip.after)}"
    yield ""
    for scorer, (changed, total) in found.digests.items():
        flips_of = sum(flip.scorer == scorer for flip in found.flips)
        yield (
            f"{scorer}: {flips_of} rewards flipped, {found.reworded[scorer]} other outcomes or "
            f"answers; {changed} of {total} digests changed"
        )
    if found.unsteady:
        yield f"unsteady: {', '.join(sorted(map(id_of, found.unsteady)))}"


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}… ({len(text)} characters)"


def verdict(score: dict[str, Any]) -> str:
    if score["error"] is not None:
        return f"error {score['error']['code']}: {score['error']['message'][:WIDTH]}"
    return f"{score['reward']:g} {score['outcome']}, answer {shown(score['answer'])}"


def complaints(found: Difference, told_of: set[str]) -> Iterator[str]:
    """What is not as it should be."""
    flipped = {flip.scorer for flip in found.flips}
    untold = Counter(
        flip.scorer
        for flip in found.flips
        if flip.scorer not in told_of
        and told_of.isdisjoint(scorers_in(flip.row["scorer"]) & flipped)
    )
    for scorer, count in sorted(untold.items()):
        yield (
            f"{count} rewards of {scorer} flipped, and CHANGELOG.md has no new entry under "
            f'"### Reward changes" that begins with "- `{scorer}`: "'
        )
    lies = Counter(flip.scorer for flip in found.flips if flip.under_one_digest)
    for scorer, count in sorted(lies.items()):
        yield f"{count} rewards of {scorer} flipped under one digest"
    build = Registry().build
    shaky = Counter(
        row["scorer"]["type"] for row in found.unsteady if build(row["scorer"]).deterministic
    )
    for scorer, count in sorted(shaky.items()):
        yield f"{count} rewards of {scorer} are unsteady, which it declares to be deterministic"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--base", help="a commit; default: the last release, or main's parent")
    parser.add_argument("--fast", action="store_true", help="leave out what runs in the sandbox")
    options = parser.parse_args(arguments)
    base = options.base or default_base()
    if base is None:
        print("reward-diff: no release and no parent in this clone; nothing to compare with")
        return 1 if os.environ.get("CI") == "true" and is_shallow() else 0
    if git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") is None:
        parser.error(f"git knows no commit {base!r}")
    print(f"Rewards now, and at {git('log', '-1', '--format=%h %s', base)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="assay-reward-diff-") as temporary:
        folder, scratch = Path(temporary, "base"), Path(temporary, "scratch")
        scratch.mkdir()
        extract(base, folder)
        rows = corpus(ROOT / "tests" / "cases", SEED, before=folder / "tests" / "cases")
        if options.fast:
            rows = [row for row in rows if SANDBOXED.isdisjoint(scorers_in(row["scorer"]))]
        found = difference(rows, Code(folder), Code(ROOT), scratch)
        changelogs = [(each / "CHANGELOG.md").read_text("utf-8") for each in (folder, ROOT)]
    print("\n".join(report(found)))
    failures = list(complaints(found, told(*changelogs)))
    print("\n".join(f"reward-diff: {failure}" for failure in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
