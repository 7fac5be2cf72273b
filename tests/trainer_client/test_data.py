"""Generated texts and problems from files: the same again, and never held-out ones."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.config import Config, ConfigError, load_config
from trainer_client.data import Listed, Texts, problems_of, shuffled, trained
from trainer_client.policy import CHARACTERS
from trainer_client.sft import careless_reversal, pools
from trainer_client.words import COMMON, UNSEEN

CONFIG = Config()
TEXTS = Texts.of(CONFIG)


def references(split: str) -> list[str]:
    return [problem.reference for problem in TEXTS.splits()[split]]


def training_texts(steps: int = 60) -> set[str]:
    drawn = {problem.reference for step in range(steps) for problem in TEXTS.batch(step, 64)}
    for step in range(4):
        drawn |= set(TEXTS.texts("demonstrations", step, 400, gibberish=0.3))
    return drawn


def test_the_words_of_the_harder_splits_are_not_those_of_training() -> None:
    assert not {word.casefold() for word in COMMON} & {word.casefold() for word in UNSEEN}


def test_training_and_held_out_texts_differ_in_more_than_case_and_punctuation() -> None:
    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text.casefold()))

    held_out = {letters(text) for split in TEXTS.splits() for text in references(split)}
    assert not held_out & {letters(text) for text in training_texts()}


@given(text=st.text())
def test_which_side_a_text_is_on_ignores_case_and_punctuation(text: str) -> None:
    # Casefolding is not the inverse of upper-casing everywhere, but in ASCII it is.
    text = text.encode("ascii", "ignore").decode()
    assert trained(text) == trained(f"  {text.upper()}!?") == trained(text.lower())


def test_about_one_text_in_eight_is_held_out() -> None:
    held_out = sum(not trained(str(number)) for number in range(8000))
    assert 900 < held_out < 1100


def test_each_split_has_its_lengths_and_no_text_twice() -> None:
    bounds = {"held_out": (4, 20), "harder": (12, 20), "longer": (21, 28)}
    for split, (shortest, longest) in bounds.items():
        texts = references(split)
        assert len(set(texts)) == len(texts) == CONFIG.data.held_out_size
        assert min(map(len, texts)) >= shortest
        assert max(map(len, texts)) <= longest


def test_texts_have_case_digits_and_punctuation_and_no_space_at_their_ends() -> None:
    texts = references("held_out")
    joined = "".join(texts)
    for kind in (str.isupper, str.islower, str.isdigit):
        assert sum(map(kind, joined)) > 50
    assert all(joined.count(mark) > 10 for mark in ".,!?")
    assert all(text == text.strip() for text in texts)
    assert set(joined) <= set(CHARACTERS)


def test_a_step_has_the_same_problems_every_time_and_others_than_its_neighbours() -> None:
    assert TEXTS.batch(7, 32) == Texts.of(CONFIG).batch(7, 32)
    assert TEXTS.batch(7, 32) != TEXTS.batch(8, 32)
    assert TEXTS.batch(7, 32) != Texts.of(load_config(None, ["seed=1"])).batch(7, 32)


def test_held_out_texts_are_the_same_for_every_seed() -> None:
    assert TEXTS.splits() == Texts.of(load_config(None, ["seed=1"])).splits()


def test_a_template_goes_around_the_text_and_the_reference_stays_bare() -> None:
    [problem] = Texts.of(load_config(None, ["data.template=Reverse: {text}"])).batch(0, 1)
    assert problem.prompt == f"Reverse: {problem.reference}"


# --- demonstrations ---------------------------------------------------------------------


def test_demonstrations_are_right_as_often_as_the_configuration_says() -> None:
    pairs = [pair for pool in islice(pools(CONFIG), 6) for pair in pool]
    long = [(text, shown) for text, shown in pairs if len(text) >= CONFIG.sft.long_from]
    short = [(text, shown) for text, shown in pairs if len(text) < CONFIG.sft.long_from]
    for some, careless in ((short, CONFIG.sft.careless), (long, CONFIG.sft.careless_long)):
        right = sum(shown == text[::-1] for text, shown in some) / len(some)
        assert right == pytest.approx(1 - careless - CONFIG.sft.typos, abs=0.07)


def test_demonstrators_who_take_care_make_no_mistakes() -> None:
    careful = load_config(None, ["sft.careless=0", "sft.careless_long=0", "sft.typos=0"])
    pool = next(pools(careful))
    assert all(shown == text[::-1] for text, shown in pool)


def test_a_demonstration_is_never_far_from_the_truth() -> None:
    for text, shown in next(pools(CONFIG)):
        assert isinstance(text, str)
        assert abs(len(shown) - len(text)) <= 1 or text[::-1].startswith(shown)


def test_careless_reversals_are_drawn_from_the_generator_they_are_given() -> None:
    import random

    drawn = [careless_reversal("hello world", random.Random(5), CONFIG.sft) for _ in range(2)]
    assert drawn[0] == drawn[1]


# --- files ------------------------------------------------------------------------------


def write(file: Path, *rows: object) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def listed(folder: Path, train: list[object], held_out: list[object]) -> Config:
    settings = [
        f"data.train={write(folder / 'train.jsonl', *train)}",
        f"data.held_out={write(folder / 'held_out.jsonl', *held_out)}",
    ]
    return load_config(None, settings)


def test_problems_from_files_come_once_each_before_any_comes_again(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"p{n}", "reference": n} for n in range(10)]
    problems = problems_of(listed(tmp_path, rows, [{"prompt": "other"}]))
    assert isinstance(problems, Listed)
    epochs = [problems.batch(step, 5) for step in range(4)]
    for first, second in (epochs[:2], epochs[2:]):
        assert sorted(problem.reference for problem in first + second) == list(range(10))
    assert epochs[:2] != epochs[2:]
    assert problems.batch(3, 5) == epochs[3]


def test_a_prompt_that_is_both_trained_on_and_held_out_is_refused(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": "a", "reference": 1}, {"prompt": "b", "reference": 2}]
    with pytest.raises(ConfigError, match=r"1 prompts of .*held_out\.jsonl are also in"):
        problems_of(listed(tmp_path, rows, [{"prompt": "b", "reference": 2}]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"prompt": "a"}\n{"prompt": \n', ":2: "),
        ('["prompt"]\n', r":1: an object with \['prompt'\]"),
        ('{"reference": 1}\n', r":1: an object with \['prompt'\]"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, content: str, message: str
) -> None:
    config = listed(tmp_path, [{"prompt": "a"}], [{"prompt": "b"}])
    Path(config.data.train).write_text(content)
    with pytest.raises(ConfigError, match=f"train.jsonl.*{message}"):
        problems_of(config)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = load_config(None, ["data.train=nowhere.jsonl", "data.held_out=nowhere.jsonl"])
    with pytest.raises(ConfigError, match=r"nowhere\.jsonl"):
        problems_of(config)


@given(count=st.integers(1, 9), start=st.integers(0, 40), size=st.integers(1, 25))
def test_any_stretch_of_the_shuffled_epochs_is_the_same_however_it_is_cut(
    count: int, start: int, size: int
) -> None:
    items = list(range(count))
    whole = shuffled(items, 3, 0, start + size)
    assert shuffled(items, 3, start, size) == whole[start:]


def test_demonstrations_may_come_from_a_file(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(3)]
    file = write(tmp_path / "demonstrations.jsonl", *rows)
    pool = next(pools(load_config(None, [f"data.demonstrations={file}"])))
    assert set(pool) == {("p0", "c0"), ("p1", "c1"), ("p2", "c2")}
