"""A judge that the project trains itself, on criteria whose truth a program knows.

Real text is not needed to find out whether the way from a judge's probability to a calibrated
reward is sound: it takes a judge with honest errors, and a truth. The judge is a logistic
regression over crosses of criterion and text, trained by AdaGrad in plain Python within seconds.
It answers through the same `Ask` and `Reply` as an LLM does. It is a demonstration, not a product:
what it decides, programs decide better.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.rubric_judges import read, reply_of, usage
from judges.llm.base import Ask, Reply
from judges.statistics import sigmoid

BUCKETS = 1 << 13
"""Weights, into which features are hashed: so few that it errs, as judges do."""

EPOCHS = 12
STEP = 0.15
RIDGE = 1e-6

TOPICS = {
    "cooking": "pan oven salt onion butter simmer dough recipe garlic stir taste plate",
    "gardening": "soil seed water prune compost leaf shade root bloom pot weed harvest",
    "astronomy": "star orbit planet telescope comet moon galaxy light eclipse crater dust sky",
    "sailing": "wind sail rope harbour tide anchor keel deck captain wave storm knot",
    "music": "chord rhythm melody piano string tempo drum note choir tune scale bass",
    "chess": "pawn knight bishop castle check opening queen board rank gambit mate clock",
}
FRAMES = (
    "First, mind the {a} before the {b}.",
    "A {a} is rarely better than its {b}.",
    "Most people forget the {a}, and then the {b} suffers.",
    "Use {n} of them when the {a} meets the {b}.",
    "There is no {a} without a {b}.",
    "The {a} takes {n} hours, the {b} a little longer.",
    "In the end it is the {a} that counts.",
)
OPENERS = ("", "Sure. ", "Sorry, I may be wrong. ", "Well, ", "I apologise in advance. ")
CLOSERS = ("", " Does that help?", " Shall I go on?", " Good luck!")

WORD = re.compile(r"[a-z]+|\d+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Item:
    """One criterion about one text, with its truth."""

    family: str
    prompt: str
    text: str
    criterion: str
    label: bool


# --- criteria with a truth --------------------------------------------------------------


def drawn_text(source: random.Random, topic: str) -> str:
    """Two to seven sentences about a topic, some as a list, with an opener and a closer."""
    other = source.choice(list(TOPICS))
    sentences = []
    for _ in range(source.randint(2, 7)):
        words = TOPICS[topic if source.random() < 0.6 else other].split()
        a, b = source.sample(words, 2)
        number = source.randint(2, 60)
        sentences.append(source.choice(FRAMES).format(a=a, b=b, n=number))
    joint = "\n- " if source.random() < 0.3 else " "
    body = joint.join(["", *sentences]).strip(" ") if joint != " " else " ".join(sentences)
    return source.choice(OPENERS) + body + source.choice(CLOSERS)


def mentions(source: random.Random, text: str, topic: str) -> tuple[str, bool]:
    word = source.choice(TOPICS[topic].split())
    return f'Mentions the word "{word}".', word in WORD.findall(text.lower())


def is_shorter(source: random.Random, text: str, topic: str) -> tuple[str, bool]:
    limit = source.choice((20, 30, 40, 50))
    return f"Has fewer than {limit} words.", len(text.split()) < limit


def is_on_topic(source: random.Random, text: str, topic: str) -> tuple[str, bool]:
    asked = source.choice([topic, *TOPICS])
    return f"Is about {asked}.", asked == topic


FAMILIES: dict[str, Callable[[random.Random, str, str], tuple[str, bool]]] = {
    "mentions a word": mentions,
    "is short enough": is_shorter,
    "is on the topic": is_on_topic,
    "has a number": lambda _, text, __: ("Contains a number.", bool(re.search(r"\d", text))),
    "ends by asking": lambda _, text, __: ("Ends with a question.", text.endswith("?")),
    "is a list": lambda _, text, __: ("Is written as a list.", "\n- " in text),
    "apologises": lambda _, text, __: (
        "Apologises.",
        "sorry" in text.lower() or "apologise" in text.lower(),
    ),
}


def items(count: int, seed: int) -> list[Item]:
    """Criteria about texts, each family with as many true as false ones."""
    source = random.Random(seed)
    wanted = [(family, label) for family in FAMILIES for label in (True, False)]
    found = []
    for place in range(count):
        family, label = wanted[place % len(wanted)]
        while True:
            topic = source.choice(list(TOPICS))
            text = drawn_text(source, topic)
            criterion, truth = FAMILIES[family](source, text, topic)
            if truth == label:
                break
        found.append(Item(family, f"Tell me about {topic}.", text, criterion, label))
    source.shuffle(found)
    return found


# --- the judge --------------------------------------------------------------------------


def features(criterion: str, text: str) -> Iterator[int]:
    """Buckets of what holds of the two: the criterion's form, crossed with words and shape."""
    form = re.sub(r'"\w+"|\d+', "_", criterion)
    slots = re.findall(r'"(\w+)"|(\d+)', criterion)
    words = WORD.findall(text.lower())
    length = f"length {len(text.split()) // 4}"
    shape = [length, f"last {text[-1:]}", "lines" if "\n" in text else "line"]
    shape += ["digits"] if any(map(str.isdigit, text)) else []
    for fact in {*words, *shape}:
        yield bucket(form, fact)
    for slot in slots:
        value = slot[0] or slot[1]
        yield bucket(form, value, length)
        yield from (bucket(form, value, word) for word in set(words))
    yield bucket(form)


def bucket(*parts: str) -> int:
    return zlib.crc32("\x1f".join(parts).encode()) % BUCKETS


@dataclass
class SmallJudge:
    """Says how likely a criterion is met, as far as its weights know."""

    name: str = "small"
    fingerprint: str = "small-1"
    weights: list[float] = field(default_factory=lambda: [0.0] * BUCKETS)

    def probability(self, criterion: str, text: str) -> float:
        return sigmoid(sum(self.weights[i] for i in features(criterion, text)))

    def train(self, examples: Sequence[Item], seed: int = 0) -> None:
        """AdaGrad (Duchi et al., 2011) on the log loss, for `EPOCHS` over shuffled examples."""
        seen = [1e-8] * BUCKETS
        order = list(examples)
        known = {id(item): list(features(item.criterion, item.text)) for item in order}
        for _ in range(EPOCHS):
            random.Random(seed).shuffle(order)
            for item in order:
                active = known[id(item)]
                error = sigmoid(sum(self.weights[i] for i in active)) - item.label
                for i in active:
                    gradient = error + RIDGE * self.weights[i]
                    seen[i] += gradient * gradient
                    self.weights[i] -= STEP * gradient / math.sqrt(seen[i])

    async def ask(self, ask: Ask) -> Reply:
        """Probabilities where options are wanted, verdicts in words otherwise."""
        seen = read(ask)
        text = str(seen.blocks["completion"])
        if ask.options:
            [criterion] = seen.criteria.values()
            yes = self.probability(criterion, text)
            told = {"yes": yes, "no": 1.0 - yes}
            return Reply(max(told, key=lambda option: told[option]), probabilities=told)
        verdicts = {
            key: self.probability(criterion, text) > 0.5 for key, criterion in seen.criteria.items()
        }
        reply = reply_of(seen.nonce, verdicts)
        return Reply(reply, usage=usage(ask, reply))
