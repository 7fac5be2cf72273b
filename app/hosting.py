"""What a service hosts for its scorers: loaded models, judges, rubrics, each shared by many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from judges.llm.hosting import Judges
from judges.reward_model.serve.pool import RewardModels
from judges.reward_model.serve.scorer import RewardModelScorer
from judges.rubric import Rubrics, RubricScorer
from verifiers.base import Scorer


@dataclass(frozen=True, slots=True)
class Hosted:
    """The collections behind the scorers that learned their rule."""

    judges: Judges
    models: RewardModels
    rubrics: Rubrics

    @classmethod
    def of(cls, settings: Settings) -> Hosted:
        """Nothing is loaded or connected yet: the lanes start that.

        Raises:
            SpecError: a judge, model or rubric of the settings is not what it should be.
        """
        return cls(
            judges=Judges(
                settings.judges, Path(settings.judge_store) if settings.judge_store else None
            ),
            models=RewardModels(
                settings.reward_models, cache_values=settings.reward_model_cache_values
            ),
            rubrics=Rubrics.load(Path(settings.rubrics)) if settings.rubrics else Rubrics(),
        )

    def scorers(self) -> Iterator[type[Scorer[Any]]]:
        """Those that can score with what there is. A rubric of programs needs no judge."""
        yield RubricScorer
        if self.models.named:
            yield RewardModelScorer

    def by_type(self) -> dict[type, Any]:
        """As `Services.hosted` wants it."""
        return {Judges: self.judges, RewardModels: self.models, Rubrics: self.rubrics}
