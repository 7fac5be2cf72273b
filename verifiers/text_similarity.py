"""Rewards likeness to the reference, by the metrics of translation and summarization.

All are sentence-level, against one reference, from 0 to 1:

    fuzzy_match   indel similarity of the characters: 2·LCS / (both lengths together)
    bleu          BLEU-4 (Papineni et al. 2002), with one added to the counts of n > 1
                  (BLEU+1, Lin and Och 2004), since most short texts share no 4-gram
    gleu          Google-BLEU (Wu et al. 2016): the lower of n-gram precision and recall
    meteor        METEOR (Banerjee and Lavie 2005), of exact matches only: no stems and no
                  synonyms, which take a dictionary. A perfect match of m words earns
                  1 - 0.5/m³, as published
    rouge_n, rouge_l   the F1 of ROUGE (Lin 2004): n-grams, longest common subsequence

BLEU and GLEU compare words and punctuation marks as written; ROUGE and METEOR compare words
alone, case folded.

Tests compare them with the published implementations. Given the same tokens, BLEU is sacrebleu's
with `smooth_method="add-k"`, GLEU is nltk's and ROUGE is rouge-score's. The departures:

- Tokens. sacrebleu keeps a number such as 3.5 and a word such as snow-white in one piece;
  here both fall into words and marks. rouge-score knows the letters a to z alone: of naïve it
  makes na and ve, and of Chinese nothing. Here a word is one of any script.
- BLEU of texts under four words. nltk's `method2` counts an n-gram that does not fit as one that
  was missed; here, as in sacrebleu, it is not held against them, so a quoted word earns 1.
- METEOR's order. Published is the alignment with the fewest chunks, whose search is exponential;
  here it is the better of two greedy walks, from either end. On random short texts it has more
  chunks than need be for one in ten, nltk's single walk for one in four.

A policy that is rewarded for likeness alone learns to quote.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import regex
from pydantic import Field
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Outcome, Parameters, Sample, Score, Verifier

Metric = Literal[
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "rouge_1",
    "rouge_2",
    "rouge_3",
    "rouge_4",
    "rouge_5",
    "rouge_l",
]

MAX_CHARACTERS = 65_536
"""Of either text: longest common subsequences are quadratic, and still take milliseconds."""

MAX_ORDER = 4
"""Of the n-grams that BLEU and GLEU count."""

METEOR_RECALL_WEIGHT = 9
"""Recall counts nine times as much as precision in METEOR's harmonic mean."""

WORD = regex.compile(r"\w+")
WORD_OR_MARK = regex.compile(r"\w+|[^\w\s]")

Tokens = Sequence[str]


class TextSimilarityParameters(Parameters):
    metric: Metric = Field("fuzzy_match", description="How likeness is measured.")


class TextSimilarityDetails(TypedDict, total=False):
    """`details` of a score of `text_similarity`."""

    limit: str
    """What a rejected completion exceeds."""


class TextSimilarity(Verifier[TextSimilarityParameters]):
    """Rewards likeness to the reference, by BLEU, ROUGE, METEOR or edit distance."""

    name = "text_similarity"
    version = "2"
    lane = "cpu"
    parameters_type = TextSimilarityParameters
    reference_type = str
    details_type = TextSimilarityDetails
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Say in English: le chat est assis sur le tapis",
        "completion": "the cat sits on the mat",
        "reference": "the cat sits on the mat",
        "scorer": {"type": "text_similarity", "metric": "rouge_l"},
    }

    @property
    def answers_are_text(self) -> bool:
        return True

    def score_one(self, sample: Sample) -> Score:
        """The similarity, from 0 to 1; 0 for a completion without a word."""
        reference, text = self.reference_of(sample), sample.text
        if len(reference) > MAX_CHARACTERS:
            raise InvalidReference(f"reference: over {MAX_CHARACTERS:,} characters")
        tokens_of, similarity = METRICS[self.parameters.metric]
        theirs = tokens_of(reference)
        if not theirs:
            raise InvalidReference("reference: there is nothing to compare with")
        if len(text) > MAX_CHARACTERS:
            return self.lowest("rejected", limit=f"{MAX_CHARACTERS} characters")
        ours = tokens_of(text)
        if not ours:
            return self.lowest("no_answer")
        reward = min(1.0, similarity(ours, theirs))
        outcome: Outcome = "correct" if reward == 1 else "partial" if reward else "incorrect"
        return Score(reward=reward, outcome=outcome, answer=text)


def words(text: str) -> Tokens:
    return list(WORD.findall(text.casefold()))


def words_and_marks(text: str) -> Tokens:
    return list(WORD_OR_MARK.findall(text))


def characters(text: str) -> Tokens:
    return text


def fuzzy_match(ours: Tokens, theirs: Tokens) -> float:
    from rapidfuzz import fuzz  # three megabytes that few runs use

    return fuzz.ratio(ours, theirs) / 100


def bleu(ours: Tokens, theirs: Tokens) -> float:
    """The geometric mean of the n-gram precisions, times the penalty for being short."""
    logarithms = []
    for order in range(1, MAX_ORDER + 1):
        mine = ngrams(ours, order)
        added = int(order > 1)
        matches = overlap(mine, ngrams(theirs, order)) + added
        if not matches:
            return 0.0
        logarithms.append(math.log(matches / (mine.total() + added)))
    brevity = min(0.0, 1 - len(theirs) / len(ours))
    return math.exp(brevity + math.fsum(logarithms) / MAX_ORDER)


def gleu(ours: Tokens, theirs: Tokens) -> float:
    mine: Counter[Any] = Counter()
    wanted: Counter[Any] = Counter()
    for order in range(1, MAX_ORDER + 1):
        mine += ngrams(ours, order)
        wanted += ngrams(theirs, order)
    return overlap(mine, wanted) / max(mine.total(), wanted.total())


def meteor(ours: Tokens, theirs: Tokens) -> float:
    walks = alignment(ours, theirs), alignment(ours[::-1], theirs[::-1])
    matches = len(walks[0])
    if not matches:
        return 0.0
    precision, recall = matches / len(ours), matches / len(theirs)
    mean = (1 + METEOR_RECALL_WEIGHT) * precision * recall
    mean /= recall + METEOR_RECALL_WEIGHT * precision
    return mean * (1 - 0.5 * (min(map(chunks, walks)) / matches) ** 3)


def chunks(pairs: Sequence[tuple[int, int]]) -> int:
    """Into how many runs of neighbours, on both sides, an alignment falls."""
    return 1 + sum(after != (i + 1, j + 1) for (i, j), after in pairwise(pairs))


def alignment(ours: Tokens, theirs: Tokens) -> list[tuple[int, int]]:
    """Pairs of places with the same word, each place once, neighbours kept together.

    Greedy: a word goes where it continues its predecessor's chunk, else to the first place
    that is left.
    """
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for place, word in enumerate(theirs):
        places[word].append(place)
    used: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for ours_at, word in enumerate(ours):
        following = pairs[-1][1] + 1 if pairs else 0
        if following < len(theirs) and theirs[following] == word and following not in used:
            place = following
        else:
            free = places[word]
            while free and free[0] in used:
                free.popleft()
            if not free:
                continue
            place = free.popleft()
        used.add(place)
        pairs.append((ours_at, place))
    return pairs


def rouge(order: int) -> Callable[[Tokens, Tokens], float]:
    def similarity(ours: Tokens, theirs: Tokens) -> float:
        mine, wanted = ngrams(ours, order), ngrams(theirs, order)
        return f1(overlap(mine, wanted), mine.total(), wanted.total())

    return similarity


def rouge_l(ours: Tokens, theirs: Tokens) -> float:
    from rapidfuzz.distance import LCSseq

    return f1(LCSseq.similarity(ours, theirs), len(ours), len(theirs))


def f1(matches: int, ours: int, theirs: int) -> float:
    """The harmonic mean of precision and recall, which is twice the matches over both."""
    return 2 * matches / (ours + theirs) if matches else 0.0


def ngrams(tokens: Tokens, order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def overlap(mine: Counter[Any], wanted: Counter[Any]) -> int:
    return (mine & wanted).total()


METRICS: Mapping[Metric, tuple[Callable[[str], Tokens], Callable[[Tokens, Tokens], float]]] = {
    "fuzzy_match": (characters, fuzzy_match),
    "bleu": (words_and_marks, bleu),
    "gleu": (words_and_marks, gleu),
    "meteor": (words, meteor),
    "rouge_1": (words, rouge(1)),
    "rouge_2": (words, rouge(2)),
    "rouge_3": (words, rouge(3)),
    "rouge_4": (words, rouge(4)),
    "rouge_5": (words, rouge(5)),
    "rouge_l": (words, rouge_l),
}
