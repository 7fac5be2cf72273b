"""What guards measure in a text without a model. A larger value is more suspicious.

All of it is linear in the text's length, and texts over the model's limit never get here.
"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

WORDS = re.compile(r"\w+")
WORDS_OR_SYMBOLS = re.compile(r"\w+|[^\w\s]")

WORD_GRAM, CHARACTER_GRAM = 3, 12
"""Three words, or twelve characters, seldom occur twice in a text by chance."""

FRAME_WORDS = 6
"""As many words around a whole echo are only its frame."""

MARKER = re.compile(r"\s*(?:#{1,6}|[-*+•>|]|\d{1,3}[.)])?[\s*_:|=-]*")
"""A line that holds a bullet, a number or a rule, and no text."""

HEADING = re.compile(
    r"\s*(?:#{1,6}\s|(?:[-*+•]|\d{1,3}[.)])?\s*\*\*[^*\n]{1,80}\*\*:?\s*$|[^\n]{1,80}:\s*$)"
)
"""A title, a bold label with or without a bullet, or a line that ends in a colon."""

OPENER = re.compile(
    r"\W*(?:(?:the |my )?(?:final )?(?:solution|answer|response|explanation|output|result)"
    r"|thought process|reasoning|step 1|sure|certainly|of course|okay"
    r"|(?:here is|here's) (?:the|my|your) (?:solution|answer|response)"
    r"|let(?:'s|’s| us| me) (?:think|solve|work|reason|go|do|break|analy[sz]e|start)\b"
    r"[^.!?\n]{0,80})"
    r"\W*",
    re.IGNORECASE,
)
"""The beginning of an answer. As the whole of one it has no content, and some judges reward it
all the same (Zhao et al. 2025, "One Token to Fool LLM-as-a-Judge")."""

HOLLOW_LINES = 100.0
"""As many hollow lines, and no others, are as hollow as can be."""

INJECTIONS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.\n]{0,40}\b(?:instructions?|prompts?|rules|rubric)\b"
    r"|\b10\s*(?:/|out of)\s*10\b|\bfull marks\b"
    r"|\b(?:highest|maximum|max|perfect|top)\s+(?:possible\s+)?(?:score|rating|reward|grade|marks)\b"
    r"|\b(?:reward model|evaluator|grader|the judge|scoring system)\b"
    r"|[\"'](?:score|winner|verdict|rating|reward|best|grade)[\"']\s*:"
    r"|<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>"
    r"|^\W{0,8}(?:system|user|human|instruction|best|winner|score|reward)\W{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
"""Speech to whoever grades, and forged turns. Only what the prompt does not say itself counts."""

BUCKETS = 1 << 14
EIGHTHS = 8
"""Rarities are stored as eighths of a bit, in a byte."""


def shortness(completion: str) -> float:
    """Minus the number of letters and digits."""
    return -float(sum(map(str.isalnum, completion)))


def repetition(completion: str) -> float:
    """How much of its word trigrams, or of its runs of twelve characters, occurred before: from
    0 to 1."""
    words = WORDS_OR_SYMBOLS.findall(completion.lower())
    by_word = repeated_share(zip(*(words[i:] for i in range(WORD_GRAM)), strict=False))
    text = " ".join(completion.split())
    runs = (text[i : i + CHARACTER_GRAM] for i in range(len(text) - CHARACTER_GRAM + 1))
    return max(by_word, repeated_share(runs))


def repeated_share(grams: Iterable[Hashable]) -> float:
    """The share of grams that occurred before. It counts in full where they did so at the
    commonest distance, as in a loop, and half where they did not, as in lists of like things."""
    last: dict[Hashable, int] = {}
    distances: Counter[int] = Counter()
    total = 0
    for total, gram in enumerate(grams, start=1):
        if gram in last:
            distances[total - last[gram]] += 1
        last[gram] = total
    most = max(distances.values(), default=0)
    return (distances.total() + most) / 2 / total if total else 0.0


def symbols(completion: str) -> float:
    """The share of characters, white space aside, that are neither letters nor digits."""
    visible = "".join(completion.split())
    return 1 - sum(map(str.isalnum, visible)) / len(visible) if visible else 1.0


def hollowness(completion: str) -> float:
    """Lines that promise content and hold none, times their share: bare bullets, headings over
    nothing.

    A heading counts where the next line is another heading or a bare bullet, or none follows.
    An opener and nothing else is as hollow as can be.
    """
    if OPENER.fullmatch(completion):
        return HOLLOW_LINES
    lines = [line for line in completion.splitlines() if line.strip()]
    bare = [MARKER.fullmatch(line) is not None for line in lines]
    heads = [HEADING.match(line) is not None for line in lines]
    hollow = sum(
        bare[i] or (heads[i] and (i + 1 == len(lines) or heads[i + 1] or bare[i + 1]))
        for i in range(len(lines))
    )
    return min(hollow * hollow / len(lines), HOLLOW_LINES) if lines else 0.0


def echo(asked: str, completion: str) -> float:
    """How much of what was asked the completion repeats, times how much of it is that.

    Shares of words that lie in common trigrams (of what is shorter, in all of it): a short
    answer in the question's words is no echo, and neither is a long one that quotes the
    question. A few words more ("Great question! You asked:") do not make an echo an answer.
    """
    theirs, ours = words_of(asked), words_of(completion)
    size = min(WORD_GRAM, len(theirs), len(ours))
    if not size:
        return 0.0
    common = set(grams(theirs, size)) & set(grams(ours, size))
    share = covered(theirs, common, size) / len(theirs)
    repeated = covered(ours, common, size)
    more = max(len(ours) - repeated - FRAME_WORDS * share, 0)
    return share * repeated / (repeated + more) if repeated else 0.0


def covered(words: Sequence[str], common: set[tuple[str, ...]], size: int) -> int:
    """How many of the words lie in one of these n-grams."""
    inside: set[int] = set()
    for position, gram in enumerate(grams(words, size)):
        if gram in common:
            inside.update(range(position, position + size))
    return len(inside)


def grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def words_of(text: str) -> list[str]:
    return WORDS.findall(text.lower())


def injections(prompt: str, completion: str) -> float:
    """How often the completion speaks to its grader, or forges a turn, out of its own mind."""
    asked = prompt.lower()
    return float(
        sum(found[0].lower().strip() not in asked for found in INJECTIONS.finditer(completion))
    )


class Rarity:
    """How unlike a set of texts a text is: bits per character trigram, by their frequencies.

    Trigrams are hashed into buckets, so the table has one size for every script. Letter case
    is ignored and all digits are one.
    """

    def __init__(self, eighths: bytes) -> None:
        self._eighths = eighths

    @classmethod
    def of(cls, texts: Iterable[str]) -> Rarity:
        counts = [0.5] * BUCKETS  # half a sighting of what was never seen
        for text in texts:
            for bucket in buckets(text):
                counts[bucket] += 1
        total = sum(counts)
        bits = (math.log2(total / count) for count in counts)
        return cls(bytes(min(255, round(EIGHTHS * each)) for each in bits))

    @classmethod
    def loaded(cls, text: str) -> Rarity:
        """From `dumped`.

        Raises:
            ValueError: it is not such a table.
        """
        eighths = base64.b64decode(text, validate=True)
        if len(eighths) != BUCKETS:
            raise ValueError(f"a table of rarities has {BUCKETS} bytes")
        return cls(eighths)

    def dumped(self) -> str:
        return base64.b64encode(self._eighths).decode()

    def __call__(self, text: str) -> float:
        """Mean bits of the text's trigrams; 0 where it has none."""
        found = [self._eighths[bucket] for bucket in buckets(text)]
        return sum(found) / len(found) / EIGHTHS if found else 0.0


def buckets(text: str) -> list[int]:
    plain = re.sub(r"\d", "0", " ".join(text.lower().split()))
    grams = (plain[i : i + 3] for i in range(len(plain) - 2))
    return [zlib.crc32(gram.encode(errors="replace")) % BUCKETS for gram in grams]
