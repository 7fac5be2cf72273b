"""BLEU, GLEU, METEOR and ROUGE beside their published implementations.

Texts are generated from words, marks and scripts, and edited; a few are written by hand. What
departs is stated in the module's docstring and pinned here.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Sequence

import pytest
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from nltk.translate.gleu_score import sentence_gleu
from nltk.translate.meteor_score import exact_match
from rouge_score.rouge_scorer import RougeScorer

from verifiers.text_similarity import (
    METRICS,
    Metric,
    alignment,
    bleu,
    chunks,
    gleu,
    meteor,
    words,
    words_and_marks,
)

VOCABULARY = (
    "the cat sat on a mat and then dogs ran under trees while birds sang , . ! it's 3.5 Über "
    "naïve snow-white 北京 кот snake_case U.S. $5 50% «quoted»"
).split()
ASCII = "the cat sat on a mat and then dogs ran under trees while birds sang , . ! it's The CAT"
BY_HAND = [
    ("the", "the"),
    ("The cat sat on the mat.", "the cat sat on the mat"),
    ("the the the the the the the", "the cat is on the mat"),
    ("It is a guide to action", "It is a guide to action which ensures that the military obeys"),
    ("on the mat sat the cat", "the cat sat on the mat"),
    ("a b c d e f g h", "h g f e d c b a"),
    ("police killed the gunman", "police kill the gunman"),
    ("the gunman police killed", "police killed the gunman"),
    ("nothing at all", "something else entirely"),
]
ROUGES: list[tuple[Metric, str]] = [
    *((f"rouge_{order}", f"rouge{order}") for order in (1, 2, 3, 4, 5)),  # type: ignore[misc]
    ("rouge_l", "rougeL"),
]


def generated(vocabulary: Sequence[str], count: int, longest: int = 25) -> list[tuple[str, str]]:
    """Pairs of texts, of which most are edits of one another; always the same ones."""
    source = random.Random(20261201)

    def text() -> list[str]:
        return source.choices(vocabulary, k=source.randint(1, longest))

    def edited(tokens: list[str]) -> list[str]:
        edited = tokens[:]
        for _ in range(source.randint(0, 6)):
            at = source.randrange(len(edited))
            kind = source.choice(("drop", "add", "replace", "move"))
            if kind in ("drop", "replace", "move") and len(edited) > 1:
                moved = edited.pop(at)
            if kind in ("add", "replace"):
                edited.insert(at, source.choice(vocabulary))
            elif kind == "move" and len(edited) > 1:
                edited.insert(source.randrange(len(edited)), moved)
        return edited

    pairs = []
    for _ in range(count):
        theirs = text()
        ours = edited(theirs) if source.random() < 0.7 else text()
        pairs.append((" ".join(ours), " ".join(theirs)))
    return pairs


PAIRS = [*BY_HAND, *generated(VOCABULARY, 400)]
ASCII_PAIRS = [*BY_HAND, *generated(ASCII.split(), 200)]


def sacre(ours: str, theirs: str, tokenizer: str) -> float:
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # it recommends another order
    score = sacrebleu.sentence_bleu(
        ours,
        [theirs],
        smooth_method="add-k",
        smooth_value=1,
        tokenize=tokenizer,
        use_effective_order=False,
    )
    return score.score / 100


def test_bleu_is_sacrebleus_of_the_same_tokens() -> None:
    for pair in PAIRS:
        ours, theirs = map(words_and_marks, pair)
        published = sacre(" ".join(ours), " ".join(theirs), "none")
        assert bleu(ours, theirs) == pytest.approx(published, abs=1e-12), pair


@pytest.mark.parametrize(
    ("text", "tokens"), [("3.5", ["3", ".", "5"]), ("snow-white", ["snow", "-", "white"])]
)
def test_sacrebleu_keeps_some_tokens_in_one_piece(text: str, tokens: list[str]) -> None:
    assert words_and_marks(text) == tokens
    assert sacre(text, text, "13a") == sacre("word", "word", "none")
    other = text[:-1] + "x"
    assert sacre(other, text, "13a") == 0
    assert bleu(words_and_marks(other), words_and_marks(text)) > 0


def test_bleu_is_nltks_of_four_words_or_more() -> None:
    smoothing = SmoothingFunction().method2
    long = [pair for pair in PAIRS if len(words_and_marks(pair[0])) > 3]
    assert len(long) > 300
    for pair in long:
        ours, theirs = map(words_and_marks, pair)
        published = sentence_bleu([theirs], ours, smoothing_function=smoothing)
        assert bleu(ours, theirs) == pytest.approx(published, abs=1e-12), pair
    published = sentence_bleu([["the"]], ["the"], smoothing_function=smoothing)
    assert published == pytest.approx(0.5**0.75)
    assert bleu(["the"], ["the"]) == 1


def test_gleu_is_nltks() -> None:
    for pair in PAIRS:
        ours, theirs = map(words_and_marks, pair)
        published = sentence_gleu([theirs], ours)
        assert gleu(ours, theirs) == pytest.approx(published, abs=1e-12), pair


class Words:
    """Our tokens, for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return list(words(text))


@pytest.mark.parametrize(("metric", "published"), ROUGES)
def test_rouge_is_rouge_scores_of_the_same_tokens(metric: Metric, published: str) -> None:
    scorer = RougeScorer([published], tokenizer=Words())
    for pair in PAIRS:
        ours, theirs = map(words, pair)
        expected = scorer.score(pair[1], pair[0])[published].fmeasure
        assert METRICS[metric][1](ours, theirs) == pytest.approx(expected, abs=1e-12), pair


@pytest.mark.parametrize(("metric", "published"), ROUGES)
def test_rouge_is_rouge_scores_of_english(metric: Metric, published: str) -> None:
    scorer = RougeScorer([published], use_stemmer=False)
    for pair in ASCII_PAIRS:
        ours, theirs = map(words, pair)
        expected = scorer.score(pair[1], pair[0])[published].fmeasure
        assert METRICS[metric][1](ours, theirs) == pytest.approx(expected, abs=1e-12), pair


@pytest.mark.parametrize(
    ("text", "theirs", "ours"),
    [("naïve", ["na", "ve"], ["naïve"]), ("北京", [], ["北京"]), ("a_b", ["a", "b"], ["a_b"])],
)
def test_rouge_score_knows_no_letters_but_a_to_z(
    text: str, theirs: list[str], ours: list[str]
) -> None:
    tokenizer = RougeScorer(["rouge1"])._tokenizer
    assert tokenizer.tokenize(text) == theirs
    assert words(text) == ours


def exact_stage(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """nltk's alignment by its first stage. The others take stems and a dictionary of synonyms."""
    return sorted(exact_match(ours, theirs)[0])


def test_meteor_is_nltks_of_exact_matches_where_the_chunks_agree() -> None:
    agreed = 0
    for pair in PAIRS:
        ours, theirs = map(words, pair)
        published = exact_stage(ours, theirs)
        matches = len(published)
        assert len(alignment(ours, theirs)) == matches, pair
        if not matches:
            assert not (ours and theirs) or meteor(ours, theirs) == 0
            continue
        precision, recall = matches / len(ours), matches / len(theirs)
        mean = precision * recall / (0.9 * precision + 0.1 * recall)  # nltk's alpha is 0.9

        def scored(count: int, mean: float = mean, matches: int = matches) -> float:
            return mean * (1 - 0.5 * (count / matches) ** 3)  # and its gamma 0.5, its beta 3

        score = meteor(ours, theirs)
        walks = alignment(ours, theirs), alignment(ours[::-1], theirs[::-1])
        assert score == pytest.approx(scored(min(map(chunks, walks))), abs=1e-12), pair
        agreed += score == pytest.approx(scored(chunks(published)), abs=1e-12)
    assert agreed > len(PAIRS) * 2 / 3


def fewest_chunks(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Of all alignments with the most matches, by trying them all."""
    wanted = (Counter(ours) & Counter(theirs)).total()
    best = len(ours) + 1

    def extend(
        at: int, used: frozenset[int], last: tuple[int, int], found: int, count: int
    ) -> None:
        nonlocal best
        if count >= best or found + len(ours) - at < wanted:
            return
        if at == len(ours):
            best = count
            return
        for place, word in enumerate(theirs):
            if word == ours[at] and place not in used:
                goes_on = last == (at - 1, place - 1)
                extend(at + 1, used | {place}, (at, place), found + 1, count + (not goes_on))
        extend(at + 1, used, last, found, count)

    extend(0, frozenset(), (-2, -2), 0, 0)
    return best


def test_meteors_chunks_are_nearly_the_fewest_and_nearer_than_nltks() -> None:
    few_words = "the a cat dog sat on mat".split()
    excess = Counter[str]()
    pairs = [(x.split(), y.split()) for x, y in generated(few_words, 400, longest=9)]
    for ours, theirs in pairs:
        walks = alignment(ours, theirs), alignment(ours[::-1], theirs[::-1])
        if walks[0]:
            fewest = fewest_chunks(ours, theirs)
            assert min(map(chunks, walks)) >= fewest
            excess["ours"] += min(map(chunks, walks)) > fewest
            excess["nltk"] += chunks(exact_stage(ours, theirs)) > fewest
    assert excess["ours"] < 0.11 * len(pairs)
    assert excess["ours"] < 0.5 * excess["nltk"]
