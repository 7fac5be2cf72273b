"""Problems: what is trained on, what is held out, and what files may hold."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.train.config import Config, ConfigError, load_config
from trainer_client.train.data import (
    LONGER_BY,
    Listed,
    Problem,
    Texts,
    nonsense,
    problems_of,
    read_jsonl,
    read_problems,
    shuffled,
    stream,
    trained,
)
from trainer_client.train.words import COMMON, UNSEEN


def letters(text: str) -> str:
    """`text` without case, spaces and punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())


def words(text: str) -> set[str]:
    return {letters(word) for word in text.split()} - {""}


def texts_with(seed: int = 0, **data: Any) -> Texts:
    return Texts.of(Config.model_validate({"seed": seed, "data": data}))


def references(problems: Sequence[Problem]) -> list[str]:
    return [problem.reference for problem in problems]


# --- generated texts --------------------------------------------------------------------


def test_training_and_held_out_texts_differ_in_more_than_case_and_punctuation() -> None:
    texts = texts_with(held_out_size=2000)
    seen = {letters(t) for step in range(60) for t in texts.texts("train", step, 64)}
    seen |= {letters(t) for t in texts.texts("demonstrations", 0, 3000, gibberish=0.3)}
    assert len(seen) > 3000
    for name, problems in texts.splits().items():
        assert not seen & {letters(text) for text in references(problems)}, name


@given(st.text(max_size=20))
def test_case_spaces_and_punctuation_do_not_move_a_text_to_the_other_side(text: str) -> None:
    assert trained(text) == trained(f" {text.casefold()}!? ") == trained(letters(text))


def test_about_one_text_in_eight_is_held_out() -> None:
    texts = stream(random.Random(0), COMMON, (8, 20))
    held_out = sum(not trained(next(texts)) for _ in range(4000))
    assert 0.10 < held_out / 4000 < 0.15


def test_the_harder_splits_use_no_word_of_training() -> None:
    assert not set(map(letters, COMMON)) & set(map(letters, UNSEEN))
    for name in ("harder", "longer"):
        for text in references(texts_with().splits()[name]):
            used = {word for word in words(text) if not word.isdigit()}
            assert used <= {letters(word) for word in UNSEEN}, text


def test_every_split_keeps_to_its_lengths_and_repeats_nothing() -> None:
    splits = texts_with(shortest=5, longest=20, held_out_size=300).splits()
    assert list(splits) == ["held_out", "harder", "longer"]
    bounds = {"held_out": (5, 20), "harder": (13, 20), "longer": (21, 20 + LONGER_BY)}
    for name, (shortest, longest) in bounds.items():
        texts = references(splits[name])
        assert len(set(texts)) == 300
        assert all(shortest <= len(text) <= longest for text in texts), name


def test_the_splits_are_the_same_for_every_seed() -> None:
    assert texts_with(seed=0).splits() == texts_with(seed=1).splits()


def test_a_batch_depends_on_seed_purpose_and_step_alone() -> None:
    texts = texts_with(seed=3)
    texts.batch(0, 8)
    assert texts.batch(5, 8) == texts_with(seed=3).batch(5, 8)
    others = [texts.batch(6, 8), texts_with(seed=4).batch(5, 8)]
    assert all(other != texts.batch(5, 8) for other in others)
    assert texts.texts("demonstrations", 5, 8) != texts.texts("train", 5, 8)


def test_a_problem_asks_by_the_template_and_its_reference_is_the_text() -> None:
    problems = texts_with(template="Reverse: {text}").batch(0, 4)
    assert [p.prompt for p in problems] == [f"Reverse: {p.reference}" for p in problems]


def test_training_texts_keep_to_their_lengths_with_and_without_gibberish() -> None:
    texts = texts_with(shortest=4, longest=9)
    for gibberish in (0.0, 0.5, 1.0):
        lengths = Counter(map(len, texts.texts("train", 0, 400, gibberish)))
        assert set(lengths) == set(range(4, 10))


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_nonsense_is_exactly_as_long_as_asked(seed: int, length: int) -> None:
    text = nonsense(random.Random(seed), length)
    assert len(text) == length
    assert text.isascii()
    assert text.isprintable()


# --- problems from files ----------------------------------------------------------------


def written(file: Path, *rows: Any) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def rows_of(*prompts: str) -> list[dict[str, str]]:
    return [{"prompt": prompt, "reference": prompt.upper()} for prompt in prompts]


def config_of(train: Path, held_out: Path) -> Config:
    return load_config(None, [f'data.train="{train}"', f'data.held_out="{held_out}"'])


def test_problems_are_read_one_a_line_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    chat = [{"role": "user", "content": "hé\u2028llo"}]
    file.write_text(
        f"{json.dumps({'prompt': 'a', 'reference': 1})}\n\n  \n{json.dumps({'prompt': chat})}"
    )
    assert read_problems(file) == [Problem("a", 1), Problem(chat, None)]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    """JSON strings may hold the other characters that Python splits lines at."""
    file = tmp_path / "problems.jsonl"
    text = f"one{separator}two"
    file.write_text(f'{{"prompt": "{text}"}}\r\n', encoding="utf-8")
    assert read_problems(file) == [Problem(text, None)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"prompt": "a"}\n{"prompt": \n', "problems.jsonl:2: "),
        ('{"prompt": "a"}\n\n["prompt"]\n', r"problems.jsonl:3: an object with \['prompt'\]"),
        ('{"prompt": "a"}\n{"reference": "b"}\n', r"problems.jsonl:2: an object with"),
        ('"prompt"\n', "problems.jsonl:1: an object"),
        ("", "problems.jsonl is empty"),
        ("\n \n", "problems.jsonl is empty"),
        (b"\xff\xfe", "problems.jsonl: .*utf-8"),
        (None, "problems.jsonl: .*No such file"),
    ],
)
def test_a_faulty_file_is_named_with_the_line(
    tmp_path: Path, content: str | bytes | None, complaint: str
) -> None:
    file = tmp_path / "problems.jsonl"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=complaint):
        read_jsonl(file, {"prompt"})


def test_a_folder_is_no_file_of_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read_jsonl(tmp_path, {"prompt"})


def test_a_held_out_prompt_that_is_also_trained_on_is_refused(tmp_path: Path) -> None:
    train = written(tmp_path / "train.jsonl", *rows_of("a", "b", "c"))
    held_out = written(tmp_path / "held_out.jsonl", *rows_of("d", "b"))
    with pytest.raises(ConfigError, match=r"1 prompts of .*held_out.jsonl .* 'b' is one"):
        problems_of(config_of(train, held_out))


def test_listed_problems_are_trained_on_and_held_out(tmp_path: Path) -> None:
    train = written(tmp_path / "train.jsonl", *rows_of("a", "b", "c"))
    held_out = written(tmp_path / "held_out.jsonl", *rows_of("d", "e"))
    problems = problems_of(config_of(train, held_out))
    assert isinstance(problems, Listed)
    assert references(problems.splits()["held_out"]) == ["D", "E"]
    assert sorted(references(problems.batch(0, 3))) == ["A", "B", "C"]


@given(
    items=st.integers(1, 12), sizes=st.lists(st.integers(1, 30), max_size=6), seed=st.integers(0, 9)
)
def test_every_item_comes_once_before_any_comes_again(
    items: int, sizes: list[int], seed: int
) -> None:
    taken: list[int] = []
    for size in sizes:
        taken += shuffled(range(items), seed, len(taken), size)
    assert len(taken) == sum(sizes)
    for start in range(0, len(taken) - items + 1, items):
        assert sorted(taken[start : start + items]) == list(range(items))


def test_epochs_are_in_different_orders() -> None:
    taken = shuffled(range(20), 0, 0, 40)
    assert taken[:20] != taken[20:]
    assert taken[:20] != list(range(20))
    assert taken != shuffled(range(20), 1, 0, 40)
