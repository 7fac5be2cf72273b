"""One version of a reward model as it serves: it never changes; a reload makes another.

Whoever began with a version ends with it, so no request is scored half by one model and
half by another, however often the name it asked for was given a new one meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from judges.reward_model.guards.guards import GuardName, Guards, Measures
from judges.reward_model.model.baseline import Baseline
from judges.reward_model.model.embedding import embedding_ids, mean_embeddings
from judges.reward_model.model.render import (
    Encoded,
    Prompt,
    TextTooLong,
    Truncation,
    asked,
    encode,
    encode_whole,
    plain,
    without_controls,
)
from judges.reward_model.serve.engine import Engine, Text, Values
from verifiers.base import InvalidReference, Sample

if TYPE_CHECKING:
    from judges.reward_model.model.model import RewardModel


@dataclass(slots=True)
class Prepared:
    """A sample ready to be read by the model.

    `text` is None where the completion is too long; `note` then says so. `embedded` is what guards
    of embeddings read, where there are any: prompt, its last turn, completion.
    """

    text: Text | None
    measures: Measures = field(default_factory=lambda: Measures())
    embedded: tuple[Text, ...] = ()
    trimmed: int = 0
    note: str = ""
    guards_left_out: tuple[GuardName, ...] = ()


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A loaded model, the engine that it shares, and its guards."""

    name: str
    model: RewardModel
    engine: Engine
    preparer: Executor
    """One thread: a tokenizer is not to be used by two at a time."""
    guards: Guards | None
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def digest(self) -> str:
        return self.model.digest

    @property
    def baseline(self) -> Baseline | None:
        return self.model.card.reference

    # --- on the event loop ---------------------------------------------------------------

    async def prepare(
        self, samples: Sequence[Sample], truncation: Truncation | None, *, relevance: bool
    ) -> list[Prepared | InvalidReference]:
        """Renders, tokenizes and measures samples, off the event loop.

        A sample without a prompt is a whole text, read as it stands.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.preparer, self._prepare_all, samples, truncation, relevance
        )

    async def read(self, prepared: Prepared, text: Text) -> tuple[Values, Measures, bool]:
        """The reward by each head, the guards' measures, and whether both were remembered.

        Raises:
            ModelUnavailable: the model failed on this text.
        """
        (heads, cached), *embeddings = await asyncio.gather(
            self.engine.run(text, self.rewards),
            *(self.engine.run(each, self.embeddings) for each in prepared.embedded),
        )
        measures = prepared.measures
        if embeddings and self.guards:
            measures = measures | self.guards.measure_embeddings(*(each for each, _ in embeddings))
        return heads, measures, cached

    # --- in a thread of tensor work -------------------------------------------------------

    def rewards(self, texts: Sequence[Text]) -> list[Values]:
        """The raw reward of each text by each head."""
        import torch

        ids, mask = self.model.padded([text.ids for text in texts])
        with torch.inference_mode():
            return [tuple(row) for row in self.model.rewards(ids, mask).tolist()]

    def embeddings(self, texts: Sequence[Text]) -> list[Values]:
        return [*mean_embeddings([text.ids for text in texts], self.model)]

    # --- in the thread of the tokenizer ---------------------------------------------------

    def _prepare_all(
        self, samples: Sequence[Sample], truncation: Truncation | None, relevance: bool
    ) -> list[Prepared | InvalidReference]:
        pairs = [(sample.prompt, sample.text) for sample in samples if sample.prompt is not None]
        whole = [sample.text for sample in samples if sample.prompt is None]
        of_pairs = iter(
            self._prepare_pairs(pairs, truncation or self.model.card.truncation, relevance)
        )
        of_whole = iter(self._prepare_whole(whole))
        return [next(of_whole if sample.prompt is None else of_pairs) for sample in samples]

    def _prepare_pairs(
        self, pairs: Sequence[tuple[Prompt, str]], truncation: Truncation, relevance: bool
    ) -> list[Prepared | InvalidReference]:
        prepared = [
            self._too_long(pair[0], tokens, truncation)
            if isinstance(tokens, TextTooLong)
            else self._prepare(pair, tokens)
            for pair, tokens in zip(pairs, self._encode(pairs, truncation), strict=True)
        ]
        if pairs and relevance and self.guards and self.guards.embeds:
            self._tokenize_to_embed(pairs, prepared)
        return prepared

    def _prepare(self, pair: tuple[Prompt, str], tokens: Encoded) -> Prepared:
        measures = self.guards.measure(*pair) if self.guards else Measures()
        return Prepared(self._text("reward", tokens.ids), measures, trimmed=tokens.trimmed)

    def _prepare_whole(self, texts: Sequence[str]) -> list[Prepared | InvalidReference]:
        """Where the completion begins in a whole text is unknown, so none can be at fault for
        its length."""
        encoded = encode_whole(texts, self.model.tokenizer, self.model.card.max_length)
        return [
            InvalidReference(f"a whole text of {tokens}")
            if isinstance(tokens, TextTooLong)
            else self._prepare_one_whole(text, tokens)
            for text, tokens in zip(texts, encoded, strict=True)
        ]

    def _prepare_one_whole(self, text: str, tokens: Encoded) -> Prepared:
        if not tokens.ids:
            return Prepared(None, note="no tokens")
        if self.guards is None:
            return Prepared(self._text("reward", tokens.ids))
        said = without_controls(text, self.model.tokenizer)
        measures, left_out = self.guards.measure_whole(said)
        return Prepared(self._text("reward", tokens.ids), measures, guards_left_out=left_out)

    def _too_long(
        self, prompt: Prompt, fault: TextTooLong, truncation: Truncation
    ) -> Prepared | InvalidReference:
        """A completion is at fault itself, unless its prompt alone is too long to be read."""
        [alone] = self._encode([(prompt, "")], truncation)
        if isinstance(alone, TextTooLong):
            return InvalidReference(f"prompt: {alone}")
        return Prepared(None, note=str(fault))

    def _encode(
        self, pairs: Sequence[tuple[Prompt, str]], truncation: Truncation
    ) -> list[Encoded | TextTooLong]:
        card = self.model.card
        return encode(pairs, self.model.tokenizer, card.max_length, truncation)

    def _tokenize_to_embed(
        self,
        pairs: Sequence[tuple[Prompt, str]],
        prepared: Sequence[Prepared | InvalidReference],
    ) -> None:
        texts = (
            [plain(prompt) for prompt, _ in pairs],
            [asked(prompt) for prompt, _ in pairs],
            [completion for _, completion in pairs],
        )
        rows = zip(*(embedding_ids(each, self.model) for each in texts), strict=True)
        for each, row in zip(prepared, rows, strict=True):
            if isinstance(each, Prepared):
                each.embedded = tuple(self._text("embedding", ids) for ids in row)

    def _text(self, asked: str, ids: Sequence[int]) -> Text:
        """Keyed by model, numerics, what is asked, and the tokens."""
        salt = f"{self.digest} {self.model.network.dtype} {asked}".encode()
        hashed = hashlib.blake2b(array("q", ids).tobytes(), key=salt[:64], digest_size=16)
        return Text(ids, hashed.hexdigest())
