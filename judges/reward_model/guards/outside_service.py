"""A model's guards outside a service: what they have against texts, and leave of rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from judges.reward_model.guards.guards import Embed, Guards, Suspicion
from judges.reward_model.model.embedding import Remembered, embed
from judges.reward_model.model.model import Reference, RewardModel
from judges.reward_model.model.reference import CAP_PERCENTILE, guarded
from judges.reward_model.model.render import Prompt


@dataclass(frozen=True)
class Guarding:
    """All guards at their default."""

    guards: Guards
    read: Embed
    """Embeds texts by the model's own encoder."""
    reference: Reference

    @classmethod
    def of(cls, model: RewardModel) -> Self | None:
        """None where the model has no guards, or no reference set.

        Raises:
            GuardsRefused: its guards are damaged.
        """
        guards = Guards.from_card(model.card.guards)
        if guards is None or model.card.reference is None:
            return None
        return cls(guards, partial(embed, model=model), model.card.reference)

    def suspicions(self, texts: Sequence[tuple[Prompt, str]]) -> list[Suspicion]:
        measures = [self.guards.measure(*text) for text in texts]
        if self.guards.relevance is not None:
            embedded = Remembered(self.read).of_pairs(texts)
            measures = [
                self.guards.with_relevance(*each) for each in zip(measures, *embedded, strict=True)
            ]
        return [
            Suspicion(tuple(self.guards.flags(each)), *self.guards.penalty(each))
            for each in measures
        ]

    def left(
        self, texts: Sequence[tuple[Prompt, str]], rewards: Sequence[float | None]
    ) -> list[float | None]:
        """What is left of raw rewards; None where there was none."""
        pairs = zip(rewards, self.suspicions(texts), strict=True)
        return [None if raw is None else self.left_of(raw, each) for raw, each in pairs]

    def left_of(self, raw: float, suspicion: Suspicion) -> float:
        cap = CAP_PERCENTILE if suspicion.flags else None
        return guarded(raw, suspicion.penalty, cap, self.reference)
