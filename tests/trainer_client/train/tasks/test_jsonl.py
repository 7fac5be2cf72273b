"""Problems and demonstrations from files: what they may hold, and in which order they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.train.config import Config, ConfigError, load_config
from trainer_client.train.tasks import demonstrations_of, problems_of
from trainer_client.train.tasks.jsonl import Listed, read_jsonl, read_problems, shuffled
from trainer_client.train.tasks.problem import Problem


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
    assert [problem.reference for problem in problems.splits()["held_out"]] == ["D", "E"]
    assert sorted(problem.reference for problem in problems.batch(0, 3)) == ["A", "B", "C"]


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


def test_listed_demonstrations_all_come_and_need_both_fields(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{index}", "completion": f"c{index}"} for index in range(50)]
    file = written(tmp_path / "demonstrations.jsonl", *rows)
    config = load_config(None, [f'data.demonstrations="{file}"'])
    listed = {(row["prompt"], row["completion"]) for row in rows}
    assert set(next(demonstrations_of(config, 64))) == listed
    file.write_text('{"prompt": "p", "completion": "c"}\n{"prompt": "p"}\n')
    with pytest.raises(ConfigError, match=r"demonstrations.jsonl:2: .*'completion'"):
        next(demonstrations_of(config, 64))
