"""Reading preference data: every form, every fault by its line, and splits that do not leak."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.reward_model.preferences import (
    DataRefused,
    Pair,
    bootstrap_groups,
    fold_of,
    length_balanced,
    load_preferences,
    opening_hash,
    pairs_of,
    refuse_shared_prompts,
    split,
)
from tests.judges.reward_model import preferences
from verifiers.sample import Message

PAIR = {"prompt": "p", "chosen": "good", "rejected": "bad"}


def pair(chosen: str, rejected: str, prompt: str = "p", line: int = 1) -> Pair:
    return Pair(prompt, chosen, rejected, opening_hash(prompt), line=line)


# --- forms ------------------------------------------------------------------------------


def test_a_pair_keeps_margin_weight_and_group() -> None:
    [read] = pairs_of({**PAIR, "margin": 0.5, "weight": 2, "group": "g"}, 7)
    assert read == Pair("p", "good", "bad", "g", margin=0.5, weight=2.0, line=7)


def test_prompts_and_completions_may_be_messages() -> None:
    [read] = pairs_of(
        {
            "prompt": [{"role": "user", "content": "p"}],
            "chosen": {"role": "assistant", "content": "good"},
            "rejected": "bad",
        }
    )
    assert read.prompt == [Message(role="user", content="p")]
    assert (read.chosen, read.rejected) == ("good", "bad")


def test_a_ranking_is_all_its_unequal_pairs_and_weighs_one() -> None:
    read = pairs_of({"prompt": "p", "completions": ["a", "b", "c"], "scores": [1, 3, 1]})
    assert {(one.chosen, one.rejected) for one in read} == {("b", "a"), ("b", "c")}
    assert sum(one.weight for one in read) == pytest.approx(1)


def test_dialogues_are_cut_where_they_part() -> None:
    shared = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: and now?\n\nAssistant:"
    [read] = pairs_of({"chosen": shared + " Yes, now.", "rejected": shared + " Yes, never."})
    assert read.prompt == [
        Message(role="user", content="hi"),
        Message(role="assistant", content="hello"),
        Message(role="user", content="and now?"),
    ]
    assert (read.chosen, read.rejected) == ("Yes, now.", "Yes, never.")


def test_dialogues_of_different_length_are_cut_at_the_last_shared_turn() -> None:
    shared = "\n\nHuman: hi\n\nAssistant:"
    [read] = pairs_of(
        {"chosen": f"{shared} a\n\nHuman: more\n\nAssistant: b", "rejected": f"{shared} c"}
    )
    assert read.chosen == "a\n\nHuman: more\n\nAssistant: b"
    assert read.rejected == "c"


def test_a_gzipped_file_is_the_same_data(tmp_path: Path) -> None:
    plain = preferences.write(tmp_path / "a.jsonl", preferences.rows(3))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert load_preferences(tmp_path / "a.jsonl.gz").pairs == load_preferences(plain).pairs


# --- faults -----------------------------------------------------------------------------

UNUSABLE: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "line 2: not JSON"),
    "a number": ("7", "line 2: has neither"),
    "no rejected": ('{"prompt": "p", "chosen": "a"}', "line 2.rejected: Field required"),
    "misspelt member": (json.dumps({**PAIR, "margn": 1}), "line 2.margn: Extra inputs"),
    "negative margin": (json.dumps({**PAIR, "margin": -1}), "line 2.margin"),
    "weight of zero": (json.dumps({**PAIR, "weight": 0}), "line 2.weight"),
    "infinite score": (
        '{"prompt": "p", "completions": ["a", "b"], "scores": [1, 1e999]}',
        "line 2",
    ),
    "scores missing": (
        '{"prompt": "p", "completions": ["a", "b", "c"], "scores": [1, 2]}',
        "line 2: 3 completions and 2 scores",
    ),
    "no preference": (
        '{"prompt": "p", "completions": ["a", "b"], "scores": [1, 1]}',
        "line 2: all scores are equal",
    ),
    "dialogues apart": (
        '{"chosen": "\\n\\nHuman: a", "rejected": "\\n\\nHuman: b"}',
        'line 2: has no "prompt", and its dialogues',
    ),
}


@pytest.mark.parametrize(("line", "complaint"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(
    tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps(PAIR) + "\n" + line + "\n")
    with pytest.raises(DataRefused) as refused:
        load_preferences(file, drop_faulty=True)
    assert complaint in str(refused.value)


def test_many_bad_lines_are_named_up_to_a_point_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text("{\n" * 9)
    with pytest.raises(DataRefused, match=r"line 5.*and 4 more"):
        load_preferences(file)


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_data_set_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.jsonl").write_text(content)
    with pytest.raises(DataRefused, match="holds no preference pairs"):
        load_preferences(tmp_path / "data.jsonl")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="cannot read"):
        load_preferences(tmp_path / "none.jsonl")


FAULTY: dict[str, tuple[list[Any], str, Counter[str]]] = {
    "identical": (
        [PAIR, {"prompt": "q", "chosen": "same", "rejected": " same\n"}],
        r"1 identical pairs: line 2",
        Counter(identical=1),
    ),
    "contradictory": (
        [
            PAIR,
            {"prompt": "q", "chosen": "a", "rejected": "b"},
            {**PAIR, "chosen": "bad", "rejected": "good"},
        ],
        r"2 contradictory pairs: line 1 \(contradictory\), line 3",
        Counter(contradictory=2),
    ),
}


@pytest.mark.parametrize(("lines", "complaint", "dropped"), FAULTY.values(), ids=FAULTY)
def test_pairs_that_teach_nothing_are_refused_or_left_out_and_counted(
    tmp_path: Path, lines: list[Any], complaint: str, dropped: Counter[str]
) -> None:
    file = preferences.write(tmp_path / "data.jsonl", lines)
    with pytest.raises(DataRefused, match=complaint):
        load_preferences(file)
    read = load_preferences(file, drop_faulty=True)
    assert read.dropped == dropped
    assert len(read.pairs) == len(lines) - dropped.total()


def test_the_same_pair_under_another_prompt_is_no_contradiction(tmp_path: Path) -> None:
    lines = [PAIR, {"prompt": "other", "chosen": "bad", "rejected": "good"}]
    assert len(load_preferences(preferences.write(tmp_path / "d.jsonl", lines)).pairs) == 2


# --- splitting --------------------------------------------------------------------------


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1), st.floats(0, 1), st.integers(0, 9))
def test_no_prompt_is_on_both_sides_of_a_split(prompts: list[str], share: float, seed: int) -> None:
    pairs = [pair("x", "y", prompt) for prompt in prompts]
    kept, apart = split(pairs, share, seed)
    assert len(kept) + len(apart) == len(pairs)
    assert not {one.group for one in kept} & {one.group for one in apart}


def test_conversations_that_open_alike_stay_together() -> None:
    first = [Message(role="user", content="Hello  There")]
    later = [
        Message(role="system", content="be brief"),
        Message(role="user", content="hello there"),
        Message(role="assistant", content="hi"),
    ]
    assert opening_hash(first) == opening_hash(later) == opening_hash("hello there")


def test_folds_are_about_equal_and_depend_on_the_seed() -> None:
    pairs = [pair("x", "y", str(number)) for number in range(1_000)]
    first, second = ([fold_of(one, 5, seed) for one in pairs] for seed in (0, 1))
    assert all(150 < count < 250 for count in Counter(first).values())
    assert first != second


def test_a_prompt_shared_by_training_and_held_out_pairs_is_refused() -> None:
    with pytest.raises(DataRefused, match=r"1 held-out pairs .*lines 8"):
        refuse_shared_prompts([pair("a", "b")], [pair("c", "d", "q"), pair("e", "f", line=8)])


# --- length -----------------------------------------------------------------------------

words = st.text("ab", min_size=1, max_size=30)


@given(st.lists(st.tuples(words, words), max_size=40), st.integers(0, 3))
def test_balancing_leaves_as_many_wins_of_the_longer_as_of_the_shorter(
    texts: list[tuple[str, str]], seed: int
) -> None:
    pairs = [pair(chosen, rejected) for chosen, rejected in texts]
    balanced = length_balanced(pairs, seed)
    signs = Counter((one.log_length_ratio > 0) - (one.log_length_ratio < 0) for one in balanced)
    assert signs[1] == signs[-1]
    assert signs[0] == sum(len(a) == len(b) for a, b in texts)


def test_a_bootstrap_draws_whole_groups() -> None:
    pairs = [pair("x", "y", prompt) for prompt in "aabbccdd"]
    counts = bootstrap_groups(pairs, seed=1)
    assert counts[0::2] == counts[1::2]
    assert sum(counts) == len(pairs)
    assert counts != bootstrap_groups(pairs, seed=2)
