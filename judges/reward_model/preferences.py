"""Preference data: read strictly, split by prompt, balanced by length.

Three forms of a line, told apart by their keys:

    {"prompt", "chosen", "rejected"}   with optional "margin", "weight" and "group"
    {"prompt", "completions", "scores"}   every pair with unequal scores; the line weighs one
    {"chosen", "rejected"}   whole dialogues as in hh-rlhf, which share their beginning

Prompts that open alike belong together: train, validation and held-out sets share no opening,
and confidence intervals resample openings, not pairs. A `group` says otherwise.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, takewhile
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judges.reward_model.model.card import DataFile
from judges.reward_model.model.render import Prompt, turns
from verifiers.base import Text, first_fault
from verifiers.sample import AssistantMessage, Message, Name

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
"""How hh-rlhf writes the turns of a dialogue."""

SHOWN_FAULTS = 5
"""Named in a refusal; the rest is counted."""

LENGTH_BIN = 0.25
"""Width, in the logarithm of the ratio of two lengths, within which pairs are balanced."""

Completion = Text | AssistantMessage
Finite = Annotated[float, Field(allow_inf_nan=False)]


class DataRefused(ValueError):
    """The data cannot be trained on. The message names lines and says what to do."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name | None = None
    weight: Annotated[Finite, Field(gt=0)] = 1.0
    group: Name | None = None
    metadata: Any = None


class PairLine(_Line):
    prompt: Text | list[Message]
    chosen: Completion
    rejected: Completion
    margin: Annotated[Finite, Field(ge=0)] = 0.0


class RankedLine(_Line):
    prompt: Text | list[Message]
    completions: list[Completion] = Field(min_length=2)
    scores: list[Finite] = Field(min_length=2)


class DialogueLine(_Line):
    chosen: Text
    rejected: Text
    margin: Annotated[Finite, Field(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Somebody preferred `chosen` to `rejected`."""

    prompt: Prompt
    chosen: str
    rejected: str
    group: str
    margin: float = 0.0
    weight: float = 1.0
    line: int = 0

    @property
    def texts(self) -> tuple[tuple[Prompt, str], tuple[Prompt, str]]:
        return (self.prompt, self.chosen), (self.prompt, self.rejected)

    @property
    def log_length_ratio(self) -> float:
        """Above 0 where the chosen completion has more characters."""
        return math.log((1 + len(self.chosen)) / (1 + len(self.rejected)))


@dataclass(frozen=True)
class Preferences:
    """The pairs of one file, and what was found on the way."""

    name: str
    sha256: str
    pairs: tuple[Pair, ...]
    dropped: Counter[str] = field(default_factory=Counter)
    """Pairs left out, by reason."""

    def as_file(self) -> DataFile:
        """For the card, and the report."""
        return DataFile(name=self.name, sha256=self.sha256, pairs=len(self.pairs))


# --- reading ----------------------------------------------------------------------------


def load_preferences(file: Path, *, drop_faulty: bool = False) -> Preferences:
    """Reads JSONL, plain or gzipped.

    Args:
        drop_faulty: leave out identical and contradictory pairs, and count them, instead of
            refusing the file. Lines that cannot be read are always refused.

    Raises:
        DataRefused: naming the lines.
    """
    try:
        content = file.read_bytes()
        text = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError) as error:
        raise DataRefused(f"cannot read {file}: {error}") from None
    pairs = list(_read_lines(file.name, text))
    faults = _faults(pairs)
    if faults and not drop_faulty:
        raise DataRefused(_complaint(file.name, pairs, faults))
    kept = tuple(pair for index, pair in enumerate(pairs) if index not in faults)
    if not kept:
        raise DataRefused(f"{file.name} holds no preference pairs")
    return Preferences(
        file.name,
        hashlib.sha256(content).hexdigest(),
        kept,
        Counter(faults.values()),
    )


def _read_lines(name: str, text: bytes) -> Iterator[Pair]:
    bad: list[str] = []
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield from pairs_of(orjson.loads(line), number)
        except orjson.JSONDecodeError as error:
            bad.append(f"line {number}: not JSON: {error.msg}")
        except ValidationError as error:
            bad.append(first_fault(f"line {number}", error))
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if bad:
        raise DataRefused(f"{name}: " + "; ".join(_some(bad)))


def pairs_of(row: Any, number: int = 0) -> list[Pair]:
    """The pairs of one line.

    Raises:
        ValueError: it has none of the three forms.
    """
    keys = set(row) if isinstance(row, dict) else set()
    if "completions" in keys:
        return _ranked(RankedLine.model_validate(row), number)
    if "prompt" in keys:
        line = PairLine.model_validate(row)
        return [_pair(line, line.prompt, text_of(line.chosen), text_of(line.rejected), number)]
    if {"chosen", "rejected"} <= keys:
        dialogue = DialogueLine.model_validate(row)
        return [_pair(dialogue, *_split_dialogues(dialogue), number)]
    raise ValueError(
        'has neither "prompt", "chosen" and "rejected" nor "prompt", "completions" and "scores"'
    )


def text_of(completion: Completion) -> str:
    return completion if isinstance(completion, str) else completion.text


def _pair(
    line: PairLine | DialogueLine, prompt: Prompt, chosen: str, rejected: str, number: int
) -> Pair:
    group = line.group or opening_hash(prompt)
    return Pair(prompt, chosen, rejected, group, line.margin, line.weight, number)


def _ranked(line: RankedLine, number: int) -> list[Pair]:
    """All pairs, which together weigh as one line (Ouyang et al. 2022, equation 1)."""
    if len(line.completions) != len(line.scores):
        raise ValueError(f"{len(line.completions)} completions and {len(line.scores)} scores")
    group = line.group or opening_hash(line.prompt)
    ranked = sorted(zip(line.scores, map(text_of, line.completions), strict=True), reverse=True)
    unequal = [(a[1], b[1]) for a, b in combinations(ranked, 2) if a[0] > b[0]]
    if not unequal:
        raise ValueError("all scores are equal, so nothing is preferred")
    weight = line.weight / len(unequal)
    return [Pair(line.prompt, a, b, group, 0.0, weight, number) for a, b in unequal]


def _split_dialogues(line: DialogueLine) -> tuple[Prompt, str, str]:
    same = (a == b for a, b in zip(line.chosen, line.rejected, strict=False))
    shared = sum(takewhile(bool, same))
    cut = line.chosen.rfind(ASSISTANT, 0, shared)
    if cut < 0 or not line.chosen.startswith(HUMAN):
        raise ValueError(
            'has no "prompt", and its dialogues do not share a beginning of "\\n\\nHuman:" and '
            '"\\n\\nAssistant:" turns'
        )
    end = cut + len(ASSISTANT)
    return _turns(line.chosen[:cut]), line.chosen[end:].strip(), line.rejected[end:].strip()


def _turns(dialogue: str) -> list[Message]:
    messages = []
    for turn in dialogue.split(HUMAN)[1:]:
        human, *answers = turn.split(ASSISTANT)
        messages.append(Message(role="user", content=human.strip()))
        messages += [Message(role="assistant", content=answer.strip()) for answer in answers]
    return messages


def opening_hash(prompt: Prompt) -> str:
    """Of the first user message (of a plain prompt: of all of it), ignoring case and spacing."""
    said = [text for role, text in turns(prompt) if role == "user"]
    opening = said[0] if said else "".join(text for _, text in turns(prompt))
    return hashlib.sha256(" ".join(opening.casefold().split()).encode()).hexdigest()[:16]


# --- faults -----------------------------------------------------------------------------


def _faults(pairs: Sequence[Pair]) -> dict[int, str]:
    """The indices of pairs that teach nothing, or the opposite of each other."""
    faults: dict[int, str] = {}
    seen: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        chosen, rejected = pair.chosen.strip(), pair.rejected.strip()
        if chosen == rejected:
            faults[index] = "identical"
            continue
        prompt = pair.prompt if isinstance(pair.prompt, str) else repr(pair.prompt)
        seen[prompt, chosen, rejected].append(index)
        if opposite := seen.get((prompt, rejected, chosen)):
            faults.update(dict.fromkeys([index, *opposite], "contradictory"))
    return faults


def _complaint(name: str, pairs: Sequence[Pair], faults: dict[int, str]) -> str:
    counts = Counter(faults.values())
    counted = " and ".join(f"{count} {reason} pairs" for reason, count in counts.items())
    lines = _some([f"line {pairs[index].line} ({faults[index]})" for index in sorted(faults)])
    return f"{name} holds {counted}: {', '.join(lines)}; --drop-faulty leaves them out"


def _some(faults: Sequence[str]) -> list[str]:
    more = len(faults) - SHOWN_FAULTS
    return [*faults[:SHOWN_FAULTS], *([f"and {more} more"] if more > 0 else [])]


# --- splitting --------------------------------------------------------------------------


def fold_of(pair: Pair, folds: int, seed: int = 0) -> int:
    """The same for all pairs of a group, on every machine."""
    digest = hashlib.sha256(f"{seed}:{pair.group}".encode()).digest()
    return int.from_bytes(digest[:8]) % folds


def split(
    pairs: Sequence[Pair], share: float, seed: int = 0
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """The pairs, and about `share` of the groups set apart."""
    parts = 10_000
    apart = [fold_of(pair, parts, seed) < share * parts for pair in pairs]
    return (
        tuple(pair for pair, out in zip(pairs, apart, strict=True) if not out),
        tuple(pair for pair, out in zip(pairs, apart, strict=True) if out),
    )


def refuse_shared_prompts(train: Iterable[Pair], held_out: Iterable[Pair]) -> None:
    """
    Raises:
        DataRefused: a prompt that is trained on would be tested on.
    """
    known = {pair.group for pair in train}
    shared = [pair.line for pair in held_out if pair.group in known]
    if shared:
        lines = ", ".join(map(str, shared[:SHOWN_FAULTS]))
        raise DataRefused(
            f"{len(shared)} held-out pairs open with prompts that are trained on (lines {lines}"
            f"{' …' if len(shared) > SHOWN_FAULTS else ''} of the held-out file); take them out, "
            "or leave out --held-out to have the training file split by prompt"
        )


# --- length -----------------------------------------------------------------------------


def length_balanced(pairs: Sequence[Pair], seed: int = 0) -> tuple[Pair, ...]:
    """As many pairs where the longer one won as where it lost, for every ratio of lengths.

    What is left over of the more frequent side is left out, at random.
    """
    chance = random.Random(seed)
    bins: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    kept: list[int] = []
    for index, pair in enumerate(pairs):
        ratio = pair.log_length_ratio
        if ratio == 0:
            kept.append(index)
        else:
            bins[int(abs(ratio) / LENGTH_BIN)][ratio > 0].append(index)
    for shorter, longer in bins.values():
        count = min(len(shorter), len(longer))
        kept += chance.sample(shorter, count) + chance.sample(longer, count)
    return tuple(pairs[index] for index in sorted(kept))


def bootstrap_groups(pairs: Sequence[Pair], seed: int) -> list[int]:
    """How often each pair is drawn when groups are drawn with replacement."""
    names = sorted({pair.group for pair in pairs})
    drawn = Counter(random.Random(seed).choices(names, k=len(names)))
    return [drawn[pair.group] for pair in pairs]
