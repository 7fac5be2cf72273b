"""Texts to be written backwards: words, short English sentences and numbers.

Generated texts never overlap: whether one is trained on is read off a hash of its letters
and digits, so a training text and a held-out one differ in more than case or punctuation.
The harder splits use other words; the last one is longer than anything in training.

The demonstrators are careless on purpose: some of their reversals lack the last character,
most often those of long texts, others have a typo, and the rest are right. `sft.py` says
what that is good for.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits

from trainer_client.train.config import Config, DataConfig, SftConfig
from trainer_client.train.tasks.problem import Demonstration, Problem

HELD_OUT_SHARE = 8
"""One text in this many belongs to the held-out split."""

LONGER_BY = 8
"""How many characters the `longer` split goes beyond the longest text in training."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Words and short English sentences, to be written backwards."""

    data: DataConfig
    seed: int

    @classmethod
    def of(cls, config: Config) -> Texts:
        return cls(config.data, config.seed)

    def batch(self, step: int, size: int) -> list[Problem]:
        return [self.problem(text) for text in self.texts("train", step, size)]

    def texts(self, purpose: str, step: int, size: int, gibberish: float = 0.0) -> list[str]:
        """`size` training texts, a share of them gibberish. Each purpose has its own draws."""
        rng = random.Random(f"{self.seed}/{purpose}/{step}")
        texts = stream(rng, COMMON, (self.data.shortest, self.data.longest), gibberish)
        return list(itertools.islice(filter(trained, texts), size))

    def splits(self) -> dict[str, list[Problem]]:
        """The same for every seed, so that runs can be compared."""
        shortest, longest = self.data.shortest, self.data.longest
        held_out = stream(random.Random("held-out"), COMMON, (shortest, longest))
        upper_half = ((shortest + longest + 1) // 2, longest)
        beyond = (longest + 1, longest + LONGER_BY)
        splits = {
            "held_out": (text for text in held_out if not trained(text)),
            "harder": stream(random.Random("harder"), UNSEEN, upper_half),
            "longer": stream(random.Random("longer"), UNSEEN, beyond),
        }
        return {
            name: list(
                map(self.problem, itertools.islice(distinct(texts), self.data.held_out_size))
            )
            for name, texts in splits.items()
        }

    def problem(self, text: str) -> Problem:
        return Problem(self.prompt(text), text)

    def prompt(self, text: str) -> str:
        return self.data.template.format(text=text)


def trained(text: str) -> bool:
    """Whether `text` may be trained on; otherwise it belongs to the held-out split."""
    letters = "".join(filter(str.isalnum, text.casefold()))
    return zlib.crc32(letters.encode()) % HELD_OUT_SHARE != 0


def stream(
    rng: random.Random, words: Sequence[str], lengths: tuple[int, int], gibberish: float = 0.0
) -> Iterator[str]:
    """Texts without end, each between `lengths` characters long."""
    while True:
        length = rng.randint(*lengths)
        text = nonsense(rng, length) if rng.random() < gibberish else sentence(rng, words, length)
        if lengths[0] <= len(text) <= lengths[1]:
            yield text


def sentence(rng: random.Random, words: Sequence[str], length: int) -> str:
    """Words, sometimes a number, until there are about `length` characters."""
    parts = [styled(rng, rng.choice(words))]
    while sum(map(len, parts)) + len(parts) - 1 < length:
        if rng.random() < 0.1:
            parts[-1] += ","
        word = number(rng) if rng.random() < 0.15 else styled(rng, rng.choice(words))
        parts.append(word)
    text = " ".join(parts)
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return text + rng.choice(("", "", ".", "!", "?"))


def nonsense(rng: random.Random, length: int) -> str:
    """Random letters and digits, with spaces between, of exactly `length` characters."""
    kinds = (ascii_lowercase, ascii_lowercase, ascii_lowercase, ascii_uppercase, digits)
    text = ""
    while len(text) < length:
        text += "".join(rng.choices(rng.choice(kinds), k=rng.randint(1, 9))) + " "
    return text[:length]


def number(rng: random.Random) -> str:
    """A number of up to four digits."""
    return str(rng.randrange(10 ** rng.randint(1, 4)))


def styled(rng: random.Random, word: str) -> str:
    """`word`, now and then as a name or shouted."""
    chance = rng.random()
    return word.upper() if chance < 0.1 else word.capitalize() if chance < 0.3 else word


def distinct(texts: Iterator[str]) -> Iterator[str]:
    seen = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


# --- demonstrators ----------------------------------------------------------------------


def demonstrations(config: Config, size: int) -> Iterator[list[Demonstration]]:
    """Reversals by careless demonstrators without end, `size` at a time."""
    texts = Texts.of(config)
    for number in itertools.count():
        rng = random.Random(f"{config.seed}/demonstrators/{number}")
        yield [
            (texts.prompt(text), careless_reversal(text, rng, config.sft))
            for text in texts.texts("demonstrations", number, size, config.sft.gibberish)
        ]


def careless_reversal(text: str, rng: random.Random, sft: SftConfig) -> str:
    """`text` reversed by the demo's demonstrators."""
    target = text[::-1]
    careless = sft.careless_long if len(text) >= sft.long_from else sft.careless
    chance = rng.random()
    if chance < careless:
        return target[:-1]
    return with_typo(target, rng) if chance < careless + sft.typos else target


def with_typo(text: str, rng: random.Random) -> str:
    """`text` with one character replaced, swapped, dropped or doubled, or cut short."""
    at = rng.randrange(len(text))
    head, here, tail = text[:at], text[at], text[at + 1 :]
    return rng.choice(
        (
            head + rng.choice("etaoinshrdlu") + tail,
            head + tail[:1] + here + tail[1:],
            head + tail,
            head + here + here + tail,
            head,
        )
    )


# --- words ------------------------------------------------------------------------------

COMMON = tuple(
    """
    a about after again air all also always am an and animal answer any are around as ask at
    away back be because been before began best better between big bird black blue boat body
    book both boy bring brother but by call came can car change child city clear close cold
    come could country cut day did different do does dog done door down draw dry each early
    earth east eat end enough even ever every eye face family far farm fast father feet few
    field find fire first fish five follow food for form found four friend from front full gave
    get girl give go good great green ground group grow had half hand hard has have he head
    hear help her here high him his home horse hot hour house how hundred i idea if in into is
    it its just keep kind king knew know land large last late learn leave left let letter life
    light like line list little live long look love low made make man many map me mean men might
    mile more morning most mother mountain mouth move much music must my name near need never
    new next night no north not now number of off often old on once one only open or order
    other our out over own page paper part people place plant play point power press put quick
    quiet rain read real red rest right river road rock room round run said same saw say school
    sea second see seem sentence set she ship short should show side simple sing size sky sleep
    slow small snow so some song soon sound south space stand star start state stay step still
    stop story street strong study such sun sure table take talk tell ten than that the their
    them then there these they thing think this those thought three through time to together
    too top town travel tree true try turn two under until up us use very voice wait walk want
    war warm was watch water way we week well went were west what wheel when where which while
    white who why will wind with wood word work world would write year yes yet you young your
    zoo
    """.split()
)
"""What training texts and held-out ones are made of."""

UNSEEN = tuple(
    """
    absolute acoustic balance bicycle blanket boundary calendar capture carpenter ceremony
    champion chemistry children cinnamon circular climate colorful compass complex consider
    creature crystal curtain customer daughter decade delivery diamond dinosaur discover
    distance dolphin dragonfly economy eighteen electric elephant engineer envelope evening
    explorer fabulous festival flexible fortune fragile freedom furniture galaxy gardener
    generous gigantic goldfish gravity grocery guitar hamster harvest highway hospital
    hurricane imagine industry instrument invisible january jealous journal judgment jungle
    kangaroo keyboard kitchen knowledge laboratory language lantern lavender library machine
    magnetic marathon medicine midnight monument mushroom mystery narrator natural neighbor
    nineteen notebook obstacle octopus opposite orchestra original oxygen package painter
    parallel passport penguin physics picture platinum pyramid quality quantity question
    railway rainbow remember resource rhythm romantic sandwich satellite scissors sculpture
    shadow signature snowflake solution spectrum squirrel standard strategy surprise symphony
    teacher telescope thousand thunder tomorrow tornado triangle tropical umbrella universe
    upstairs vacation velocity victory vineyard volcano waterfall weather wilderness wonderful
    xylophone yesterday zealous zeppelin
    """.split()
)
"""What the harder splits are made of: no word of training, and most of them longer."""
